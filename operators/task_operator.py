# SPDX-License-Identifier: GPL-3.0-or-later
"""What every step's operator shares: a task that a timer drives, so the window stays alive; ESC cancels; one undo step at the end."""

from __future__ import annotations

import time

import bpy
from bpy.types import Context, Event, Operator

from ..avatar_addon import session
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.tasks import Steps, Task

INTERVAL = 0.05  # seconds between looks at the task

_task: Task | None = None


class TaskOperator(Operator):
    """Subclasses give `steps`. In the window it is modal; without one it blocks until the end."""

    bl_options = {"REGISTER", "UNDO"}
    needs_backend = False

    _timer = None

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.window_manager.avatar_forge.running:
            cls.poll_message_set("A task is running; wait for it or cancel it first")
            return False
        if cls.needs_backend and not (backend := session.environment().state()).ready:
            cls.poll_message_set(backend.message.rstrip("."))
            return False
        return cls.ready(context)

    @classmethod
    def ready(cls, context: Context) -> bool:
        """As `poll`, for the subclass."""
        return True

    def steps(self, context: Context) -> Steps:
        raise NotImplementedError

    def task(self, context: Context) -> Task:
        return Task(self.bl_label, self.steps(context), session.worker)

    def execute(self, context: Context) -> set[str]:
        global _task
        state = context.window_manager.avatar_forge
        state.error, state.title = "", self.bl_label
        try:
            _task = self.task(context)
        except AvatarError as error:
            return _fail(self, context, error)
        if bpy.app.background:
            task, _task = _task, None
            try:
                task.wait()
            except AvatarError as error:
                return _fail(self, context, error)
            return {"FINISHED"}
        state.running, state.cancel = True, False
        state.stage, state.message, state.fraction = "", "Starting", 0.0
        window = context.window.parent or context.window  # the preferences may be closed while they install
        self._timer = context.window_manager.event_timer_add(INTERVAL, window=window)
        with context.temp_override(window=window):
            context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Event) -> set[str]:
        state = context.window_manager.avatar_forge
        task = _task
        if task is None:  # another file was loaded
            return self._leave(context, {"CANCELLED"})
        if (event.type == "ESC" and event.value == "PRESS") or state.cancel:
            state.cancel, state.message = False, "Cancelling"
            task.cancel()
            _redraw(context)
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        done = task.poll()
        before = state.stage, state.fraction, state.message
        state.stage, state.fraction, state.message = task.stage, min(task.fraction, 1.0), task.message
        if before != (state.stage, state.fraction, state.message):
            _redraw(context)
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
            _end_task()
            self._leave(context, {"CANCELLED"})

    def _leave(self, context: Context, outcome: set[str]) -> set[str]:
        global _task
        _task = None
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.avatar_forge.running = False
        _redraw(context)
        return outcome


def _fail(operator: Operator, context: Context, error: AvatarError) -> set[str]:
    context.window_manager.avatar_forge.error = "" if error.code == "cancelled" else str(error)
    operator.report({"INFO"} if error.code == "cancelled" else {"ERROR"}, str(error))
    return {"CANCELLED"}


def _redraw(context: Context) -> None:
    """The regions that show the task; the 3D view itself may be expensive."""
    shown = {("VIEW_3D", "UI"), ("PREFERENCES", "WINDOW")}
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if (area.type, region.type) in shown:
                    region.tag_redraw()


class AVATARFORGE_OT_cancel(Operator):
    bl_idname = "avatar_forge.cancel"
    bl_label = "Cancel"
    bl_description = "Stops the running task (ESC does the same)"

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not context.window_manager.avatar_forge.running:
            cls.poll_message_set("Nothing is running")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        context.window_manager.avatar_forge.cancel = True
        return {"FINISHED"}


def _end_task() -> None:
    global _task
    if _task:
        _task.cancel()
        while not _task.poll():
            time.sleep(0.005)
    _task = None


@bpy.app.handlers.persistent
def _stop(*_args) -> None:
    """Before another file takes this one's place."""
    _end_task()
    for manager in bpy.data.window_managers:
        manager.avatar_forge.running = False


def register() -> None:
    bpy.utils.register_class(AVATARFORGE_OT_cancel)
    bpy.app.handlers.load_pre.append(_stop)


def unregister() -> None:
    _stop()
    bpy.app.handlers.load_pre.remove(_stop)
    bpy.utils.unregister_class(AVATARFORGE_OT_cancel)
