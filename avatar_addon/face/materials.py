# SPDX-License-Identifier: GPL-3.0-or-later
"""The materials that the face step adds, one set an avatar: the inside of the mouth, and skin without an outline."""

from __future__ import annotations

import bpy
import numpy as np

from ..mesh.arrays import SkinnedMesh
from ..versions import node_tree
from ..vrm import materials as look
from ..vrm.base_colour import base_image
from .synthesis.build import PARTS

COLOURS = {"Mouth": (0.14, 0.03, 0.04), "Teeth": (0.92, 0.9, 0.86), "Tongue": (0.62, 0.2, 0.22)}
FACE = "Face"  # skin that is never outlined: MToon draws the outline of what waits behind the skin through it
_PART_OF = {slot: part for part, slot in PARTS.items()}


def settle(avatar_name: str, mesh: SkinnedMesh, bare: np.ndarray) -> None:
    """Gives the face step's slots the avatar's materials. bare: (T,) the triangles that are never outlined."""
    count = len(mesh.materials)
    for slot in range(count):
        some = bare & (mesh.material_index == slot)
        original = bpy.data.materials.get(mesh.materials[slot])
        if original and some.any():
            mesh.material_index[some] = len(mesh.materials)
            mesh.materials.append(_without_outline(avatar_name, original, len(mesh.materials) - count).name)
    mesh.materials[:count] = [_own_name(avatar_name, slot) for slot in mesh.materials[:count]]


def is_bare(avatar_name: str, material: bpy.types.Material) -> bool:
    """Whether it is skin that is never outlined."""
    return material.name.startswith(f"{avatar_name} {FACE}")


def _without_outline(avatar_name: str, original: bpy.types.Material, number: int) -> bpy.types.Material:
    name = f"{avatar_name} {FACE} {number + 1}" if number else f"{avatar_name} {FACE}"
    known = bpy.data.materials.get(name)
    if known and base_image(known) == base_image(original) and look.style_of(known) == look.style_of(original):
        return known
    if known:
        known.name = f"{name} before"
    return look.without_outline(original, name)


def _own_name(avatar_name: str, slot: str) -> str:
    """The avatar's material for a slot of the face step, made where it is missing; any other slot's name as it is."""
    if slot not in _PART_OF:
        return slot
    part = _PART_OF[slot]
    material = bpy.data.materials.get(f"{avatar_name} {part}")
    if material is None:
        material = bpy.data.materials.new(f"{avatar_name} {part}")
        colour = (*COLOURS[part], 1.0)
        material.diffuse_color = colour
        for node in node_tree(material).nodes:
            if node.type == "BSDF_PRINCIPLED":
                node.inputs["Base Color"].default_value = colour
    return material.name
