# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps have to say about the avatar, and what someone who is to help needs to know."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel

from ..avatar_addon.avatar import scene
from ..avatar_addon.picture import on_mesh
from ..avatar_addon.ui.sentences import sentence
from .mesh_markers import DOUBTS, draw_check
from .sidebar import SidebarPanel


class AVATARFORGE_PT_notes(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_notes"
    bl_label = "Notes"

    def draw(self, context: Context) -> None:
        avatar = scene.find_avatar(context)
        for warning in avatar.record.warnings if avatar else ():
            sentence(self.layout, context, warning.message, "ERROR" if warning.code == "face" else "INFO")
        codes = {warning.code for warning in avatar.record.warnings} if avatar else set()
        if not codes.isdisjoint(DOUBTS) and on_mesh.root_of(context.scene) is None:
            draw_check(self.layout)
        if avatar is None or not avatar.record.warnings:
            sentence(self.layout, context, "No notes.", "CHECKMARK")
        self.layout.operator("avatar_forge.copy_diagnostic", icon="COPYDOWN")


CLASSES = (AVATARFORGE_PT_notes,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
