# SPDX-License-Identifier: GPL-3.0-or-later
"""A material and a texture for meshes that come with vertex colours only, or without any colour."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from ..mesh import baked
from ..mesh.arrays import SkinnedMesh
from ..versions import node_tree
from ..vrm.base_colour import base_colour, base_image, colour_attribute
from .ownership import Notes
from .parts import COLOURS

SKIN = (0.62, 0.45, 0.36, 1.0)  # linear
VARIES = 0.02  # of full colour: vertex colours that differ less are no colours


@dataclass
class Painted:
    """Linear colours of a surface: at its corners (T, 3, 3), or (P, 3) at points (P, 3) of a denser one."""

    colours: np.ndarray
    points: np.ndarray | None = None


def take(data: SkinnedMesh) -> Painted | None:
    """Takes the vertex colours off the mesh, where no material has a texture; None where that has no colours to show.
    Without them the mesh can be made lighter than its colours are.
    """
    materials = [bpy.data.materials.get(one) if one else None for one in data.materials]
    worn = [material is not None and colour_attribute(material) is not None for material in materials]
    layers = [key for key, values in data.corner_layers.items() if values.shape[2] == 4]
    layer = COLOURS if any(worn) and COLOURS in layers else next(iter(layers), "")
    bare = not any(material and base_image(material) for material in materials)
    if not (bare and layer and _is_painted(data.corner_layers[layer][..., :3], any(worn))):
        return None
    return Painted(_shown(data, data.corner_layers.pop(layer)[..., :3], materials, worn))


def at_points(painted: Painted, data: SkinnedMesh) -> Painted:
    """The colours of a mesh's vertices, apart from the mesh; corners that differ at a vertex give one of them."""
    at = np.zeros((len(data.vertices), 3), np.float32)
    at[data.triangles.ravel()] = painted.colours.reshape(-1, 3)
    return Painted(at, data.vertices)


def settle(data: SkinnedMesh, painted: Painted | None, name: str, notes: Notes) -> None:
    """Bakes the colours into a texture, or adds a material where there is none."""
    if painted:
        _bake(data, painted, name)
        notes.append(("baked_colours", "The vertex colours were baked into a texture."))
    elif not any(one and bpy.data.materials.get(one) for one in data.materials):
        data.materials = [_material(f"{name} Skin").name]
        data.material_index = np.zeros(len(data.triangles), np.int32)
        notes.append(("no_material", "The mesh had no material and got one in a skin colour."))


def _is_painted(colours: np.ndarray, worn: bool) -> bool:
    """Whether the colours are more than the white, or the one colour, that a program fills in by itself."""
    off = np.abs(colours - 1).max() if worn else np.ptp(colours.reshape(-1, 3), axis=0).max()
    return bool(off > VARIES)


def _shown(
    data: SkinnedMesh, colours: np.ndarray, materials: list[bpy.types.Material | None], worn: list[bool]
) -> np.ndarray:
    """(T, 3, 3) what is seen at the corners: a material's own colour, times the vertex colours where it uses them.
    Formats whose importer makes no material of vertex colours have nothing else to show.
    """
    shown = colours.copy()
    if any(worn):
        for slot, (material, uses) in enumerate(zip(materials, worn, strict=True)):
            if material:
                some, factor = data.material_index == slot, base_colour(material)[:3]
                shown[some] = shown[some] * factor if uses else factor
    return shown


def _bake(data: SkinnedMesh, painted: Painted, name: str) -> None:
    linear = np.clip(painted.colours, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    centres = data.vertices[data.triangles].mean(1)
    if painted.points is None:
        data.corner_uvs, picture = baked.painted_triangles(centres, srgb.astype(np.float32))
    else:
        texels = baked.resampled(data.vertices, data.triangles, painted.points, srgb)
        data.corner_uvs, picture = baked.painted(centres, texels)
    height, width = picture.shape[:2]
    image = bpy.data.images.new(f"{name} colours", width, height)
    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., :3] = picture
    image.pixels.foreach_set(rgba.ravel())
    image.pack()
    data.materials = [_material(f"{name} Skin", image).name]
    data.material_index = np.zeros(len(data.triangles), np.int32)


def _material(name: str, image: bpy.types.Image | None = None) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.diffuse_color = SKIN
    tree = node_tree(material)
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = SKIN
    shader.inputs["Roughness"].default_value = 0.8
    if image:
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = image
        node.location = (shader.location.x - 320, shader.location.y)
        tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    return material
