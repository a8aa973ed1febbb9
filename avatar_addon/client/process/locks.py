# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock file between processes, which the system lets go of when its owner dies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

from ...errors import AvatarError, reason_of


def hold(path: Path, busy: AvatarError) -> IO[bytes]:
    """Held until the returned file is closed. Raises `busy` when another process has it, AvatarError when the folder
    cannot be written or something else has the lock's name.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):  # opening a link makes the file that it names
        raise AvatarError(
            f"{path.name} in {path.parent} was not made by Avatar Forge; delete it and try again.", "not_writable"
        )
    try:
        file = path.open("ab")
    except OSError as error:
        reason = reason_of(error)
        raise AvatarError(
            f"The folder {path.parent} cannot be written to ({reason}); check its permissions.", "not_writable"
        ) from error
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise busy from error
    return file
