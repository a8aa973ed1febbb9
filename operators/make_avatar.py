# SPDX-License-Identifier: GPL-3.0-or-later
"""Picture -> avatar: all steps, or the first one alone."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.types import Context

from ..avatar_addon import candidates, workflow
from ..avatar_addon.client.process.tasks import Steps
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.picture import markers
from ..avatar_addon.request import Request, picture_path
from ..avatar_addon.ui.translation import tr
from .task_operator import TaskOperator


def request(context: Context) -> Request:
    """The scene's settings as a request. Raises AvatarError."""
    root = markers.root_of(context.scene)
    if root and markers.picture_of(root) == str(picture_path(context.scene)):
        markers.accept(context)  # what is on the screen is what is made
    made = Request.from_settings(context.scene)
    if context.scene.avatar_forge.export:
        made.vrm = vrm_path(context, made.avatar_name)
    return made


def vrm_path(context: Context, name: str) -> Path:
    """Where the settings put the VRM file. Raises AvatarError."""
    folder = context.scene.avatar_forge.out_dir
    if folder.startswith("//") and not bpy.data.filepath:
        raise AvatarError(
            "The folder is relative to this file, which is not saved yet; save it or choose another folder.", "unsaved"
        )
    return Path(bpy.path.abspath(folder)).resolve() / f"{bpy.path.clean_name(name)}.vrm"


class FromPicture(TaskOperator):
    needs_backend = True

    @classmethod
    def ready(cls, context: Context) -> bool:
        picture = context.scene.avatar_forge.picture
        if not picture:
            cls.poll_message_set("Choose a picture first")
            return False
        if not Path(bpy.path.abspath(picture)).is_file():
            cls.poll_message_set("The picture's file does not exist")
            return False
        return True


class AVATARFORGE_OT_make_avatar(FromPicture):
    bl_idname = "avatar_forge.make_avatar"
    bl_label = "Make Avatar"
    bl_description = "Make a rigged avatar with a talking face from the picture. Esc cancels"

    def steps(self, context: Context):
        made = request(context)
        return candidates.make_candidates(context, made) if made.candidates > 1 else self._one(context, made)

    def _one(self, context: Context, made: Request) -> Steps:
        yield from workflow.make_avatar(context, made)
        if made.vrm:
            self.report({"INFO"}, tr(f"Wrote {made.vrm}"))


class AVATARFORGE_OT_generate(FromPicture):
    bl_idname = "avatar_forge.generate"
    bl_label = "Generate Mesh"
    bl_description = "Make a textured mesh from the picture"

    def steps(self, context: Context):
        return workflow.generate(context, request(context))


CLASSES = (AVATARFORGE_OT_make_avatar, AVATARFORGE_OT_generate)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
