# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: the backend's state, what installing it would run, folders."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty
from bpy.types import AddonPreferences

from . import session
from .backend_env import PROFILES, detect_profile
from .errors import AvatarError


class AvatarForgePreferences(AddonPreferences):
    bl_idname = session.PACKAGE

    profile: EnumProperty(
        name="Hardware",
        items=[(name, label, "") for name, label in PROFILES.items()],
        description="Which build of PyTorch the backend gets",
    )
    models: BoolProperty(
        name="Model Engines (PyTorch)",
        description="Also installs PyTorch for TRELLIS and UniRig: 1.5 GB for the CPU, 6 GB for CUDA. The preview engine does without",
    )
    runs_folder: StringProperty(
        name="Runs Folder", subtype="DIR_PATH", description="Where meshes and rigs of every run are kept; empty: in the extension's folder"
    )
    shown_plan: StringProperty(options={"SKIP_SAVE"})

    def draw(self, context: bpy.types.Context) -> None:
        state = session.environment().state()
        box = self.layout.box()
        row = box.row()
        row.label(text=state.message, icon="CHECKMARK" if state.ready else "ERROR")
        column = box.column()
        column.use_property_split = True
        column.prop(self, "profile")
        column.prop(self, "models")
        row = box.row()
        row.operator("avatar_forge.show_install_plan")
        row.operator("avatar_forge.install_backend", text="Install Backend" if state.code == "missing" else "Update Backend").repair = False
        row.operator("avatar_forge.install_backend", text="Repair Backend", icon="FILE_REFRESH").repair = True
        task = context.window_manager.avatar_forge
        if task.running and task.title == "Install Backend":
            box.progress(factor=task.fraction, text=f"{task.stage}: {task.message}" if task.message else task.stage)
        for line in self.shown_plan.splitlines():
            box.label(text=line)
        if not bpy.app.online_access:
            box.label(text="Blender may not use the internet now: Preferences > System > Network.", icon="INTERNET_OFFLINE")
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "runs_folder")


def plan_lines(preferences: AvatarForgePreferences, repair: bool = False) -> list[str]:
    """The commands that installing would run, one a line; or why it cannot."""
    try:
        steps = session.environment().plan(preferences.profile, preferences.models, repair)
    except AvatarError as error:
        return [str(error)]
    return [f"{step.title}: {step.shown()}" for step in steps]


def register() -> None:
    bpy.utils.register_class(AvatarForgePreferences)
    preferences = session.preferences()
    if preferences and not preferences.is_property_set("profile"):
        preferences.profile = detect_profile()


def unregister() -> None:
    session.close()
    bpy.utils.unregister_class(AvatarForgePreferences)
