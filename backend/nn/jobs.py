# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine notes about a job: how long each stage took, which weights it used. Needs no torch."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engines import Progress


class StageClock:
    """A progress callback that notes how long each stage took."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._spent: dict[str, float] = {}
        self._stage, self._since = "", time.perf_counter()

    def __call__(self, stage: str, fraction: float, message: str, **more: Any) -> None:
        self._note()
        self._stage = stage
        self._progress(stage, fraction, message, **more)

    def part(self, begin: float, end: float) -> Progress:
        """Progress of a part of the job, 0..1, as `begin`..`end` of the whole."""
        return lambda stage, fraction, message, **more: self(stage, begin + (end - begin) * fraction, message, **more)

    def seconds(self) -> dict[str, float]:
        self._note()
        return {f"{stage}_s": round(spent, 3) for stage, spent in self._spent.items()}

    def _note(self) -> None:
        now = time.perf_counter()
        if self._stage:
            self._spent[self._stage] = self._spent.get(self._stage, 0.0) + now - self._since
        self._since = now


def digests_of(folder: Path, pattern: str = "*.safetensors") -> dict[str, str]:
    """SHA-256 of the weights in a checkpoint folder that `backend.models.store` does not look after, by path in it."""
    digests = {}
    for path in sorted(folder.rglob(pattern)):
        stat = path.stat()
        digests[path.relative_to(folder).as_posix()] = _digest(path, stat.st_size, stat.st_mtime_ns)
    return digests


@functools.lru_cache(maxsize=64)
def _digest(path: Path, size: int, modified: int) -> str:
    """Of a file as it was with that size and time: gigabytes are read once a process, not once a job."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seed_changed(failures: Sequence[str]) -> list[dict[str, str]]:
    """The warning of a rig whose first seeds gave no valid skeleton. failures: why not, one a seed."""
    if not failures:
        return []
    tried = "seed gave" if len(failures) == 1 else f"{len(failures)} seeds gave"
    message = f"The first {tried} no valid skeleton ({failures[-1]}); the next seed was used."
    return [{"code": "seed_changed", "message": message}]
