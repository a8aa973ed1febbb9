# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps after the mesh, each alone, on the selected avatar."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy.types import Context, Event

from ..avatar_addon import workflow
from ..avatar_addon.avatar import scene
from ..avatar_addon.client import engine_options
from ..avatar_addon.client.process.tasks import Stage
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.ui.translation import OURS, tr
from .make_avatar import vrm_path
from .task_operator import TaskOperator


class OnAvatar(TaskOperator):
    needs_rig = True

    @classmethod
    def ready(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        if avatar is None:
            cls.poll_message_set("Select an avatar, or generate one first")
            return False
        if cls.needs_rig and avatar.armature is None:
            cls.poll_message_set("The avatar has no skeleton yet; rig it first")
            return False
        return True


class AVATARFORGE_OT_rig(OnAvatar):
    bl_idname = "avatar_forge.rig"
    bl_label = "Rig"
    bl_description = "Create skeleton, weights and humanoid bones. Existing ones are replaced"
    needs_rig = False
    needs_backend = True

    def steps(self, context: Context):
        settings = context.scene.avatar_forge
        options, seed = engine_options.rigger_options(settings), engine_options.rigger_seed(settings)
        return workflow.rig(context, scene.need_avatar(context), settings.rigger, options, seed)


class AVATARFORGE_OT_pose(OnAvatar):
    bl_idname = "avatar_forge.pose"
    bl_label = "T-Pose"
    bl_description = "Straighten arms and legs, put the feet on the ground, and make this the rest pose"

    def steps(self, context: Context):
        yield Stage("pose", 0.1, "Straightening into the T-pose")
        notes = workflow.pose(scene.need_avatar(context))
        if notes:
            self.report({"INFO"}, tr(" ".join(notes)))


class AVATARFORGE_OT_face(OnAvatar):
    bl_idname = "avatar_forge.face"
    bl_label = "Face"
    bl_translation_context = OURS
    bl_description = (
        "Cut the mouth open at its marker and create visemes, blinks, emotions and gaze. Run it again after"
        " you move markers"
    )

    def steps(self, context: Context):
        return workflow.face(scene.need_avatar(context))


class AVATARFORGE_OT_set_up_vrm(OnAvatar):
    bl_idname = "avatar_forge.set_up_vrm"
    bl_label = "VRM"
    bl_description = "Bind the expressions and set look-at, materials, metadata and the thumbnail in the VRM Add-on"

    def steps(self, context: Context):
        yield Stage("vrm", 0.1, "Setting up VRM")
        workflow.set_up_vrm(scene.need_avatar(context), context.scene.avatar_forge.author)


class AVATARFORGE_OT_export(OnAvatar):
    bl_idname = "avatar_forge.export"
    bl_label = "Export VRM"
    bl_description = "Write the avatar to a .vrm file"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.vrm", options={"HIDDEN"})
    version: EnumProperty(name="VRM", items=[("1.0", "VRM 1.0", ""), ("0.0", "VRM 0.x", "")])

    def invoke(self, context: Context, _event: Event) -> set[str]:
        avatar = scene.find_avatar(context)
        self.version = context.scene.avatar_forge.vrm_version
        try:
            self.filepath = str(vrm_path(context, avatar.name))
        except AvatarError:
            self.filepath = f"{bpy.path.clean_name(avatar.name)}.vrm"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def steps(self, context: Context):
        avatar = scene.need_avatar(context)
        path = (
            Path(bpy.path.ensure_ext(bpy.path.abspath(self.filepath), ".vrm"))
            if self.filepath
            else vrm_path(context, avatar.name)
        )
        yield Stage("export", 0.1, "Writing the VRM file")
        workflow.export(avatar, path, self.version)
        self.report({"INFO"}, tr(f"Wrote {path}"))


CLASSES = (
    AVATARFORGE_OT_rig,
    AVATARFORGE_OT_pose,
    AVATARFORGE_OT_face,
    AVATARFORGE_OT_set_up_vrm,
    AVATARFORGE_OT_export,
)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
