# SPDX-License-Identifier: GPL-3.0-or-later
"""Files: their digest, and copying them all or nothing."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from pathlib import Path


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_whole(source: Path, path: Path) -> Path:
    """A copy that is there complete or not at all."""
    part = path.with_name(f"avatar-forge-{uuid.uuid4().hex}.part")
    try:
        shutil.copyfile(source, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
