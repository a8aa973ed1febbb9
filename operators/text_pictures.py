# SPDX-License-Identifier: GPL-3.0-or-later
"""A sentence -> reference pictures to choose from."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty
from bpy.types import Context

from ..avatar_addon import text_pictures
from ..avatar_addon.client.process.tasks import Steps
from .idle_operator import IdleOperator
from .task_operator import TaskOperator


class AVATARFORGE_OT_pictures_from_text(TaskOperator):
    bl_idname = "avatar_forge.pictures_from_text"
    bl_label = "Make Pictures"
    bl_description = "Ask the picture server for four pictures of the character that is described. Esc cancels"
    needs_backend = True

    @classmethod
    def ready(cls, context: Context) -> bool:
        if reason := text_pictures.problem():
            cls.poll_message_set(reason.rstrip("."))
            return False
        if not context.scene.avatar_forge.text.strip():
            cls.poll_message_set("Describe a character first")
            return False
        return True

    def steps(self, context: Context) -> Steps:
        settings = context.scene.avatar_forge
        made = yield from text_pictures.make(settings.text, settings.seed)
        text_pictures.store(settings, made)


class AVATARFORGE_OT_choose_text_picture(IdleOperator):
    bl_idname = "avatar_forge.choose_text_picture"
    bl_label = "Use This Picture"
    bl_description = "Make the avatar from this picture"

    path: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: Context) -> set[str]:
        context.scene.avatar_forge.picture = self.path
        return {"FINISHED"}


CLASSES = (AVATARFORGE_OT_pictures_from_text, AVATARFORGE_OT_choose_text_picture)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
