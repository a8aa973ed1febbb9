# SPDX-License-Identifier: GPL-3.0-or-later
"""Install, update, repair the backend; show beforehand what would run; test the Ray cluster that runs engines."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty
from bpy.types import Context, Operator

from ..avatar_addon.client import cluster, engines, model_store, session
from ..avatar_addon.client.process.installation_task import InstallationTask
from ..avatar_addon.client.process.tasks import Steps
from ..avatar_addon.preferences import preferences
from ..avatar_addon.ui.translation import tr
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


class AVATARFORGE_OT_test_cluster(TaskOperator):
    bl_idname = "avatar_forge.test_cluster"
    bl_label = preferences.TEST
    bl_description = "Ask the cluster's head which nodes it has and what they offer"
    bl_options = {"REGISTER"}
    needs_backend = True

    @classmethod
    def ready(cls, _context: Context) -> bool:
        if session.preferences() is None:
            cls.poll_message_set("Avatar Forge is not installed as an extension")
            return False
        if reason := cluster.Settings.current().problem(shared=False):
            cls.poll_message_set(reason.rstrip("."))
            return False
        return True

    def steps(self, _context: Context) -> Steps:
        session.preferences().cluster_offer = ""
        offer = yield from cluster.ask()
        session.preferences().cluster_offer = offer
        self.report({"INFO"}, tr(offer))


CLASSES = (AVATARFORGE_OT_show_install_plan, AVATARFORGE_OT_install_backend, AVATARFORGE_OT_test_cluster)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
