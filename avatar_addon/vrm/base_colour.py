# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a material's base colour comes from: its image, the UV map that this is on, vertex colours and the factor.

Only what leads into the base colour counts: a normal map or a glow beside a plain colour is no base colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import bpy

from ..versions import has_nodes

SHADERS = ("MIX_SHADER", "ADD_SHADER")
COLOURS = ("base color", "base colour", "color", "diffuse color", "diffuse", "albedo")  # of shaders
NO_COLOUR = ("Fac", "Factor", "Vector", "Normal", "Strength", "Roughness", "Metallic", "Alpha")
Colour = tuple[float, float, float, float]


def base_image(material: bpy.types.Material) -> bpy.types.Image | None:
    """The image behind the base colour, of MToon too; None where the colour has none."""
    toon = getattr(material, "vrm_addon_extension", None)
    if toon and toon.mtoon1.enabled:
        return toon.mtoon1.pbr_metallic_roughness.base_color_texture.index.source
    node = image_node(material)
    return node.image if node else None


def image_node(material: bpy.types.Material) -> bpy.types.Node | None:
    return next((n for n in _behind_colour(material) if n.type == "TEX_IMAGE" and n.image), None)


def uv_map(material: bpy.types.Material) -> str:
    """The name of the UV map that the base colour's image is on; "" for the mesh's usual one."""
    node = image_node(material)
    socket = node.inputs["Vector"] if node else None
    while socket and socket.is_linked:
        node = socket.links[0].from_node
        if node.type in ("UVMAP", "ATTRIBUTE"):
            return str(node.uv_map if node.type == "UVMAP" else node.attribute_name)
        socket = node.inputs[0] if node.inputs else None
    return ""


def colour_attribute(material: bpy.types.Material) -> str | None:
    """The name of the vertex colours that the base colour is made of, "" for the mesh's active ones; None for none."""
    for node in _behind_colour(material):
        if node.type == "VERTEX_COLOR":
            return str(node.layer_name)
        if node.type == "ATTRIBUTE" and node.attribute_type == "GEOMETRY":
            return str(node.attribute_name)
    return None


def base_colour(material: bpy.types.Material) -> Colour:
    """What stands in the base colour where nothing leads into it; what an image is multiplied with; else white."""
    colour: Colour = (1.0, 1.0, 1.0, 1.0)
    sockets = list(_colour_sockets(material))
    if sockets and not sockets[0].is_linked:
        return _four(sockets[0].default_value)
    for node in _behind_colour(material):
        if node.type in ("MIX", "MIX_RGB") and node.blend_type == "MULTIPLY":
            for socket in _colour_inputs(node):
                if not socket.is_linked and socket.type == "RGBA":
                    colour = _four(a * b for a, b in zip(colour, _four(socket.default_value), strict=True))
    return colour


def _four(value: Iterable[float]) -> Colour:
    red, green, blue, alpha = value
    return red, green, blue, alpha


def _colour_sockets(material: bpy.types.Material) -> Iterator[bpy.types.NodeSocket]:
    """The base colour's sockets of the shaders that the material shows."""
    if not has_nodes(material):
        return
    tree = material.node_tree
    output = next((n for n in tree.nodes if n.type == "OUTPUT_MATERIAL" and n.is_active_output), None)
    waiting, seen = [output] if output else [], set()
    while waiting:
        node = waiting.pop(0)
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.type in ("OUTPUT_MATERIAL", *SHADERS):
            inputs = node.inputs[:1] if node.type == "OUTPUT_MATERIAL" else node.inputs
            links = [s.links[0] for s in inputs if s.is_linked and (s.type == "SHADER" or s.name == "Surface")]
            waiting += [link.from_node for link in links]
        elif node.type == "REROUTE" and node.inputs[0].is_linked:
            waiting.append(node.inputs[0].links[0].from_node)
        elif node.type != "BSDF_TRANSPARENT":
            sockets = {socket.name.lower(): socket for socket in node.inputs}
            yield from (sockets[name] for name in COLOURS if name in sockets)


def _behind_colour(material: bpy.types.Material) -> Iterator[bpy.types.Node]:
    """Every node that leads into the base colour, nearest first."""
    waiting = [socket.links[0].from_node for socket in _colour_sockets(material) if socket.is_linked]
    seen = set()
    while waiting:
        node = waiting.pop(0)
        if node.name in seen:
            continue
        seen.add(node.name)
        yield node
        waiting += [socket.links[0].from_node for socket in _colour_inputs(node) if socket.is_linked]


def _colour_inputs(node: bpy.types.Node) -> list[bpy.types.NodeSocket]:
    if node.type == "TEX_IMAGE":
        return []
    return [socket for socket in node.inputs if socket.name not in NO_COLOUR and not socket.is_unavailable]
