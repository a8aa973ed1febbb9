# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets of the generation settings, kept by Blender like any other preset."""

from __future__ import annotations

import bpy
from bl_operators.presets import AddPresetBase
from bpy.types import Menu, Operator

from ..avatar_addon.client import engine_options

FOLDER = "avatar_forge/generation"


class AVATARFORGE_MT_generation_presets(Menu):
    bl_label = "Presets"
    preset_subdir = FOLDER
    preset_operator = "avatar_forge.apply_preset"  # as Blender's own, but an undo step
    draw = Menu.draw_preset


class AVATARFORGE_OT_add_generation_preset(AddPresetBase, Operator):
    bl_idname = "avatar_forge.add_generation_preset"
    bl_label = "Add Preset"
    bl_description = "Save the engines and their options as a preset, or remove the selected preset"
    preset_menu = "AVATARFORGE_MT_generation_presets"
    preset_subdir = FOLDER
    preset_defines = ["settings = bpy.context.scene.avatar_forge"]

    @property
    def preset_values(self) -> list[str]:
        names = ["engine", "rigger", "seed", *engine_options.paths()]
        return [f"settings.{name}" for name in names]


CLASSES = (AVATARFORGE_MT_generation_presets, AVATARFORGE_OT_add_generation_preset)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
