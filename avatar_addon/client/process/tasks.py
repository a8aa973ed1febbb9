# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs steps. A step is a generator that works in Blender, yields `Wait` for a backend job and `Stage` before work
that takes long.

The same steps run under a timer in the window, under a loop headless, and from the socket: all of them call
`Task.poll()`.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

from ...errors import AvatarError, reason_of
from .jobs import Job, Running, Worker
from .progress import HasProgress, Progress


@dataclass
class Wait:
    """`result = yield Wait(job, start, end)`: the job's progress counts from start to end of the whole task."""

    job: Job
    start: float = 0.0
    end: float = 1.0
    part: str = ""  # see Progress


@dataclass
class Stage:
    """`yield Stage(name, fraction, message)`: lets the window show what comes next before it is busy with it."""

    name: str
    fraction: float
    message: str
    part: str = ""


# A job's result comes back from `yield`, nothing from a Stage.
Steps = Generator[Wait | Stage, Any, Any]


class Task(HasProgress):
    """`poll()` until it is True; then `error` (AvatarError) or `result` is set. worker: called when the first job
    comes up.
    """

    def __init__(self, title: str, steps: Steps, worker: Callable[[], Worker]) -> None:
        self.title = title
        self.progress = Progress()
        self.result: Any = None
        self.error: AvatarError | None = None
        self.done = False
        self.seconds: dict[str, float] = {}  # stage -> seconds
        self._steps = steps
        self._worker = worker
        self._wait: Wait | None = None
        self._running: Running | None = None
        self._cancelled = False
        self._since = time.perf_counter()

    def poll(self) -> bool:
        """Takes the task one step further; returns soon, except for Blender's own long work."""
        if self.done:
            return True
        if self._running is None:
            self._advance(None, _cancelled() if self._cancelled else None)
        elif self._running.poll():
            running, self._running = self._running, None
            self._show_job(running)
            self._advance(running.result, _cancelled() if self._cancelled else running.error)
        else:
            self._show_job(self._running)
        return self.done

    def cancel(self) -> None:
        """The task ends soon, with the error "cancelled"; its step undoes what it has begun."""
        self._cancelled = True
        if self._running:
            self._running.cancel()

    def wait(self, on_progress: Callable[[Task], None] | None = None, interval: float = 0.01) -> Any:
        """Blocks until the end and returns the result; for headless runs. Raises AvatarError."""
        try:
            while not self.poll():
                if on_progress:
                    on_progress(self)
                if self._running:
                    time.sleep(interval)
        except KeyboardInterrupt:
            self.cancel()
            while not self.poll():
                time.sleep(interval)
            raise
        if self.error:
            raise self.error
        return self.result

    def _advance(self, value: dict[str, Any] | None, error: AvatarError | None) -> None:
        try:
            step = self._steps.throw(error) if error else self._steps.send(value)
            if isinstance(step, Wait):
                self._wait, self._running = step, self._worker().submit(step.job)
                self.advance(fraction=step.start, part=step.part)
            else:
                self._enter(Progress(step.name, step.fraction, step.message, step.part))
        except StopIteration as end:
            self.result = end.value
            self.advance(fraction=1.0)
            self._end()
        except AvatarError as problem:
            self.error = problem
            self._end()
        except OSError as problem:
            self.error = AvatarError(_about_files(problem), "files")
            self._end()
        except ReferenceError:
            self.error = AvatarError(
                "The avatar was deleted or undone while the task was running; start again.", "deleted"
            )
            self._end()
        except Exception as problem:  # a fault of ours: a sentence for the user, the traceback for the console
            traceback.print_exc()
            self.error = AvatarError(
                f"An unexpected error occurred ({problem}); see the system console and report this.", "internal"
            )
            self._end()

    def _show_job(self, running: Running) -> None:
        for entered in running.entered:
            self._enter(self._within(entered))
        running.entered.clear()
        shown = self._within(running.progress)
        if shown.stage:
            self._enter(shown)
        else:
            self.advance(fraction=shown.fraction)

    def _within(self, told: Progress) -> Progress:
        """What a job tells, as a part of the task."""
        assert self._wait
        shown = told.within(self._wait.start, self._wait.end)
        return replace(shown, part=self._wait.part or shown.part)

    def _enter(self, progress: Progress) -> None:
        if progress.stage != self.stage:
            self._lap()
        self.progress = progress

    def _lap(self) -> None:
        now = time.perf_counter()
        if self.stage:
            self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self._since
        self._since = now

    def _end(self) -> None:
        self._lap()
        self._steps.close()
        self.done = True


def _cancelled() -> AvatarError:
    return AvatarError("Cancelled.", "cancelled")


def _about_files(error: OSError) -> str:
    reason = reason_of(error)
    where = f"{error.filename}: " if error.filename else ""
    advice = "free some space" if error.errno == 28 else "choose another folder or check its permissions"
    return f"A file cannot be read or written ({where}{reason}); {advice} and try again."
