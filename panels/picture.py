# SPDX-License-Identifier: GPL-3.0-or-later
"""The first panel: picture, Make Avatar, progress."""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews
from bpy.types import Context, Panel

from ..avatar_addon import session
from .text import sentence

_previews: bpy.utils.previews.ImagePreviewCollection | None = None


class SidebarPanel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Avatar"


class AVATARFORGE_PT_make(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_make"
    bl_label = "Make Avatar"

    def draw(self, context: Context) -> None:
        layout = self.layout
        settings = context.scene.avatar_forge
        column = layout.column()
        column.enabled = not context.window_manager.avatar_forge.running
        column.prop(settings, "picture", text="")
        icon = _thumbnail(settings.picture)
        if icon:
            column.template_icon(icon_value=icon, scale=9.0)
        column = column.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "name")
        column.prop(settings, "engine")
        column.prop(settings, "rigger")
        column.prop(settings, "export")
        if settings.export:
            column.prop(settings, "out_dir")
        self._draw_task(context)

    def _draw_task(self, context: Context) -> None:
        layout, state = self.layout, context.window_manager.avatar_forge
        if state.running:
            layout.progress(factor=state.fraction, text=f"{state.fraction:.0%}  {state.message}")
            layout.operator("avatar_forge.cancel", icon="CANCEL")
        else:
            row = layout.row()
            row.scale_y = 1.5
            row.operator("avatar_forge.make_avatar", icon="OUTLINER_OB_ARMATURE")
        if state.error:
            sentence(layout.box(), context, state.error, "ERROR")
        ready = session.environment().state()
        if not ready.ready:
            box = layout.box()
            sentence(box, context, ready.message, "INFO")
            box.operator("preferences.addon_show", text="Open Preferences").module = session.PACKAGE


class AVATARFORGE_PT_options(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_options"
    bl_parent_id = "AVATARFORGE_PT_make"
    bl_label = "Options"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.avatar_forge
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "seed")
        layout.prop(settings, "markers")
        layout.prop(settings, "vrm_version")
        layout.prop(settings, "author")


def _thumbnail(picture: str) -> int:
    """The icon of a picture file, read once a version of the file; 0 when there is none."""
    if not picture or _previews is None:
        return 0
    path = Path(bpy.path.abspath(picture))
    try:
        key = f"{path}:{path.stat().st_mtime_ns}"
    except OSError:
        return 0
    if key not in _previews:
        _previews.load(key, str(path), "IMAGE")
    return _previews[key].icon_id


CLASSES = (AVATARFORGE_PT_make, AVATARFORGE_PT_options)


def register() -> None:
    global _previews
    _previews = bpy.utils.previews.new()
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    global _previews
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    bpy.utils.previews.remove(_previews)
    _previews = None
