# SPDX-License-Identifier: GPL-3.0-or-later
"""Install, update, repair the backend; show beforehand what would run."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty
from bpy.types import Context, Operator

from ..avatar_addon.client import engines, model_store, session
from ..avatar_addon.client.process.installation_task import InstallationTask
from ..avatar_addon.preferences import preferences
from .task_operator import TaskOperator


class AVATARFORGE_OT_show_install_plan(Operator):
    bl_idname = "avatar_forge.show_install_plan"
    bl_label = "Show Commands"
    bl_description = "List the commands that Install Backend runs. Nothing else is run"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return session.preferences() is not None

    def execute(self, context: Context) -> set[str]:
        chosen = session.preferences()
        chosen.shown_plan = "" if chosen.shown_plan else "\n".join(preferences.plan_lines(chosen))
        return {"FINISHED"}


class AVATARFORGE_OT_install_backend(TaskOperator):
    bl_idname = "avatar_forge.install_backend"
    bl_label = preferences.INSTALL
    bl_description = "Create the backend's own Python environment. If you cancel, the next installation resumes"
    bl_options = {"REGISTER"}

    repair: BoolProperty(name="Repair", description="Start from scratch", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties) -> str:
        if properties.repair:
            return "Create the backend's Python environment again from scratch"
        return cls.bl_description

    @classmethod
    def ready(cls, _context: Context) -> bool:
        if session.preferences() is None:
            cls.poll_message_set("Avatar Forge is not installed as an extension")
            return False
        return True

    def task(self, context: Context):
        chosen = session.preferences()
        chosen.shown_plan = ""
        session.close()
        model_store.forget()
        environment = session.environment()
        steps = environment.plan(chosen.profile, chosen.models, self.repair)
        return InstallationTask(
            self.bl_label,
            environment.install(steps, bpy.app.online_access),
            lambda hello: engines.remember_engines(hello, session.engines_file()),
        )


CLASSES = (AVATARFORGE_OT_show_install_plan, AVATARFORGE_OT_install_backend)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
