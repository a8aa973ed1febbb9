# SPDX-License-Identifier: GPL-3.0-or-later
"""What every step's operator shares: a task that a timer drives, so the window stays alive; ESC cancels; one undo
step at the end.
"""

from __future__ import annotations

import time

import bpy
from bpy.types import Context, Event, Operator

from ..avatar_addon.client import session, task_slot
from ..avatar_addon.client.process.tasks import Steps, Task
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.remote.work import TABLE
from ..avatar_addon.ui.translation import tr
from .idle_operator import IdleOperator

INTERVAL = 0.05  # seconds between looks at the task


class TaskOperator(IdleOperator):
    """Subclasses give `steps`. In the window it is modal; without one it blocks until the end."""

    needs_backend = False

    _timer = None
    _task: Task | None = None
    _polled = 0.0  # when the last look at the task ended

    @classmethod
    def may_run(cls, context: Context) -> bool:
        if cls.needs_backend and not (backend := session.environment().state()).ready:
            cls.poll_message_set(backend.message.rstrip("."))
            return False
        return cls.ready(context)

    @classmethod
    def ready(cls, context: Context) -> bool:
        """As `may_run`, for the subclass."""
        return True

    def steps(self, context: Context) -> Steps:
        raise NotImplementedError

    def task(self, context: Context) -> Task:
        return Task(self.bl_label, self.steps(context), session.worker)

    def execute(self, context: Context) -> set[str]:
        state = context.window_manager.avatar_forge
        state.error, state.title = "", self.bl_label
        try:
            task = self.task(context)
            if bpy.app.background:
                task.wait()
                return {"FINISHED"}
            task_slot.begin(task)
        except AvatarError as error:
            return _fail(self, context, error)
        self._task = task
        window = context.window.parent or context.window  # the preferences may be closed while they install
        self._timer = context.window_manager.event_timer_add(INTERVAL, window=window)
        with context.temp_override(window=window):
            context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Event) -> set[str]:
        task = self._task
        if task is not task_slot.current():  # another file was loaded
            return self._leave(context, {"CANCELLED"})
        if event.type == "ESC" and event.value == "PRESS":
            task_slot.cancel(task)
        # Other timers' events, such as those of tooltips, come here as well. Between two looks the window has to be
        # drawn, so that it shows a stage before it is busy with it.
        if event.type != "TIMER" or time.monotonic() - self._polled < INTERVAL / 2:
            return {"PASS_THROUGH"}
        done = task_slot.poll(task)
        self._polled = time.monotonic()
        if not done:
            return {"PASS_THROUGH"}
        if task.error is None:
            return self._leave(context, {"FINISHED"})
        outcome = _fail(self, context, task.error)
        if task.error.code != "cancelled" and "UNDO" in self.bl_options:
            bpy.ops.ed.undo_push(message=f"{self.bl_label} (not finished)")  # the steps that succeeded stay
        return self._leave(context, outcome)

    def cancel(self, context: Context) -> None:
        """The window was closed, or a dialogue before the task."""
        if self._timer:
            if self._task is task_slot.current():
                task_slot.stop()
            self._leave(context, {"CANCELLED"})

    def _leave(self, context: Context, outcome: set[str]) -> set[str]:
        self._task = None
        context.window_manager.event_timer_remove(self._timer)
        task_slot.redraw()
        return outcome


def _fail(operator: Operator, context: Context, error: AvatarError) -> set[str]:
    context.window_manager.avatar_forge.error = "" if error.code == "cancelled" else str(error)
    operator.report({"INFO"} if error.code == "cancelled" else {"ERROR"}, tr(str(error)))
    return {"CANCELLED"}


class AVATARFORGE_OT_cancel(Operator):
    bl_idname = "avatar_forge.cancel"
    bl_label = "Cancel"
    bl_description = "Stop the running task (Esc)"

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not context.window_manager.avatar_forge.running:
            cls.poll_message_set("Nothing is running")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        context.window_manager.avatar_forge.cancel = True
        return {"FINISHED"}


@bpy.app.handlers.persistent
def _stop(*_args) -> None:
    """Before another file takes this one's place."""
    TABLE.stop()
    task_slot.stop()


def register() -> None:
    bpy.utils.register_class(AVATARFORGE_OT_cancel)
    bpy.app.handlers.load_pre.append(_stop)


def unregister() -> None:
    _stop()
    bpy.app.handlers.load_pre.remove(_stop)
    bpy.utils.unregister_class(AVATARFORGE_OT_cancel)
