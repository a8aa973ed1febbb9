# SPDX-License-Identifier: GPL-3.0-or-later
"""The pose: how far the rest pose is off the T-pose, its preview, test poses and test animations."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel, UILayout

from ..avatar_addon.avatar import scene
from ..avatar_addon.humanoid.matching.assignment import label
from ..avatar_addon.pose import preview, t_pose
from ..avatar_addon.pose.kinematics.gestures import MOTIONS
from ..avatar_addon.ui.sentences import sentence
from ..avatar_addon.ui.translation import tr
from .sidebar import RiggedAvatarPanel

WORST = 4  # bones that are listed
TOLERANCE = 2.0  # degrees, as scene.is_t_pose


class AVATARFORGE_PT_pose(RiggedAvatarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_pose"
    bl_label = "Pose"

    def draw(self, context: Context) -> None:
        layout, avatar = self.layout, scene.find_avatar(context)
        shown = preview.shown(avatar.armature)
        if shown == preview.T_POSE:
            _draw_preview(layout, context, avatar)
        else:
            _draw_rest_pose(layout, context, avatar)
            layout.operator("avatar_forge.preview_t_pose", icon="HIDE_OFF")
            layout.operator("avatar_forge.pose_to_rest", icon="ARMATURE_DATA")
        _draw_tests(layout, context.scene.avatar_forge, avatar, shown)
        if shown and shown != preview.T_POSE:
            row = layout.row()
            row.scale_y = 1.3
            row.operator("avatar_forge.pose_back", text=tr(f"Back from {shown}"), icon="LOOP_BACK")


def _draw_preview(layout: UILayout, context: Context, avatar: scene.Avatar) -> None:
    box = layout.box()
    box.label(text="T-pose, not applied yet", icon="HIDE_OFF")
    turned = preview.bends(avatar.armature)
    if turned:
        _degrees(box, turned)
    else:
        sentence(box, context, "No bone has to rotate: this is already the T-pose.", "CHECKMARK")
    row = box.row(align=True)
    row.scale_y = 1.3
    row.operator("avatar_forge.pose", text="Apply", icon="CHECKMARK")
    row.operator("avatar_forge.pose_back", icon="LOOP_BACK")


def _draw_rest_pose(layout: UILayout, context: Context, avatar: scene.Avatar) -> None:
    off = t_pose.off_t_pose(avatar)
    worst = sorted(((name, angle) for name, angle in off.items() if angle > TOLERANCE), key=lambda pair: -pair[1])
    if worst:
        sentence(layout, context, "The rest pose is not the T-pose:", "ERROR")
        _degrees(layout, worst)
    elif off:
        layout.label(text="The rest pose is the T-pose", icon="CHECKMARK")
    else:
        sentence(layout, context, "No arm or leg bones are assigned; assign the humanoid bones first.", "ERROR")


def _degrees(layout: UILayout, angles: list[tuple[str, float]]) -> None:
    column = layout.column(align=True)
    column.scale_y = 0.85
    for name, angle in angles[:WORST]:
        row = column.row()
        row.label(text=tr(label(name)), icon="BLANK1")
        right = row.row()
        right.alignment = "RIGHT"
        right.label(text=f"{angle:.0f}°")
    if len(angles) > WORST:
        column.label(text=tr(f"and {len(angles) - WORST} more with smaller angles"), icon="BLANK1")


def _draw_tests(layout: UILayout, settings, avatar: scene.Avatar, shown: str) -> None:
    column = layout.column(align=True)
    column.label(text="Test Poses")
    grid = column.grid_flow(row_major=True, columns=2, align=True)
    for name in preview.pose_names(avatar):
        grid.operator("avatar_forge.show_pose", text=name, depress=name == shown).name = name
    column = layout.column(align=True)
    column.label(text="Motions")
    grid = column.grid_flow(row_major=True, columns=4, align=True)
    for name in MOTIONS:
        grid.operator("avatar_forge.show_motion", text=name, depress=name == shown).name = name
    column = layout.column(align=True)
    column.label(text="Animation Clips (VRMA)")
    column.prop(settings, "clips_dir", text="")
    column.operator("avatar_forge.export_clips", icon="EXPORT")
    row = column.row(align=True)
    row.operator("avatar_forge.play_clip", icon="PLAY")
    row.operator("avatar_forge.promote_clip", icon="URL")


CLASSES = (AVATARFORGE_PT_pose,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
