# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking in the middle of long work whether the job goes on, so that cancelling takes under a second on a slow
machine. `pulsing` is around a job; whatever runs below may call `beat`. Needs no torch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..engines import Progress

BEAT = 0.2  # seconds


class Pulse:
    """A progress callback; `again` repeats the last report when it is `BEAT` seconds old. Both may raise to stop."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self._since = 0.0

    def __call__(self, *report: Any, **more: Any) -> None:
        self._last, self._since = (report, more), time.perf_counter()
        self._progress(*report, **more)

    def again(self) -> None:
        if self._last and time.perf_counter() - self._since >= BEAT:
            report, more = self._last
            self(*report, **more)


_running: ContextVar[Pulse | None] = ContextVar("pulse", default=None)


@contextmanager
def pulsing(progress: Progress) -> Iterator[Progress]:
    """The progress callback to use while it lasts; `beat` repeats what it was told last."""
    pulse = Pulse(progress)
    before = _running.set(pulse)
    try:
        yield pulse
    finally:
        _running.reset(before)


def beat() -> None:
    """May raise what the job's progress callback raises to stop; does nothing outside a job."""
    if pulse := _running.get():
        pulse.again()
