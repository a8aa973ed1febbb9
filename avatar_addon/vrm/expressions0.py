# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of VRM 1.0 as blend shape groups of VRM 0.x and back: custom ones, material binds, on or off.

Sources: VRMC_vrm-1.0 (expressions), VRM 0.0 (blendShapeMaster). Colours of 0.x are sRGB, its texture offsets count from
below as Unity's do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import bpy

from . import base_colour
from .addon import extension
from .spec import presets
from .spec.human_bones import snake_case

COLOURS = {
    "color": "_Color",
    "emissionColor": "_EmissionColor",
    "shadeColor": "_ShadeColor",
    "rimColor": "_RimColor",
    "outlineColor": "_OutlineColor",
}
TRANSFORM = "_MainTex_ST"
OF_VRM0 = {name: kind for kind, name in COLOURS.items()}


def named(armature: bpy.types.Object) -> list[tuple[str, bpy.types.PropertyGroup]]:
    """(name, expression) of VRM 1.0: presets, neutral and the custom ones."""
    known = extension(armature).vrm1.expressions
    found = {name: getattr(known.preset, snake_case(name), None) for name in (*presets.PRESETS, "neutral")}
    return [(name, expression) for name, expression in found.items() if expression] + [
        (str(custom.custom_name), custom) for custom in known.custom
    ]


def has_content(expression: bpy.types.PropertyGroup) -> bool:
    return bool(expression.morph_target_binds or expression.material_color_binds or expression.texture_transform_binds)


@contextlib.contextmanager
def also_as_vrm0(armature: bpy.types.Object) -> Iterator[None]:
    """While it lasts, what VRM 1.0 says and 0.x can hold is in the groups of 0.x as well, where those do not say it."""
    groups = extension(armature).vrm0.blend_shape_master.blend_shape_groups
    before = len(groups)
    changed: list[tuple[int, bool, bool]] = []
    try:
        for name, expression in named(armature):
            if has_content(expression):
                _fill(groups, name, expression, changed)
        yield
    finally:
        while len(groups) > before:
            groups.remove(len(groups) - 1)
        for index, binary, values in changed:
            groups[index].is_binary = binary
            if values:
                groups[index].material_values.clear()


def _fill(groups, name: str, expression, changed: list[tuple[int, bool, bool]]) -> None:
    known = presets.PRESETS.get(name)
    preset = (known.vrm0 if known else "neutral" if name == "neutral" else "") or "unknown"
    index = next(
        (k for k, g in enumerate(groups) if g.name == name or (preset != "unknown" and g.preset_name == preset)), -1
    )
    if index < 0:
        group = groups.add()
        group.name, group.preset_name = name, preset
        for bind in expression.morph_target_binds:
            new = group.binds.add()
            new.mesh.mesh_object_name, new.index, new.weight = bind.node.mesh_object_name, bind.index, bind.weight
    else:
        group = groups[index]
        changed.append((index, group.is_binary, not len(group.material_values)))
    group.is_binary = group.is_binary or expression.is_binary
    if len(group.material_values):
        return
    for bind in expression.material_color_binds:
        if bind.material and bind.type in COLOURS:
            _add_value(group, bind.material, COLOURS[bind.type], _to_srgb(bind.target_value))
    for bind in expression.texture_transform_binds:
        if bind.material:
            _add_value(group, bind.material, TRANSFORM, _flipped(*bind.scale, *bind.offset))


def _add_value(group, material: bpy.types.Material, name: str, values) -> None:
    value = group.material_values.add()
    value.material, value.property_name = material, name
    value.target_value.clear()
    for number in values:
        value.target_value.add().value = number


def values_as_vrm1(group, expression) -> None:
    """The material values of a group of VRM 0.x as binds of a VRM 1.0 expression; what 1.0 has no name for is left
    out.
    """
    for value in group.material_values:
        numbers = [entry.value for entry in value.target_value]
        if value.material is None or len(numbers) < 4:
            continue
        if value.property_name in OF_VRM0:
            bind = expression.material_color_binds.add()
            bind.material, bind.type = value.material, OF_VRM0[value.property_name]
            bind.target_value = _to_linear(numbers[:4])
        elif value.property_name == TRANSFORM:
            bind = expression.texture_transform_binds.add()
            bind.material = value.material
            sx, sy, ox, oy = _flipped(*numbers[:4])
            bind.scale, bind.offset = (sx, sy), (ox, oy)


def dropped(armature: bpy.types.Object) -> list[str]:
    """What the avatar has and VRM 0.x cannot hold, in words of a list."""
    found = []
    for name, expression in named(armature):
        overrides = (expression.override_blink, expression.override_mouth, expression.override_look_at)
        usual = presets.PRESETS[name].override if name in presets.PRESETS else "none"
        if has_content(expression) and any(kind not in ("none", usual) for kind in overrides):
            found.append(f"what {name} overrides")
        if any(bind.type not in COLOURS for bind in expression.material_color_binds):
            found.append(f"the matcap colour of {name}")
    constrained = sum(
        any(one.type in NODE_CONSTRAINTS and not one.mute for one in bone.constraints) for bone in armature.pose.bones
    )
    if constrained:
        found.append(f"the constraints of {constrained} bones")
    materials = {
        slot.material
        for obj in armature.children_recursive
        if obj.type == "MESH"
        for slot in obj.material_slots
        if slot.material
    }
    if any(base_colour.colour_attribute(m) is not None for m in materials):
        found.append("vertex colours")
    return found


NODE_CONSTRAINTS = ("COPY_ROTATION", "DAMPED_TRACK")  # those that VRM 1.0 has: roll, rotation and aim


def _flipped(sx: float, sy: float, ox: float, oy: float) -> tuple[float, float, float, float]:
    """Texture scale and offset with the origin at the other end of V."""
    return sx, sy, ox, 1.0 - sy - oy


def _to_srgb(values) -> list[float]:
    *rgb, alpha = tuple(values)[:4]
    return [12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in rgb] + [alpha]


def _to_linear(values) -> list[float]:
    *rgb, alpha = values
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb] + [alpha]
