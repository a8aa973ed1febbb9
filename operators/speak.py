# SPDX-License-Identifier: GPL-3.0-or-later
"""Speak: a typed sentence or a WAV file, and stop."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty
from bpy.types import Context, Event, Operator

from ..avatar_addon.avatar import scene
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.speech import animation
from ..avatar_addon.ui.translation import tr
from .avatar_steps import OnAvatar
from .idle_operator import IdleOperator

NO_VISEMES = "The avatar has no visemes yet; make its face first"


class AVATARFORGE_OT_speak(IdleOperator):
    bl_idname = "avatar_forge.speak"
    bl_label = "Speak"
    bl_description = "Speak the sentence in the viewport. English and Japanese kana are pronounced by rules"

    @classmethod
    def may_run(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        if avatar is None or not animation.binds(avatar):
            cls.poll_message_set(NO_VISEMES)
        elif not context.scene.avatar_forge.sentence.strip():
            cls.poll_message_set("Type a sentence first")
        else:
            return True
        return False

    def execute(self, context: Context) -> set[str]:
        try:
            animation.speak_text(context, scene.need_avatar(context), context.scene.avatar_forge.sentence)
        except AvatarError as error:
            self.report({"ERROR"}, tr(str(error)))
            return {"CANCELLED"}
        animation.play(context)
        return {"FINISHED"}


class AVATARFORGE_OT_speak_sound(OnAvatar):
    bl_idname = "avatar_forge.speak_sound"
    bl_label = "Speak a WAV File"
    bl_description = "Speak a recording. The lips follow its loudness and vowels"
    needs_backend = True

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.wav", options={"HIDDEN"})

    @classmethod
    def ready(cls, context: Context) -> bool:
        if not super().ready(context):
            return False
        if not animation.binds(scene.find_avatar(context)):
            cls.poll_message_set(NO_VISEMES)
            return False
        return True

    def invoke(self, context: Context, _event: Event) -> set[str]:
        if self.filepath:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def steps(self, context: Context):
        if not self.filepath:
            raise AvatarError("No WAV file was chosen; choose one.", "no_file")
        yield from animation.speak_sound(
            context, scene.need_avatar(context), Path(bpy.path.abspath(self.filepath)).resolve()
        )
        animation.play(context)


class AVATARFORGE_OT_stop_speaking(Operator):
    bl_idname = "avatar_forge.stop_speaking"
    bl_label = "Stop"
    bl_description = "End the speech and remove its keyframes and its sound"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if animation.speaker(context) is None:
            cls.poll_message_set("The avatar is not speaking")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        animation.stop(context, scene.need_avatar(context))
        return {"FINISHED"}


CLASSES = (AVATARFORGE_OT_speak, AVATARFORGE_OT_speak_sound, AVATARFORGE_OT_stop_speaking)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
