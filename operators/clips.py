# SPDX-License-Identifier: GPL-3.0-or-later
"""Animation clips: the motions written as VRMA files, a VRMA file played on the avatar, a clip promoted."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty
from bpy.types import Context, Event

from ..avatar_addon.avatar import scene
from ..avatar_addon.client.process.tasks import Stage
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.pose import clips, preview
from ..avatar_addon.publish import clips as publish
from ..avatar_addon.publish.steps import Target, may_reach
from ..avatar_addon.ui.translation import tr
from .avatar_steps import OnAvatar


def _folder(context: Context) -> Path:
    folder = context.scene.avatar_forge.clips_dir
    if folder.startswith("//") and not bpy.data.filepath:
        raise AvatarError(
            "The folder is relative to this file, which is not saved yet; save it or choose another folder.", "unsaved"
        )
    return Path(bpy.path.abspath(folder)).resolve()


class _OnHumanoid(OnAvatar):
    @classmethod
    def ready(cls, context: Context) -> bool:
        if not super().ready(context):
            return False
        if not scene.has_vrm(scene.find_avatar(context)):
            cls.poll_message_set("Assign the humanoid bones first")
            return False
        return True


class AVATARFORGE_OT_export_clips(_OnHumanoid):
    bl_idname = "avatar_forge.export_clips"
    bl_label = "Export Clips"
    bl_description = (
        "Write the motions as VRMA files into the clips folder. They play on every VRM avatar; Talk says the sentence"
        " of the Face panel"
    )
    bl_options = {"REGISTER"}

    def steps(self, context: Context):
        avatar, folder = scene.need_avatar(context), _folder(context)
        keys = clips.spoken(context.scene.avatar_forge.sentence)
        for k, name in enumerate(clips.CLIPS):
            yield Stage("clips", k / len(clips.CLIPS), f"Writing {name}")
            said = keys if name == preview.TALK else None
            clips.export_clip(context, avatar, name, folder / f"{name.lower()}{clips.SUFFIX}", said)
        self.report({"INFO"}, tr(f"Wrote {len(clips.CLIPS)} clips to {folder}"))


class _OneFile(_OnHumanoid):
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.vrma", options={"HIDDEN"})

    def invoke(self, context: Context, _event: Event) -> set[str]:
        if self.filepath:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def path(self) -> Path:
        if not self.filepath:
            raise AvatarError("No VRMA file was chosen; choose one.", "no_file")
        return Path(bpy.path.abspath(self.filepath)).resolve()


class AVATARFORGE_OT_play_clip(_OneFile):
    bl_idname = "avatar_forge.play_clip"
    bl_label = "Play VRMA File"
    bl_description = "Play an animation clip on the avatar in the preview range. Back restores the pose"
    bl_options = {"REGISTER", "UNDO"}

    def steps(self, context: Context):
        yield Stage("clips", 0.1, "Reading the clip")
        clips.show_clip(context, scene.need_avatar(context), self.path())
        preview.play(context)


class AVATARFORGE_OT_promote_clip(_OneFile):
    bl_idname = "avatar_forge.promote_clip"
    bl_label = "Promote Clip"
    bl_description = (
        "Check an animation clip and upload it to the bucket as animations/NAME-v1.vrma, NAME-v2.vrma and so on."
        " Existing files are never overwritten"
    )
    needs_backend = True

    @classmethod
    def ready(cls, context: Context) -> bool:
        target = Target.from_preferences()
        if not target.bucket:
            cls.poll_message_set("No bucket is set; enter one in the preferences (the gear beside this button)")
            return False
        if not may_reach(target):
            cls.poll_message_set(
                "Blender is not allowed to use the internet; allow it in Preferences > System > Network"
            )
            return False
        return super().ready(context)

    def steps(self, context: Context):
        entry = yield from publish.promote(self.path(), Target.from_preferences())
        context.window_manager.clipboard = next(iter(entry["urls"].values()), entry["key"])
        self.report({"INFO"}, tr(f"Promoted as {entry['key']}; its address is on the clipboard"))


CLASSES = (AVATARFORGE_OT_export_clips, AVATARFORGE_OT_play_clip, AVATARFORGE_OT_promote_clip)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
