# SPDX-License-Identifier: GPL-3.0-or-later
"""The report card, promotion to the bucket, registration in the frontend, the run's page."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty
from bpy.types import Context, Operator

from ..avatar_addon.avatar import scene
from ..avatar_addon.client import session
from ..avatar_addon.publish import show
from ..avatar_addon.publish import steps as publish
from ..avatar_addon.ui.translation import tr
from .avatar_steps import OnAvatar

# The operator that fixes what a check of this step has found, and what to write on its button.
FIXES = {
    "generate": ("avatar_forge.make_avatar", "Make the Avatar Again"),
    "rig": ("avatar_forge.rig", "Rig Again"),
    "humanoid": ("avatar_forge.rig", "Rig Again"),
    "pose": ("avatar_forge.pose", "Straighten into T-Pose"),
    "face": ("avatar_forge.face", "Make the Face Again"),
    "vrm": ("avatar_forge.set_up_vrm", "Set Up VRM Again"),
    "export": ("avatar_forge.export", "Export VRM"),
}


class AVATARFORGE_OT_check(OnAvatar):
    bl_idname = "avatar_forge.check"
    bl_label = "Check Avatar"
    bl_description = (
        "Write the avatar to a temporary VRM file and check what it contains, and whether it talks, blinks and moves"
    )

    def steps(self, context: Context):
        return publish.check(scene.need_avatar(context), context.scene.avatar_forge.vrm_version)


class AVATARFORGE_OT_explain_check(Operator):
    bl_idname = "avatar_forge.explain_check"
    bl_label = "Explain"
    bl_description = "Explain this check and show the place on the avatar"
    bl_options = {"INTERNAL"}

    index: IntProperty(options={"HIDDEN"})

    def execute(self, context: Context) -> set[str]:
        avatar = scene.find_avatar(context)
        if avatar is None:
            return {"CANCELLED"}
        again = avatar.record.shown_check == self.index
        avatar.record.shown_check = -1 if again else self.index
        if self.index < len(avatar.record.checks) and not again:
            show.show_place(context, avatar, avatar.record.checks[self.index].name)
        return {"FINISHED"}


class _Online(OnAvatar):
    needs_backend = True

    @classmethod
    def ready(cls, context: Context) -> bool:
        target = publish.Target.from_preferences()
        if not target.bucket:
            cls.poll_message_set("No bucket is set; enter one in the preferences (the gear beside this button)")
            return False
        if not publish.may_reach(target):
            cls.poll_message_set(
                "Blender is not allowed to use the internet; allow it in Preferences > System > Network"
            )
            return False
        return super().ready(context)


class AVATARFORGE_OT_promote(_Online):
    bl_idname = "avatar_forge.promote"
    bl_label = "Promote"
    bl_description = (
        "Check the avatar and upload it to the bucket as NAME-v1.vrm, NAME-v2.vrm and so on. Existing files"
        " are never overwritten"
    )

    def steps(self, context: Context):
        settings = context.scene.avatar_forge
        avatar = scene.need_avatar(context)
        entry = yield from publish.promote(
            avatar, settings.publish_name, publish.Target.from_preferences(), settings.override, settings.vrm_version
        )
        settings.override = ""
        context.window_manager.clipboard = avatar.record.promoted_url or entry["key"]
        self.report({"INFO"}, tr(f"Promoted as {entry['key']}; its address is on the clipboard"))


class AVATARFORGE_OT_set_up_publishing(Operator):
    bl_idname = "avatar_forge.set_up_publishing"
    bl_label = "Publishing Preferences"
    bl_description = "Open the preferences for the bucket, the public addresses and the lists of allowed models"
    bl_options = {"INTERNAL"}

    def execute(self, _context: Context) -> set[str]:
        if preferences := session.preferences():
            preferences.show_publishing, preferences.show_backend = True, False  # all of it on one screen
        return bpy.ops.preferences.addon_show(module=session.PACKAGE)


class AVATARFORGE_OT_register(OnAvatar):
    bl_idname = "avatar_forge.register"
    bl_label = "Add Model to Lists"
    bl_description = (
        "Add the promoted model to the lists of models that the server (Go) and the web page (JavaScript) allow"
    )
    bl_options = {"REGISTER"}  # nothing that undo could take back
    needs_backend = True

    apply: BoolProperty(options={"HIDDEN"})

    @classmethod
    def ready(cls, context: Context) -> bool:
        if not super().ready(context):
            return False
        if not scene.find_avatar(context).record.promoted_key:
            cls.poll_message_set("Promote the avatar first")
            return False
        if not publish.Target.from_preferences().lists:
            cls.poll_message_set(
                "No list is set; choose the Go and JavaScript files in the preferences, under Publishing"
            )
            return False
        return True

    def steps(self, context: Context):
        result = yield from publish.register(scene.need_avatar(context), publish.Target.from_preferences(), self.apply)
        context.scene.avatar_forge.diff = "" if self.apply else result["diff"]
        listed = all(file["listed"] for file in result["files"])
        if listed:
            self.report({"INFO"}, tr("The model is already in every list"))
        elif self.apply:
            self.report({"INFO"}, tr("Changed " + " and ".join(Path(path).name for path in result["applied"])))


class AVATARFORGE_OT_copy_address(Operator):
    bl_idname = "avatar_forge.copy_address"
    bl_label = "Copy Address"
    bl_description = "Copy the promoted model's public address"

    @classmethod
    def poll(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        if avatar is None or not avatar.record.promoted_url:
            cls.poll_message_set("Set an address in the preferences and promote the avatar first")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        context.window_manager.clipboard = scene.need_avatar(context).record.promoted_url
        return {"FINISHED"}


class AVATARFORGE_OT_open_run(OnAvatar):
    bl_idname = "avatar_forge.open_run"
    bl_label = "Open Run"
    bl_description = "Open the page of this avatar's run, on the MLflow server or in the run folder"
    bl_options = {"REGISTER"}
    needs_backend = True

    @classmethod
    def ready(cls, context: Context) -> bool:
        if not super().ready(context):
            return False
        if not scene.find_avatar(context).record.run_folder:
            cls.poll_message_set("This avatar has no recorded run yet")
            return False
        return True

    def steps(self, context: Context):
        address = yield from publish.run_address(scene.need_avatar(context))
        bpy.ops.wm.url_open(url=address)


CLASSES = (
    AVATARFORGE_OT_check,
    AVATARFORGE_OT_explain_check,
    AVATARFORGE_OT_promote,
    AVATARFORGE_OT_set_up_publishing,
    AVATARFORGE_OT_register,
    AVATARFORGE_OT_copy_address,
    AVATARFORGE_OT_open_run,
)
TASKS = {cls.bl_label for cls in CLASSES if issubclass(cls, OnAvatar)}  # titles of what runs for a while
register, unregister = bpy.utils.register_classes_factory(CLASSES)
