# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar's panels: a model that is brought in, and its steps one by one with their states."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel, UILayout

from ..avatar_addon import workflow_states
from ..avatar_addon.avatar import scene, step_states
from ..avatar_addon.picture import on_mesh
from ..avatar_addon.ui.sentences import sentence
from ..avatar_addon.ui.translation import tr
from .mesh_markers import draw_check, draw_mesh_markers
from .sidebar import SidebarPanel

ICONS = {
    step_states.DONE: "CHECKMARK",
    step_states.OUTDATED: "FILE_REFRESH",
    step_states.NEXT: "PLAY",
    step_states.TO_DO: "RADIOBUT_OFF",
}
BUTTONS = {
    "mesh": ("avatar_forge.generate", "Generate Mesh"),
    "rig": ("avatar_forge.rig", "Rig"),
    "pose": ("avatar_forge.pose", "T-Pose"),
    "face": ("avatar_forge.face", "Face"),
    "vrm": ("avatar_forge.set_up_vrm", "VRM Settings"),
    "export": ("avatar_forge.export", "Export VRM"),
}


class AVATARFORGE_PT_steps(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_steps"
    bl_label = "Steps"

    def draw(self, context: Context) -> None:
        layout = self.layout
        avatar = scene.find_avatar(context)
        if avatar:
            layout.label(text=avatar.name, icon="USER", translate=False)
            if avatar.record.label:
                sentence(layout, context, avatar.record.label)
        if avatar and on_mesh.root_of(context.scene):  # first, where they need no scrolling
            draw_mesh_markers(layout, context)
        states = workflow_states.states(avatar)
        column = layout.column(align=True)
        for step, entry in states.items():
            _draw_step(column, step, entry.state)
        since = dict.fromkeys(entry.since for entry in states.values() if entry.since)
        if since:
            outdated = [step_states.STEPS[step] for step, entry in states.items() if entry.since]
            text = f"Older than {', '.join(map(tr, since))}: {', '.join(map(tr, outdated))}. Run these steps again."
            sentence(layout, context, text, "INFO")
        if avatar:
            if on_mesh.root_of(context.scene) is None:
                draw_check(layout)
            layout.operator("avatar_forge.view", icon="URL")


def _draw_step(column: UILayout, step: str, state: str) -> None:
    """Its button, and its state in an icon and a word."""
    operator, text = BUTTONS[step]
    row = column.split(factor=0.64, align=True)
    button = row.row(align=True)
    button.active_default = state == step_states.NEXT  # as the button that Enter presses in a dialogue
    button.operator(operator, text=text, icon=ICONS[state])
    word = row.row()
    word.active = state != step_states.DONE
    word.separator(factor=0.5)
    word.label(text=state)


class AVATARFORGE_PT_bring_in(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_bring_in"
    bl_label = "Import"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout = self.layout
        sentence(
            layout,
            context,
            "An imported model skips steps: a mesh starts at Rig, a rigged model at T-Pose, a VRM at any step.",
        )
        column = layout.column(align=True)
        column.operator("avatar_forge.bring_in", text="Model File", icon="FILE_3D")
        column.operator("avatar_forge.use_selected", icon="RESTRICT_SELECT_OFF")
        if scene.find_avatar(context):
            row = layout.row(align=True)
            row.operator("avatar_forge.turn", text="Rotate 90°", icon="FILE_REFRESH").axis = "Z"
            row.operator("avatar_forge.turn", text="Stand Upright", icon="TRIA_UP").axis = "X"


CLASSES = (AVATARFORGE_PT_bring_in, AVATARFORGE_PT_steps)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
