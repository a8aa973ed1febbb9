# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys on the VRM Add-on's previews of expressions, which is where a VRMA file's expressions come from and go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bpy

from ..vrm.addon import extension

ACTION = "avatar_forge_expressions"
BEFORE = "avatar_forge_expressions_before"  # on the armature object: the action that was there, if there was one


def begin(armature: bpy.types.Object) -> bpy.types.Action:
    """A new action for the armature's data; the one that is there comes back with `remove`."""
    data = armature.data.animation_data_create()
    if data.action and not data.action.name.startswith(ACTION):
        armature[BEFORE] = data.action
    data.action = bpy.data.actions.new(ACTION)
    return data.action


def insert(armature: bpy.types.Object, keys: Mapping[str, Sequence[tuple[float, float]]], first: float) -> None:
    """Keys of an avatar's expressions. keys: expression -> (seconds, weight); first: the frame at which they begin."""
    render = bpy.context.scene.render
    rate = render.fps / render.fps_base
    there = _expressions(armature)
    begin(armature)
    for name, points in keys.items():
        if name not in there:
            continue
        for seconds, weight in points:
            there[name].preview = weight
            there[name].keyframe_insert("preview", frame=first + seconds * rate)
        there[name].preview = 0.0


def adopt(armature: bpy.types.Object, before: bpy.types.Action | None) -> None:
    """Makes the action that another has just given to the armature's data one of ours."""
    data = armature.data.animation_data
    if data and data.action and data.action != before:
        data.action.name = ACTION
        if before:
            armature[BEFORE] = before


def remove(armature: bpy.types.Object) -> None:
    """Takes our keys away, and brings back what was there before."""
    data = armature.data.animation_data
    if not data or not data.action or not data.action.name.startswith(ACTION):
        return
    action, before = data.action, armature.get(BEFORE)
    data.action = before
    if not action.users:
        bpy.data.actions.remove(action)
    if before is None and not data.drivers and not data.nla_tracks:
        armature.data.animation_data_clear()
    if BEFORE in armature:
        del armature[BEFORE]
    for expression in _expressions(armature).values():
        if expression.preview:
            expression.preview = 0.0


def _expressions(armature: bpy.types.Object) -> dict[str, Any]:
    return extension(armature).vrm1.expressions.all_name_to_expression_dict()
