# SPDX-License-Identifier: GPL-3.0-or-later
"""The T-pose previewed, a pose made the rest pose, test poses and test animations, and back.

Esc goes back while one of them is shown: a key map item whose operator polls, so that nothing has to stay modal.
"""

from __future__ import annotations

import bpy
from bpy.props import StringProperty
from bpy.types import Context, OperatorProperties

from ..avatar_addon import workflow
from ..avatar_addon.avatar import scene
from ..avatar_addon.pose import preview
from ..avatar_addon.ui.translation import OURS, tr
from .keys import Keys
from .on_avatar import OnRiggedAvatar

_keys = Keys()


class _OnPose(OnRiggedAvatar):
    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        if context.mode not in ("OBJECT", "POSE"):
            cls.poll_message_set("Leave Edit Mode first")
        elif not scene.has_vrm(avatar):
            cls.poll_message_set("Assign the humanoid bones first")
        else:
            return True
        return False


class AVATARFORGE_OT_preview_t_pose(_OnPose):
    bl_idname = "avatar_forge.preview_t_pose"
    bl_label = "Preview T-Pose"
    bl_description = (
        "Show the avatar in the T-pose without changing anything else. Apply makes it the rest pose, Back"
        " restores the pose"
    )

    def act(self, context: Context, avatar: scene.Avatar) -> None:
        preview.preview_t_pose(context, avatar)


class AVATARFORGE_OT_pose_to_rest(_OnPose):
    bl_idname = "avatar_forge.pose_to_rest"
    bl_label = "Apply as Rest Pose"
    bl_description = "Make the current pose the rest pose. Meshes, normals, shape keys and face markers follow"

    def act(self, context: Context, avatar: scene.Avatar) -> str:
        posing = context.mode == "POSE"
        notes = workflow.pose_to_rest(avatar)
        if posing:
            context.view_layer.objects.active = avatar.armature
            bpy.ops.object.mode_set(mode="POSE")
        return " ".join(notes)


class AVATARFORGE_OT_show_pose(_OnPose):
    bl_idname = "avatar_forge.show_pose"
    bl_label = "Test Pose"

    name: StringProperty(name="Pose", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties: OperatorProperties) -> str:
        return tr(f"Show the avatar in the pose {properties.name}. Back restores the pose")

    def act(self, context: Context, avatar: scene.Avatar) -> None:
        preview.show_pose(context, avatar, self.name)


class AVATARFORGE_OT_show_motion(_OnPose):
    bl_idname = "avatar_forge.show_motion"
    bl_label = "Test Animation"

    name: StringProperty(name="Animation", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties: OperatorProperties) -> str:
        return tr(f"Play the looping animation {properties.name} in the preview range. Back restores the pose")

    def act(self, context: Context, avatar: scene.Avatar) -> None:
        preview.show_motion(context, avatar, self.name)
        preview.play(context)


class AVATARFORGE_OT_pose_back(_OnPose):
    bl_idname = "avatar_forge.pose_back"
    bl_label = "Back"
    bl_translation_context = OURS
    bl_description = "End the preview and restore pose, action and frame range (Esc)"

    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        if not super().ready(context, avatar):
            return False
        if not preview.shown(avatar.armature):
            cls.poll_message_set("No preview, test pose or animation is shown")
            return False
        return True

    def act(self, context: Context, avatar: scene.Avatar) -> None:
        preview.back(context, avatar)


CLASSES = (
    AVATARFORGE_OT_preview_t_pose,
    AVATARFORGE_OT_pose_to_rest,
    AVATARFORGE_OT_show_pose,
    AVATARFORGE_OT_show_motion,
    AVATARFORGE_OT_pose_back,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    _keys.add(AVATARFORGE_OT_pose_back, "ESC", modes=("OBJECT", "POSE"))


def unregister() -> None:
    _keys.remove()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
