# SPDX-License-Identifier: GPL-3.0-or-later
"""How materials are lit: MToon, unlit or PBR, each kept while another is worn, and MToon's shadows and outline.

In the file: MToon is VRMC_materials_mtoon, unlit is KHR_materials_unlit alone, PBR is plain glTF, for VRM 1.0; in VRM
0.x MToon is VRM/MToon and the others are VRM_USE_GLTFSHADER. The VRM Add-on writes the first from its own properties
and leaves the others as Blender's glTF exporter reads them from the nodes, so unlit is the exporter's pattern: Light
Path, Mix Shader, Emission. Sources: VRMC_materials_mtoon-1.0, KHR_materials_unlit, Blender's glTF exporter
(material/unlit.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import bpy
from bpy_extras.node_shader_utils import PrincipledBSDFWrapper

from ..versions import has_nodes, node_tree
from . import addon as vrm_addon
from . import setup
from .base_colour import base_image, colour_attribute

MTOON, UNLIT, PBR = "MTOON", "UNLIT", "PBR"
STYLES = {MTOON: "MToon", UNLIT: "Unlit", PBR: "PBR"}
ROUGH = 0.9  # of a PBR material that was made from a drawing
HARDEST = 0.95  # toony factor at no softness: a crisp edge without staircases
SETTINGS = ("shadow", "shadow_colour", "softness", "outline_width", "outline_colour", "own")
Colour = tuple[float, float, float]

quiet = False


@dataclass(frozen=True)
class Surface:
    """What every style has in common. alpha: OPAQUE, MASK or BLEND."""

    image: bpy.types.Image | None
    colour: tuple[float, float, float, float]
    normal: bpy.types.Image | None
    alpha: str
    cutoff: float
    double_sided: bool


def style_of(material: bpy.types.Material) -> str:
    """MTOON, UNLIT or PBR, from the material itself."""
    if _toon(material).enabled:
        return MTOON
    return UNLIT if _shadeless(material) else PBR


def set_style(material: bpy.types.Material, style: str) -> bpy.types.Material:
    """Puts another style on everything that has the material, and keeps the one it had; returns the one that is worn
    now.

    Styles are materials of their own, of which one is worn under the name and the others wait in its settings:
    whatever a user or an importer has put into the nodes comes back untouched.
    """
    now = style_of(material)
    if style == now:
        return material
    kept = getattr(material.avatar_forge_look, style.lower())
    if kept is None:
        surface = read_surface(material)
        kept = material.copy()
        _forget_styles(kept)
        _toon(kept).outline_material = None
        BUILDERS[style](kept, surface)
    _swap(material, kept, now)
    return kept


def set_default(material: bpy.types.Material, double_sided: bool = False) -> None:
    """MToon without shading, as `setup.make_toon`, once: a material that is one already, or that was given another
    style, is left alone, and so is one that is coloured by the mesh alone, since MToon has no vertex colours.
    """
    look = material.avatar_forge_look
    if _toon(material).enabled or look.mtoon or _shadeless(material) or coloured_by_mesh(material):
        return
    surface, original = read_surface(material), material.copy()
    original.name = _aside_name(material, PBR)
    _build_toon(material, surface, double_sided and surface.double_sided)
    look.pbr = original


def coloured_by_mesh(material: bpy.types.Material) -> bool:
    """Whether vertex colours alone are the base colour."""
    return colour_attribute(material) is not None and base_image(material) is None


def read_surface(material: bpy.types.Material) -> Surface:
    """From any style's nodes, those of an importer included as far as they are usual."""
    toon = _toon(material)
    if toon.enabled:
        base = toon.pbr_metallic_roughness
        colour = tuple(base.base_color_factor)
        return Surface(
            base.base_color_texture.index.source,
            colour,
            toon.normal_texture.index.source,
            toon.alpha_mode,
            toon.alpha_cutoff,
            toon.double_sided,
        )
    image, colour, normal, alpha = base_image(material), (1.0, 1.0, 1.0, 1.0), None, "OPAQUE"
    if not has_nodes(material):
        return Surface(image, tuple(material.diffuse_color), None, alpha, 0.5, not material.use_backface_culling)
    wrapper = PrincipledBSDFWrapper(material)
    if wrapper.node_principled_bsdf:
        if not (image and wrapper.node_principled_bsdf.inputs["Base Color"].is_linked):
            colour = (*wrapper.base_color[:3], wrapper.alpha)
        normal = wrapper.normalmap_texture.image if wrapper.normalmap_texture else None
        alpha = _alpha_of(wrapper.node_principled_bsdf)
    else:
        for node in material.node_tree.nodes:
            if node.type == "EMISSION" and not node.inputs["Color"].is_linked:
                colour = tuple(node.inputs["Color"].default_value)
            elif node.type == "MIX" and node.data_type == "RGBA" and not node.inputs[7].is_linked:
                colour = tuple(node.inputs[7].default_value)
            elif (
                node.type == "MIX_SHADER"
                and node.inputs[0].is_linked
                and node.inputs[0].links[0].from_socket.name != "Is Camera Ray"
            ):
                alpha = "MASK" if node.inputs[0].links[0].from_node.type == "MATH" else "BLEND"
    return Surface(image, colour, normal, alpha, 0.5, not material.use_backface_culling)


def set_shadow(material: bpy.types.Material, strength: float, colour: Colour, softness: float) -> None:
    """MToon's shade: strength 0 is flat, as the picture was drawn; softness 0 is an edge, 1 a gradient around the
    whole body.
    """
    toon = _toon(material)
    if not toon.enabled:
        return
    base = toon.pbr_metallic_roughness.base_color_factor
    shading = toon.extensions.vrmc_materials_mtoon
    shading.shade_color_factor = [b * (1 + strength * (c - 1)) for b, c in zip(base[:3], colour, strict=True)]
    shading.shading_toony_factor = HARDEST * (1 - softness)


def set_outline(material: bpy.types.Material, width: float, colour: Colour) -> None:
    """width: metres in world space, 0: none."""
    toon = _toon(material)
    if not toon.enabled:
        return
    shading = toon.extensions.vrmc_materials_mtoon
    mode = "worldCoordinates" if width > 0 else "none"
    if width > 0 or shading.outline_width_factor > 0:
        shading.outline_width_factor = width
        shading.outline_lighting_mix_factor = 0.0  # else the colour is mixed with the light's
        shading.outline_color_factor = colour
    if shading.outline_width_mode != mode:
        shading.outline_width_mode = mode


def _three(values: Iterable[float]) -> Colour:
    red, green, blue = values
    return red, green, blue


def read_back(material: bpy.types.Material) -> dict[str, float | Colour]:
    """What the settings say when the material was made elsewhere: shadow, shadow_colour, softness, outline_width,
    outline_colour.
    """
    toon = _toon(material)
    if not toon.enabled:
        return {}
    shading, base = toon.extensions.vrmc_materials_mtoon, toon.pbr_metallic_roughness.base_color_factor
    shades = zip(shading.shade_color_factor, base[:3], strict=True)
    ratio = _three(min(s / b, 1.0) if b > 0.01 else 1.0 for s, b in shades)
    found: dict[str, float | Colour] = {"softness": max(0.0, 1 - shading.shading_toony_factor / HARDEST), "shadow": 0.0}
    if min(ratio) < 0.98:
        found |= {"shadow": 1.0, "shadow_colour": ratio}
    if shading.outline_width_mode != "none" and shading.outline_width_factor > 0:
        found |= {
            "outline_width": shading.outline_width_factor,
            "outline_colour": _three(shading.outline_color_factor),
        }
    return found


def without_outline(material: bpy.types.Material, name: str) -> bpy.types.Material:
    """A copy of it, with no other styles waiting, that has no outline."""
    copy = material.copy()
    copy.name = name
    _forget_styles(copy)
    if vrm_addon.is_available():
        _toon(copy).outline_material = None
        set_outline(copy, 0.0, (0.0, 0.0, 0.0))
    return copy


def kept_styles(material: bpy.types.Material) -> list[bpy.types.Material]:
    """The materials that wait in this one's settings."""
    look = material.avatar_forge_look
    return [kept for kept in (look.mtoon, look.unlit, look.pbr) if kept]


def outline_of(material: bpy.types.Material) -> bpy.types.Material | None:
    """The material that the VRM Add-on draws the outline of this one with."""
    return _toon(material).outline_material if vrm_addon.is_available() else None


def _toon(material: bpy.types.Material):
    return material.vrm_addon_extension.mtoon1


def _swap(worn: bpy.types.Material, other: bpy.types.Material, now: str) -> None:
    look, name = worn.avatar_forge_look, worn.name
    waiting = {style: getattr(look, style) for style in ("mtoon", "unlit", "pbr")}
    own = {setting: getattr(look, setting) for setting in SETTINGS}
    _forget_styles(worn)
    mode = _without_outline(worn) if now == MTOON else "none"
    worn.user_remap(other)
    worn.name, other.name = _aside_name(worn, now), name
    if now == MTOON and mode != "none":
        _toon(worn).extensions.vrmc_materials_mtoon.outline_width_mode = mode
    look = other.avatar_forge_look
    for style, kept in waiting.items():
        setattr(look, style, worn if style == now.lower() else None if kept == other else kept)
    with quietly():
        for setting, value in own.items():
            setattr(look, setting, value)
    shading = _toon(other).extensions.vrmc_materials_mtoon
    if _toon(other).enabled and shading.outline_width_mode != "none":
        shading.outline_width_mode = shading.outline_width_mode  # makes the outline's geometry


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """While it lasts, settings that are set change no material."""
    global quiet
    before, quiet = quiet, True
    try:
        yield
    finally:
        quiet = before


def _without_outline(material: bpy.types.Material) -> str:
    """Takes the outline's geometry off the meshes; returns the mode it was."""
    shading = _toon(material).extensions.vrmc_materials_mtoon
    mode = str(shading.outline_width_mode)
    if mode != "none":
        shading.outline_width_mode = "none"
    return mode


def _forget_styles(material: bpy.types.Material) -> None:
    look = material.avatar_forge_look
    look.mtoon = look.unlit = look.pbr = None


def _aside_name(material: bpy.types.Material, style: str) -> str:
    return f"{material.name[:48]} ({STYLES[style]})"


def _alpha_of(node: bpy.types.Node) -> str:
    socket = node.inputs["Alpha"]
    if socket.is_linked:
        return "MASK" if socket.links[0].from_node.type == "MATH" else "BLEND"
    return "BLEND" if socket.default_value < 1 else "OPAQUE"


def _shadeless(material: bpy.types.Material) -> bool:
    """Whether the glTF exporter writes it as unlit: a camera ray sees an emission or a colour, behind transparency or
    not.
    """
    if not has_nodes(material):
        return False
    node = next((n for n in material.node_tree.nodes if n.type == "OUTPUT_MATERIAL" and n.is_active_output), None)
    for _ in range(2):
        socket = node.inputs[0 if node.type == "OUTPUT_MATERIAL" else 2] if node else None
        node = socket.links[0].from_node if socket and socket.is_linked else None
        if node is None or node.type != "MIX_SHADER":
            return False
        if node.inputs[0].is_linked and node.inputs[0].links[0].from_socket.name == "Is Camera Ray":
            return True
    return False


def _build_toon(material: bpy.types.Material, surface: Surface, double_sided: bool | None = None) -> None:
    if not has_nodes(material) or not any(node.type == "BSDF_PRINCIPLED" for node in material.node_tree.nodes):
        _build_pbr(material, surface)  # what the VRM Add-on reads colours and textures from
    setup.make_toon(material)
    toon = _toon(material)
    if surface.alpha != "OPAQUE":
        toon.alpha_mode, toon.alpha_cutoff = surface.alpha, surface.cutoff
        toon.double_sided = surface.double_sided  # cards of hair and lace are seen from both sides
    if double_sided is not None:
        toon.double_sided = toon.double_sided or double_sided


def _build_pbr(material: bpy.types.Material, surface: Surface) -> None:
    nodes, links = _emptied(material, surface)
    shader, out = nodes.new("ShaderNodeBsdfPrincipled"), nodes.new("ShaderNodeOutputMaterial")
    out.location = (300, 0)
    links.new(shader.outputs[0], out.inputs[0])
    shader.inputs["Roughness"].default_value, shader.inputs["Metallic"].default_value = ROUGH, 0.0
    colour, alpha = _colour(material, surface)
    _plug(links, colour, shader.inputs["Base Color"], surface.colour)
    _plug(links, alpha, shader.inputs["Alpha"], surface.colour[3] if surface.alpha == "BLEND" else 1.0)
    if surface.normal:
        image, bump = nodes.new("ShaderNodeTexImage"), nodes.new("ShaderNodeNormalMap")
        image.image, image.location, bump.location = surface.normal, (-600, -300), (-300, -300)
        links.new(image.outputs[0], bump.inputs["Color"])
        links.new(bump.outputs[0], shader.inputs["Normal"])


def _build_unlit(material: bpy.types.Material, surface: Surface) -> None:
    nodes, links = _emptied(material, surface)
    ray, clear = nodes.new("ShaderNodeLightPath"), nodes.new("ShaderNodeBsdfTransparent")
    glow, mix, out = (
        nodes.new("ShaderNodeEmission"),
        nodes.new("ShaderNodeMixShader"),
        nodes.new("ShaderNodeOutputMaterial"),
    )
    ray.location, clear.location, glow.location, mix.location, out.location = (
        (-200, 300),
        (-200, 0),
        (0, -100),
        (200, 0),
        (600, 0),
    )
    links.new(ray.outputs["Is Camera Ray"], mix.inputs[0])
    links.new(clear.outputs[0], mix.inputs[1])
    links.new(glow.outputs[0], mix.inputs[2])
    colour, alpha = _colour(material, surface)
    _plug(links, colour, glow.inputs["Color"], surface.colour)
    last = mix
    if surface.alpha != "OPAQUE":
        last, through = nodes.new("ShaderNodeMixShader"), nodes.new("ShaderNodeBsdfTransparent")
        last.location, through.location = (400, 0), (200, 200)
        links.new(through.outputs[0], last.inputs[1])
        links.new(mix.outputs[0], last.inputs[2])
        _plug(links, alpha, last.inputs[0], surface.colour[3])
    links.new(last.outputs[0], out.inputs[0])


BUILDERS = {MTOON: _build_toon, UNLIT: _build_unlit, PBR: _build_pbr}


def _emptied(material: bpy.types.Material, surface: Surface):
    if _toon(material).enabled:
        _toon(material).enabled = False
    tree = node_tree(material)
    tree.nodes.clear()
    material.use_backface_culling = not surface.double_sided
    material.diffuse_color = surface.colour
    return tree.nodes, tree.links


def _colour(material: bpy.types.Material, surface: Surface):
    """The sockets of the base colour and of the alpha, None where there is no image."""
    if surface.image is None:
        return None, None
    nodes, links = material.node_tree.nodes, material.node_tree.links
    image = nodes.new("ShaderNodeTexImage")
    image.image, image.location = surface.image, (-900, 0)
    nodes.active = image  # what Workbench and texture painting show
    colour, alpha = image.outputs["Color"], image.outputs["Alpha"]
    if any(c < 0.999 for c in surface.colour[:3]):
        times = nodes.new("ShaderNodeMix")
        times.data_type, times.blend_type, times.location = "RGBA", "MULTIPLY", (-500, 0)
        times.inputs[0].default_value = 1.0
        links.new(colour, times.inputs[6])
        times.inputs[7].default_value = surface.colour
        colour = times.outputs[2]
    if surface.alpha == "OPAQUE":
        return colour, None
    if surface.alpha == "MASK":
        # The exporter's pattern for a cutoff is 1 - (alpha < cutoff)
        below, rest = nodes.new("ShaderNodeMath"), nodes.new("ShaderNodeMath")
        below.operation, rest.operation = "LESS_THAN", "SUBTRACT"
        below.location, rest.location = (-600, -250), (-400, -250)
        links.new(alpha, below.inputs[0])
        below.inputs[1].default_value, rest.inputs[0].default_value = surface.cutoff, 1.0
        links.new(below.outputs[0], rest.inputs[1])
        alpha = rest.outputs[0]
    return colour, alpha


def _plug(links, source, socket, value) -> None:
    if source is None:
        socket.default_value = value
    else:
        links.new(source, socket)
