# SPDX-License-Identifier: GPL-3.0-or-later
"""The one task that may run at a time, an operator's or a job of the socket; its progress is mirrored for the panels.

Whoever begins a task also polls it: an operator from its timer, the socket's job table from the pump.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace

import bpy

from ..errors import AvatarError
from . import session
from .process.progress import Progress
from .process.tasks import Task

_task: Task | None = None


def current() -> Task | None:
    return _task


def begin(task: Task, remote: bool = False) -> None:
    """Takes the slot. remote: no window's ESC reaches it. Raises AvatarError (busy) while another task has it."""
    global _task
    if _task:
        raise AvatarError("A task is running; wait for it or cancel it first.", "busy")
    _task = task
    state = bpy.context.window_manager.avatar_forge
    state.running, state.cancel, state.remote = True, False, remote
    state.title, state.error = task.title, ""
    _show(Progress(message="Starting"))
    redraw()


def poll(task: Task) -> bool:
    """Takes the task one step further; True when it has ended, also because another file was loaded. Then the slot is
    free again.
    """
    global _task
    if task is not _task:
        return True
    state = bpy.context.window_manager.avatar_forge
    if state.cancel:
        cancel(task)
    done = task.poll()
    state = bpy.context.window_manager.avatar_forge  # a step may have opened another file
    changed = _show(task.progress)
    if done:
        _task = None
        state.running = False
        state.error = "" if task.error is None or task.error.code == "cancelled" else str(task.error)
    if done or changed:
        redraw()
    return done


def _show(progress: Progress) -> bool:
    """Mirrors progress for the panels (properties.AvatarForgeState has a property for each field); whether it
    differs from what they show.
    """
    state, changed = bpy.context.window_manager.avatar_forge, False
    for name, value in asdict(replace(progress, fraction=min(progress.fraction, 1.0))).items():
        before = getattr(state, name)
        setattr(state, name, value)
        changed |= getattr(state, name) != before
    return changed


def cancel(task: Task) -> None:
    """Asks the task to end; `poll` sees it through."""
    state = bpy.context.window_manager.avatar_forge
    state.cancel, state.message = False, "Cancelling"
    task.cancel()
    redraw()


def stop() -> None:
    """Ends the task now, for another file or the end of the add-on. A job on a cluster goes on, and is found again."""
    global _task
    if _task:
        session.detach()
        _task.cancel()
        while not _task.poll():
            time.sleep(0.005)
    _task = None
    for manager in bpy.data.window_managers:
        manager.avatar_forge.running = False


def redraw() -> None:
    """The regions that show the task; the 3D view itself may be expensive."""
    shown = {("VIEW_3D", "UI"), ("PREFERENCES", "WINDOW")}
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if (area.type, region.type) in shown:
                    region.tag_redraw()
