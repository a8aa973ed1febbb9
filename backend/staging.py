# SPDX-License-Identifier: GPL-3.0-or-later
"""A job's results appear under their final names all complete or not at all, and one job at a time uses a folder.

The engine writes into `out_dir/.partial`; `commit` renames. A lock inside it is held by the operating system as long
as the process lives, so what a killed job left behind is recognised and removed by the next job in that folder (or by
the client, see avatar_addon.client.process.jobs, which finds the process id in the lock file).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import IO

from .errors import BackendError

PARTIAL = ".partial"
LOCK = "lock"


class Staging:
    """Context manager: locks `out_dir` and gives `folder`, an empty folder to write into. Leaving removes what was
    not committed.

    Raises BackendError("folder_in_use") when another job has the lock, OSError when the folder cannot be made.
    """

    def __init__(self, out_dir: Path) -> None:
        self.out_dir = out_dir
        self.partial = out_dir / PARTIAL
        self.folder = self.partial / "files"
        self._lock = -1

    def __enter__(self) -> Staging:
        self._lock = self._acquire()
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def commit(self, last: Path) -> Path:
        """Moves everything to `out_dir`, `last` at the end: where it exists, the rest does. Returns its final path."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        for path in sorted(files, key=lambda path: path == last):
            final = self.out_dir / path.relative_to(self.folder)
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)
        return self.out_dir / last.relative_to(self.folder)

    def discard(self) -> None:
        lock, self._lock = self._lock, -1
        if lock < 0:
            return
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(lock)
        shutil.rmtree(self.partial, ignore_errors=True)
        if sys.platform != "win32":
            os.close(lock)

    def _acquire(self) -> int:
        path = self.partial / LOCK
        for _ in range(100):
            self.partial.mkdir(parents=True, exist_ok=True)
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            except FileNotFoundError:  # its owner removed the folder just now
                continue
            except OSError:
                with contextlib.suppress(OSError):
                    self.partial.rmdir()
                raise
            try:
                _lock_exclusively(lock)
                if os.path.samestat(os.fstat(lock), path.stat()):
                    os.truncate(lock, 0)
                    os.write(lock, str(os.getpid()).encode())
                    return lock
            except FileNotFoundError:  # its owner removed it between our open and our lock
                os.close(lock)
            except BlockingIOError:
                os.close(lock)
                break
            except BaseException:
                os.close(lock)
                raise
            else:
                os.close(lock)  # removed and made again in that time
        message = f"Another job is writing to the folder {self.out_dir}."
        raise BackendError("folder_in_use", message, "Wait until it has finished or choose another folder.")


def hold(path: Path) -> IO[bytes] | None:
    """A lock file, held until the returned file is closed or the process ends; None when somebody else has it."""
    file = path.open("ab")
    try:
        _lock_exclusively(file.fileno())
    except BlockingIOError:
        file.close()
        return None
    return file


if sys.platform == "win32":
    import msvcrt

    def _lock_exclusively(descriptor: int) -> None:
        try:
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the process id, which stays readable for others
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise BlockingIOError from error

else:
    import fcntl

    def _lock_exclusively(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
