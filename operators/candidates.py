# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing among the avatars that were made from one picture."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty
from bpy.types import Context

from ..avatar_addon import candidates
from ..avatar_addon.avatar import scene
from ..avatar_addon.ui.translation import tr
from .idle_operator import IdleOperator


class _OnCandidates(IdleOperator):
    @classmethod
    def may_run(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        if avatar is None or not avatar.record.group:
            cls.poll_message_set("Select one of several candidates first")
            return False
        return True


class AVATARFORGE_OT_show_candidate(_OnCandidates):
    bl_idname = "avatar_forge.show_candidate"
    bl_label = "Show Candidate"
    bl_description = "Show this avatar and hide the others that were made with it"

    mesh: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: Context) -> set[str]:
        avatar = scene.need_avatar(context)
        wanted = next((one for one in candidates.candidates_of(avatar) if one.mesh.name == self.mesh), None)
        if wanted is None:
            self.report({"ERROR"}, tr("This candidate is no longer in the file; choose another one."))
            return {"CANCELLED"}
        candidates.show(context, wanted)
        return {"FINISHED"}


class AVATARFORGE_OT_keep_candidate(_OnCandidates):
    bl_idname = "avatar_forge.keep_candidate"
    bl_label = "Keep This One"
    bl_description = "Keep the avatar that is shown and remove the other candidates from the scene. Their runs stay"

    def execute(self, context: Context) -> set[str]:
        avatar = scene.need_avatar(context)
        count = candidates.keep(context, avatar)
        said = (
            "The other candidate was removed from the scene; its run is kept."
            if count == 1
            else f"{count} candidates were removed from the scene; their runs are kept."
        )
        self.report({"INFO"}, tr(said))
        return {"FINISHED"}


CLASSES = (AVATARFORGE_OT_show_candidate, AVATARFORGE_OT_keep_candidate)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
