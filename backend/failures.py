# SPDX-License-Identifier: GPL-3.0-or-later
"""Any exception of a job as a code and one sentence for the user."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .errors import BackendError, Cancelled, reason_of

# EFBIG is what a file size limit gives (setrlimit, FAT32).
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


def explain(error: BaseException, out_dir: Path | None = None) -> BackendError:
    """The error to send. What nobody foresaw becomes "internal"; the caller has the traceback logged."""
    if isinstance(error, BackendError):
        return error
    if isinstance(error, (Cancelled, KeyboardInterrupt)):
        return BackendError("cancelled", "The job was cancelled.")
    # torch's OutOfMemoryError is a RuntimeError, told by its name so that torch need not be imported.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return BackendError(
            "out_of_memory",
            "There is not enough memory for this job.",
            "Close other programs or choose a smaller quality.",
        )
    if isinstance(error, ImportError):
        return BackendError(
            "backend_broken",
            f"A part of the backend is missing ({error.name or error}).",
            "Repair the backend in the preferences.",
        )
    if isinstance(error, OSError):
        return _explain_os_error(error, out_dir)
    name = type(error).__name__
    return BackendError(
        "internal", f"An unexpected error occurred in the backend ({name}).", "Report this with the backend's log."
    )


def _explain_os_error(error: OSError, out_dir: Path | None) -> BackendError:
    path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    if error.errno in DISK_FULL:
        where = f" for {out_dir}" if out_dir else ""
        return BackendError(
            "disk_full",
            f"The disk is full or a size limit was reached{where}.",
            "Free some space or choose another folder.",
        )
    writing = out_dir is not None and (not path or Path(path).is_relative_to(out_dir) or out_dir.is_relative_to(path))
    if error.errno in NOT_WRITABLE and writing:
        reason = reason_of(error)
        return BackendError(
            "not_writable",
            (f"The folder {out_dir} cannot be written to: {reason}."),
            "Choose a folder that you have write permission for.",
        )
    if path and error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.EIO):
        reason = reason_of(error)
        return BackendError(
            "unreadable", f"The file {path} cannot be read: {reason}.", "Check the path and its permissions."
        )
    return BackendError(
        "internal",
        (f"The system refused an operation ({reason_of(error)})."),
        "Report this with the backend's log.",
    )
