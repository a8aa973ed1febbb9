# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket's jobs: the panel's steps, begun by a command that answers at once, asked for by their id, one after the
other.

`TABLE.tick()` runs them on the main thread: called by a timer in the window, also after the socket was stopped, by
the pump headless. A job waits while an operator's task or an earlier job has the slot (task_slot.py).
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import bpy

from ..client import session, task_slot
from ..client.process.tasks import Steps, Task
from ..errors import AvatarError
from .protocol.registry import Later, Refusal, failure, success

KEPT = 200  # jobs that have ended
MOST_WAITING = 32
TICK = 0.03  # seconds

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
ENDED = {DONE, FAILED, CANCELLED}


@dataclass
class Work:
    """One job. after: called once when it has ended, however that came."""

    id: str
    task: Task
    undo: bool
    status: str = WAITING
    after: Callable[[], None] | None = None

    def state(self) -> dict[str, Any]:
        task = self.task
        said = {
            "job": self.id,
            "title": task.title,
            "status": self.status,
            "fraction": round(min(task.fraction, 1.0), 3),
        }
        if self.status == RUNNING:
            shown = {name: value for name, value in asdict(task.progress).items() if value != ""}
            said |= {"message": "Starting"} | shown | {"fraction": said["fraction"]}
        elif self.status == WAITING:
            said["message"] = "Waiting until the previous task has finished"
        elif self.status == DONE:
            said["result"] = task.result
        elif task.error:
            said |= {"error": str(task.error), "code": task.error.code}
        return said


class Table:
    """Every job since Blender's start, the oldest forgotten."""

    def __init__(self) -> None:
        self._works: dict[str, Work] = {}

    def start(self, title: str, steps: Steps, undo: bool = True, after: Callable[[], None] | None = None) -> str:
        """Queues steps that have not begun and whose result JSON can carry; returns the job's id. undo: they change
        the file.
        """
        if sum(work.status == WAITING for work in self._works.values()) >= MOST_WAITING:
            raise Refusal(f"{MOST_WAITING} jobs are waiting already; wait for them or cancel some.")
        work = Work(secrets.token_hex(6), Task(title, steps, session.worker), undo, after=after)
        self._works[work.id] = work
        if not bpy.app.background and not bpy.app.timers.is_registered(_drive):
            bpy.app.timers.register(_drive, first_interval=0.0, persistent=True)
        for old in [known.id for known in self._works.values() if known.status in ENDED][:-KEPT]:
            del self._works[old]
        return work.id

    def state(self, job: str) -> dict[str, Any] | None:
        """job, title, status (waiting, running, done, failed, cancelled), fraction, and stage and message, result, or
        error and code.
        """
        work = self._works.get(job)
        return work.state() if work else None

    def need(self, job: str | None) -> dict[str, Any]:
        """As `state`. Raises Refusal."""
        state = self.state(job) if job else None
        if state is None:
            raise Refusal(
                f"There is no job {str(job)[:40]!r}; Blender forgets its jobs when it is closed. avatar_jobs"
                " lists the existing ones."
            )
        return state

    def states(self) -> list[dict[str, Any]]:
        """Of every job that is known, the newest first."""
        return [work.state() for work in reversed(self._works.values())]

    @property
    def active(self) -> list[dict[str, Any]]:
        """Of the jobs that wait or run, in their order."""
        return [work.state() for work in self._works.values() if work.status not in ENDED]

    def cancel(self, job: str) -> None:
        """A waiting job ends now, a running one soon, one that has ended stays as it is. Raises Refusal."""
        self.need(job)
        work = self._works[job]
        if work.status == RUNNING:
            task_slot.cancel(work.task)
        elif work.status == WAITING:
            _end_unbegun(work)

    def tick(self) -> bool:
        """Takes the running job one step further, or begins the next; True while there is something to do."""
        running = self._running()
        if running is None:
            running = next((work for work in self._works.values() if work.status == WAITING), None)
            if running is None:
                return False
            if task_slot.current():
                return True
            task_slot.begin(running.task, remote=True)
            running.status = RUNNING
        with _in_window():
            if task_slot.poll(running.task):
                _end(running)
        return True

    def stop(self) -> None:
        """Before another file takes this one's place, and at the end of the add-on: ends every job."""
        for work in self._works.values():
            if work.status == WAITING:
                _end_unbegun(work)
        running = self._running()
        if running:
            task_slot.stop()
            _end(running, undo=False)
        if bpy.app.timers.is_registered(_drive):
            bpy.app.timers.unregister(_drive)

    def later(self, job: str, of: Callable[[dict[str, Any]], dict[str, Any]]) -> Later:
        """The reply to a command that waits for its job. of: the job's last state -> the result to send."""

        def poll() -> dict | None:
            state = self.state(job)
            if state and state["status"] not in ENDED:
                return None
            try:
                return success(of(state or {"status": FAILED, "error": "The job was forgotten."}))
            except (Refusal, AvatarError) as problem:
                return failure(str(problem))

        return Later(poll)

    def _running(self) -> Work | None:
        return next((work for work in self._works.values() if work.status == RUNNING), None)


def _in_window() -> contextlib.AbstractContextManager:
    """Operators need a window around them; Blender takes it away from a loop that goes on after another file was
    opened.
    """
    windows = bpy.context.window_manager.windows
    return (
        bpy.context.temp_override(window=windows[0])
        if bpy.context.window is None and windows
        else contextlib.nullcontext()
    )


def _end(work: Work, undo: bool = True) -> None:
    error = work.task.error
    work.status = DONE if error is None else CANCELLED if error.code == "cancelled" else FAILED
    if undo and work.undo and work.status != CANCELLED and not bpy.app.background:
        suffix = "" if work.status == DONE else " (not finished)"
        with contextlib.suppress(RuntimeError):  # no undo in this mode
            bpy.ops.ed.undo_push(message=work.task.title + suffix)  # of one that failed, the steps that succeeded stay
    if work.after:
        work.after()


def _end_unbegun(work: Work) -> None:
    work.task.cancel()
    while not work.task.poll():
        pass
    _end(work, undo=False)


TABLE = Table()


def _drive() -> float | None:
    return TICK if TABLE.tick() else None
