# SPDX-License-Identifier: GPL-3.0-or-later
"""What is chosen before an avatar is made: presets, the seed, and the options of the chosen engines alone."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel

from ..avatar_addon.client import engines
from ..avatar_addon.client.engine_options import SETTINGS, drawn, group_of
from .sidebar import SidebarPanel


class AVATARFORGE_PT_options(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_options"
    bl_parent_id = "AVATARFORGE_PT_make"
    bl_label = "Options"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.avatar_forge
        menu = bpy.types.AVATARFORGE_MT_generation_presets
        row = layout.row(align=True)
        row.menu(menu.__name__, text=menu.bl_label)
        row.operator("avatar_forge.add_generation_preset", text="", icon="ADD")
        row.operator("avatar_forge.add_generation_preset", text="", icon="REMOVE").remove_active = True
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "seed")
        for kind in SETTINGS:
            column = layout.column()
            for option in drawn(settings, kind, advanced=False):
                column.prop(group_of(settings, kind), option)
        column = layout.column()
        column.prop(settings, "markers")
        column.prop(settings, "vrm_version")
        column.prop(settings, "perfect_sync")
        column.prop(settings, "author")


class AVATARFORGE_PT_advanced(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_advanced"
    bl_parent_id = "AVATARFORGE_PT_options"
    bl_label = "Advanced"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        settings = context.scene.avatar_forge
        return any(True for kind in SETTINGS for _ in drawn(settings, kind, advanced=True))

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.avatar_forge
        layout.use_property_split = True
        layout.use_property_decorate = False
        for kind, setting in SETTINGS.items():
            options = list(drawn(settings, kind, advanced=True))
            if not options:
                continue
            layout.label(text=engines.label(kind, getattr(settings, setting)))
            column = layout.column()
            for option in options:
                column.prop(group_of(settings, kind), option)


CLASSES = (AVATARFORGE_PT_options, AVATARFORGE_PT_advanced)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
