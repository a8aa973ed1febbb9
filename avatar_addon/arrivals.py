# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that arrive in a folder: which of them are complete."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from pathlib import Path

from .batch import PICTURES

MODELS = {".vrm"}
TORN_AFTER = 20  # settle times after which a file without its end is taken as it is, and refused


class Arrivals:
    """The pictures and models right inside `folder`. Names that begin with a dot, and endings such as .part, which
    programs use while they copy, are left alone.

    settle: seconds without a change of size and time, by our own clock: a share's may be another.
    """

    def __init__(self, folder: Path, settle: float) -> None:
        self.folder, self.settle = folder, settle
        self._seen: dict[Path, tuple[tuple[int, int, int], float]] = {}  # file -> (what it looked like, since when)
        self._done: dict[Path, tuple[int, int, int]] = {}

    def complete(self) -> list[Path]:
        """Those that can be taken now, in order of their names; the same again until `done` is said."""
        now, ready, there = time.monotonic(), [], self._look()
        self._seen = {path: seen for path, seen in self._seen.items() if path in there}
        self._done = {path: look for path, look in self._done.items() if path in there}
        for path, look in sorted(there.items()):
            if self._done.get(path) == look:
                continue
            if self._seen.get(path, (None,))[0] != look:
                self._seen[path] = (look, now)
            still = now - self._seen[path][1]
            if still >= self.settle and (still >= TORN_AFTER * self.settle or is_whole(path)):
                ready.append(path)
        return ready

    def waiting(self) -> bool:
        """Whether a file is there that was not done yet."""
        return any(self._done.get(path) != look for path, look in self._look().items())

    def done(self, path: Path) -> None:
        """Not returned again unless it changes."""
        if path in self._seen:
            self._done[path] = self._seen[path][0]

    def _look(self) -> dict[Path, tuple[int, int, int]]:
        """file -> (size, time, inode). A share that is away for a moment has no files."""
        found = {}
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if entry.name.startswith(".") or path.suffix.lower() not in PICTURES | MODELS:
                        continue
                    with contextlib.suppress(OSError):  # it went away, or is a link that leads nowhere
                        state = entry.stat()
                        if entry.is_file() and state.st_size:
                            found[path] = (state.st_size, state.st_mtime_ns, state.st_ino)
        except OSError:
            return {}
        return found


def is_whole(path: Path) -> bool:
    """Whether the file's format shows its end: PNG, JPEG, WebP and VRM do; others count as whole."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 64, 0))
            tail = file.read()
    except OSError:
        return False
    if head.startswith(b"\x89PNG"):
        return b"IEND" in tail
    if head.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in tail
    if head.startswith(b"glTF") and len(head) == 12:
        return size >= struct.unpack_from("<I", head, 8)[0]
    if head.startswith(b"RIFF") and len(head) == 12:
        return size >= struct.unpack_from("<I", head, 4)[0] + 8
    return True
