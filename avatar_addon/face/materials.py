# SPDX-License-Identifier: GPL-3.0-or-later
"""The materials that the face step adds, one set an avatar: the inside of the mouth, drawn mouths, and skin without
an outline.
"""

from __future__ import annotations

import bpy
import numpy as np

from ..mesh.arrays import SkinnedMesh
from ..versions import node_tree
from ..vrm import materials as look
from ..vrm.base_colour import base_image
from .synthesis.build import PARTS
from .synthesis.cards import SLOT

COLOURS = {"Mouth": (0.14, 0.03, 0.04), "Teeth": (0.92, 0.9, 0.86), "Tongue": (0.62, 0.2, 0.22)}
CARDS = "MouthCards"
FACE = "Face"  # skin that is never outlined: MToon draws the outline of what waits behind the skin through it
_PART_OF = {slot: part for part, slot in PARTS.items()}


def settle(avatar_name: str, mesh: SkinnedMesh, bare: np.ndarray, cards: np.ndarray | None) -> None:
    """Gives the face step's slots the avatar's materials.

    bare: (T,) the triangles that are never outlined; cards: what is drawn on mouth cards, (H, W, 4), top row first.
    """
    if cards is not None:
        _cards_material(cards_name(avatar_name), cards)
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
    return material.name.startswith((f"{avatar_name} {FACE}", cards_name(avatar_name)))


def cards_name(avatar_name: str) -> str:
    return f"{avatar_name} {CARDS}"


def _cards_material(name: str, pixels: np.ndarray) -> None:
    material = bpy.data.materials.get(name)
    image = base_image(material) if material else None
    if image is None:
        image = bpy.data.images.new(name, pixels.shape[1], pixels.shape[0])
    image.pixels.foreach_set(np.ascontiguousarray(pixels[::-1], np.float32).ravel())
    image.update()
    image.pack()
    if material:
        return
    material = bpy.data.materials.new(name)
    tree = node_tree(material)
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image, node.location = image, (-400, 0)
    tree.links.new(node.outputs["Color"], next(n for n in tree.nodes if n.type == "BSDF_PRINCIPLED").inputs[0])


def _without_outline(avatar_name: str, original: bpy.types.Material, number: int) -> bpy.types.Material:
    name = f"{avatar_name} {FACE} {number + 1}" if number else f"{avatar_name} {FACE}"
    known = bpy.data.materials.get(name)
    if known and base_image(known) == base_image(original) and look.style_of(known) == look.style_of(original):
        return known
    if known and not known.users:
        bpy.data.materials.remove(known)
    return look.without_outline(original, name)


def _own_name(avatar_name: str, slot: str) -> str:
    """The avatar's material for a slot of the face step, made where it is missing; any other slot's name as it is."""
    if slot == SLOT:
        return cards_name(avatar_name)
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
