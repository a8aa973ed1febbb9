# SPDX-License-Identifier: GPL-3.0-or-later
"""Armature objects <-> bone arrays."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix


@dataclass
class Bones:
    """heads, tails (J, 3) in world space, Blender's axes, metres; parents: index or -1; parents come before their
    children.
    """

    names: list[str]
    parents: list[int]
    heads: np.ndarray
    tails: np.ndarray


def make_armature(name: str, bones: Bones, collection: bpy.types.Collection) -> bpy.types.Object:
    """A new armature object at the origin."""
    obj = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    collection.objects.link(obj)
    obj.show_in_front = True
    obj.data.display_type = "STICK"
    with editing(obj):
        made = [obj.data.edit_bones.new(bone) for bone in bones.names]
        for bone, parent, head, tail in zip(made, bones.parents, bones.heads, bones.tails, strict=True):
            bone.head, bone.tail = head, tail
            if parent >= 0:
                bone.parent = made[parent]
    return obj


def read_bones(obj: bpy.types.Object) -> Bones:
    """The rest pose."""
    bones = list(obj.data.bones)
    index = {bone.name: k for k, bone in enumerate(bones)}
    matrix = np.array(obj.matrix_world)
    points = np.array([[bone.head_local[:], bone.tail_local[:]] for bone in bones]).reshape(-1, 2, 3)
    points = points @ matrix[:3, :3].T + matrix[:3, 3]
    return Bones(
        [bone.name for bone in bones],
        [index[b.parent.name] if b.parent else -1 for b in bones],
        points[:, 0],
        points[:, 1],
    )


def transform_bones(obj: bpy.types.Object, moves: np.ndarray) -> None:
    """Moves the rest pose of each bone rigidly, roll included; what is connected stays so. moves: (J, 4, 4) in the
    armature's space, in the order of `obj.data.bones`.
    """
    moved = {bone.name: Matrix(move) for bone, move in zip(obj.data.bones, moves, strict=True)}
    mirror, obj.data.use_mirror_x = obj.data.use_mirror_x, False
    try:
        with editing(obj):
            bones = obj.data.edit_bones
            connected = [bone for bone in bones if bone.use_connect]
            for bone in connected:
                bone.use_connect = False
            for bone in bones:
                move = moved[bone.name]
                head, tail, up = move @ bone.head, move @ bone.tail, move.to_3x3() @ bone.z_axis
                bone.head, bone.tail = head, tail
                bone.align_roll(up)
            for bone in connected:
                bone.use_connect = True
    finally:
        obj.data.use_mirror_x = mirror


@contextmanager
def editing(obj: bpy.types.Object):
    """Edit mode on one object; the mode, selection and active object of before come back."""
    layer = bpy.context.view_layer
    active, selected = layer.objects.active, [o for o in layer.objects if o.select_get()]
    if active and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    try:
        yield
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")
        layer.objects.active = active
        for other in layer.objects:
            other.select_set(other in selected)
