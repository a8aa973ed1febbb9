# SPDX-License-Identifier: GPL-3.0-or-later
"""The materials of the inside of the mouth, one set an avatar."""

from __future__ import annotations

import bpy

from ..versions import node_tree
from .synthesis.build import PARTS

COLOURS = {"Mouth": (0.14, 0.03, 0.04), "Teeth": (0.92, 0.9, 0.86), "Tongue": (0.62, 0.2, 0.22)}
_PART_OF = {slot: part for part, slot in PARTS.items()}


def own_name(avatar_name: str, slot: str) -> str:
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
