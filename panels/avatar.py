# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar's panels: its steps one by one, what to look at."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel

from ..avatar_addon import scene
from ..avatar_addon.sentences import sentence
from .picture import SidebarPanel

DONE, TO_DO = "CHECKMARK", "RADIOBUT_OFF"


class AVATARFORGE_PT_steps(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_steps"
    bl_label = "Steps"

    def draw(self, context: Context) -> None:
        layout = self.layout
        avatar = scene.find_avatar(context)
        if avatar:
            row = layout.row()
            row.label(text=avatar.name, icon="USER")
            if avatar.record.label:
                sentence(layout, context, avatar.record.label)
        rigged = bool(avatar and avatar.armature)
        faced = bool(avatar and avatar.mesh.data.shape_keys)
        column = layout.column(align=True)
        for done, operator, text in (
            (bool(avatar), "avatar_forge.generate", "Generate Mesh"),
            (rigged, "avatar_forge.rig", "Rig"),
            (rigged and scene.is_t_pose(avatar), "avatar_forge.pose", "T-Pose"),
            (faced, "avatar_forge.face", "Face"),
            (faced and scene.is_set_up(avatar), "avatar_forge.set_up_vrm", "VRM Settings"),
        ):
            column.operator(operator, text=text, icon=DONE if done else TO_DO)
        layout.operator("avatar_forge.export", icon="EXPORT")


class AVATARFORGE_PT_notes(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_notes"
    bl_label = "Notes"

    @classmethod
    def poll(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        return avatar is not None and len(avatar.record.warnings) > 0

    def draw(self, context: Context) -> None:
        for warning in scene.find_avatar(context).record.warnings:
            sentence(self.layout, context, warning.message, "ERROR" if warning.code == "face" else "INFO")


CLASSES = (AVATARFORGE_PT_steps, AVATARFORGE_PT_notes)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
