# SPDX-License-Identifier: GPL-3.0-or-later
"""What is chosen before an avatar is made: presets, the seed, and the options of the chosen engines alone."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel, UILayout

from ..avatar_addon.client import engines
from ..avatar_addon.client.engine_options import DRAWN, SAMPLING
from .picture import KINDS
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
        for setting in KINDS.values():
            _draw_engine(layout, settings, getattr(settings, setting))
        column = layout.column()
        column.prop(settings, "markers")
        column.prop(settings, "vrm_version")
        column.prop(settings, "author")


def _draw_engine(layout: UILayout, settings: bpy.types.PropertyGroup, name: str) -> None:
    names = DRAWN.get(name, ((), ()))[0]
    column = layout.column()
    for option in names:
        column.prop(getattr(settings, name), option)


class AVATARFORGE_PT_advanced(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_advanced"
    bl_parent_id = "AVATARFORGE_PT_options"
    bl_label = "Advanced"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return any(advanced for _, _, advanced in _advanced(context))

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.avatar_forge
        layout.use_property_split = True
        layout.use_property_decorate = False
        for kind, name, options in _advanced(context):
            if not options:
                continue
            group = getattr(settings, name)
            layout.label(text=engines.label(kind, name))
            column = layout.column()
            for option in options:
                if option in SAMPLING and not group.own_sampling:
                    continue
                column.prop(group, option)


def _advanced(context: Context) -> list[tuple[str, str, tuple[str, ...]]]:
    settings = context.scene.avatar_forge
    chosen = [(kind, getattr(settings, setting)) for kind, setting in KINDS.items()]
    return [(kind, name, DRAWN.get(name, ((), ()))[1]) for kind, name in chosen]


CLASSES = (AVATARFORGE_PT_options, AVATARFORGE_PT_advanced)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
