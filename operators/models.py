# SPDX-License-Identifier: GPL-3.0-or-later
"""The weights of the model engines: download, remove, use a folder of one's own."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty
from bpy.types import Context, Event

from ..avatar_addon.client import model_store, session
from ..avatar_addon.errors import AvatarError
from .task_operator import TaskOperator


class _OfModel(TaskOperator):
    bl_options = {"REGISTER"}
    needs_backend = True

    model: StringProperty(name="Model", options={"SKIP_SAVE"})

    @classmethod
    def ready(cls, _context: Context) -> bool:
        if session.preferences() is None:
            cls.poll_message_set("Avatar Forge is not installed as an extension")
            return False
        return True


class AVATARFORGE_OT_download_model(_OfModel):
    bl_idname = "avatar_forge.download_model"
    bl_label = "Download Model"
    bl_description = "Download the model's files from their publisher. If you cancel, the next download resumes"

    @classmethod
    def ready(cls, context: Context) -> bool:
        if not bpy.app.online_access:
            cls.poll_message_set(
                "Blender is not allowed to use the internet; allow it in Preferences > System > Network"
            )
            return False
        return super().ready(context)

    def steps(self, _context: Context):
        return model_store.download(self.model)


class AVATARFORGE_OT_remove_model(_OfModel):
    bl_idname = "avatar_forge.remove_model"
    bl_label = "Remove Model"
    bl_description = "Delete the model's files. You can download them again"

    def invoke(self, context: Context, event: Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def steps(self, _context: Context):
        return model_store.remove(self.model)


class AVATARFORGE_OT_use_model_folder(_OfModel):
    bl_idname = "avatar_forge.use_model_folder"
    bl_label = "Use a Local Folder"
    bl_description = "Use the model's files, as published, from a folder of your own. Nothing is downloaded"

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: Context, _event: Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def steps(self, _context: Context):
        if not self.directory:
            raise AvatarError("No folder was chosen; choose the folder that contains the model's files.", "no_folder")
        return model_store.use_folder(self.model, Path(bpy.path.abspath(self.directory)))


class AVATARFORGE_OT_forget_model_folder(_OfModel):
    bl_idname = "avatar_forge.forget_model_folder"
    bl_label = "Stop Using This Folder"
    bl_description = "Use the downloaded model again. The folder itself is kept"

    def steps(self, _context: Context):
        return model_store.use_folder(self.model, None)


class AVATARFORGE_OT_refresh_models(_OfModel):
    bl_idname = "avatar_forge.refresh_models"
    bl_label = "Refresh"
    bl_description = "Ask the backend which models are installed"

    def steps(self, _context: Context):
        return model_store.refresh()


CLASSES = (
    AVATARFORGE_OT_download_model,
    AVATARFORGE_OT_remove_model,
    AVATARFORGE_OT_use_model_folder,
    AVATARFORGE_OT_forget_model_folder,
    AVATARFORGE_OT_refresh_models,
)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
