# SPDX-License-Identifier: GPL-3.0-or-later
"""A model out of any animation, into its rest pose and its shape at rest."""

from __future__ import annotations

import re
from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Matrix

from ..versions import fcurves
from ..vrm.spec.shape_key_names import recognise
from .ownership import Notes

KEY = re.compile(r'key_blocks\["(.+?)"\]')


def rest(armature: bpy.types.Object | None, meshes: Sequence[bpy.types.Object], notes: Notes) -> None:
    """Animations, drivers of shape keys and constraints of the objects themselves go; shape keys come to rest."""
    objects = [obj for obj in (armature, *meshes) if obj]
    moved_keys = {obj: _moved_keys(obj) for obj in meshes}
    keys = [obj.data.shape_keys for obj in meshes if obj.data.shape_keys]
    animated = [owner for owner in (*objects, *keys) if owner.animation_data]
    if any(_has_motion(owner.animation_data) for owner in animated):
        notes.append(("animation", "The model's animation was removed."))
    for owner in animated:
        owner.animation_data_clear()
    for obj in objects:
        _drop_constraints(obj)
    if armature:
        for bone in armature.pose.bones:
            bone.matrix_basis.identity()
    for obj in meshes:
        _settle_keys(obj, moved_keys[obj], notes)
    bpy.context.view_layer.update()


def _has_motion(data: bpy.types.AnimData) -> bool:
    return bool(data.action or data.nla_tracks or data.drivers)


def _drop_constraints(obj: bpy.types.Object) -> None:
    """The object stays where its own constraints and delta transforms have put it."""
    world = obj.matrix_world.copy()
    if obj.constraints:
        obj.constraints.clear()
    obj.delta_location, obj.delta_scale = (0, 0, 0), (1, 1, 1)
    obj.delta_rotation_euler, obj.delta_rotation_quaternion = (0, 0, 0), (1, 0, 0, 0)
    bpy.context.view_layer.update()
    if obj.matrix_world != world:
        obj.matrix_world = world


def _moved_keys(obj: bpy.types.Object) -> set[str]:
    """Shape keys whose value an animation or a driver changes; glTF animates all keys of a mesh where it moves one."""
    keys = obj.data.shape_keys
    data = keys.animation_data if keys else None
    if data is None:
        return set()
    actions = [data.action, *(strip.action for track in data.nla_tracks for strip in track.strips)]
    paths = [curve.data_path for action in actions if action for curve in fcurves(action) if _varies(curve)]
    paths += [driver.data_path for driver in data.drivers]
    return {found[1] for path in paths if (found := KEY.search(path))}


def _varies(curve: bpy.types.FCurve) -> bool:
    values = [point.co[1] for point in curve.keyframe_points]
    return not values or max(values) - min(values) > 1e-4


def _settle_keys(obj: bpy.types.Object, moved: set[str], notes: Notes) -> None:
    """No key is on: what is no expression and was set by hand, such as the build of a body, becomes the shape at
    rest.
    """
    keys = obj.data.shape_keys
    if keys is None:
        return
    blocks = [block for block in keys.key_blocks if block != keys.reference_key]
    expressions = {
        key for bound in recognise(block.name for block in blocks).binds.values() for key, _ in bound
    } | moved
    worn = [block for block in blocks if abs(block.value) > 1e-4 and not block.mute and block.name not in expressions]
    if worn:
        total = sum(block.value * _mask(obj, block) * (_points(block) - _points(block.relative_key)) for block in worn)
        for block in keys.key_blocks:
            _set_points(block, _points(block) + total)
        obj.data.vertices.foreach_set("co", _points(keys.reference_key).ravel())
        names = ", ".join(block.name for block in worn[:4]) + (" and so on" if len(worn) > 4 else "")
        notes.append(("keys_applied", f"The shape keys {names} of {obj.name} are now part of its rest shape."))
    for block in blocks:
        block.value = 0.0
    obj.show_only_shape_key = False
    obj.data.update()


def _points(block: bpy.types.ShapeKey) -> np.ndarray:
    flat = np.empty(len(block.data) * 3, np.float32)
    block.data.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def _set_points(block: bpy.types.ShapeKey, points: np.ndarray) -> None:
    block.data.foreach_set("co", np.ascontiguousarray(points, np.float32).ravel())


def _mask(obj: bpy.types.Object, block: bpy.types.ShapeKey) -> np.ndarray:
    """(V, 1) how much a key counts at each vertex."""
    mask = np.ones((len(block.data), 1), np.float32)
    group = obj.vertex_groups.get(block.vertex_group)
    if group:
        for vertex in obj.data.vertices:
            mask[vertex.index] = next((g.weight for g in vertex.groups if g.group == group.index), 0.0)
    return mask


def identity(obj: bpy.types.Object) -> None:
    """No transform of its own."""
    obj.matrix_parent_inverse.identity()
    obj.matrix_basis = Matrix()
