# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress that is also told inside long stages, so that a job can be cancelled within a second on a slow machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ..engines import Progress

BEAT = 0.2  # seconds


class Pulse:
    """A progress callback; `again` repeats the last report when it is `BEAT` seconds old. Both may raise to stop."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last: tuple[str, float, str] = ("", 0.0, "")
        self._since = 0.0

    def __call__(self, stage: str, fraction: float, message: str) -> None:
        self._last, self._since = (stage, fraction, message), time.perf_counter()
        self._progress(stage, fraction, message)

    def again(self) -> None:
        if time.perf_counter() - self._since >= BEAT:
            self(*self._last)


@contextmanager
def pulsing(network: nn.Module, pulse: Pulse) -> Iterator[None]:
    """While it lasts, every linear layer of the network asks whether the job goes on."""

    def ask(*_: Any) -> None:
        pulse.again()

    handles = [m.register_forward_pre_hook(ask) for m in network.modules() if isinstance(m, nn.Linear)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
