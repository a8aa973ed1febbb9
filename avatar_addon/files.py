# SPDX-License-Identifier: GPL-3.0-or-later
"""Files: their digest, and copying them all or nothing."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import uuid
from pathlib import Path
from typing import Any

LARGEST_TEXT = 4 << 20  # bytes


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path) -> str:
    """A text that a person or a program wrote for us. Raises OSError, and ValueError for what is no such text: a device
    or a pipe would be read for ever.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is not a file")
    with path.open("rb") as file:
        data = file.read(LARGEST_TEXT + 1)
    if len(data) > LARGEST_TEXT:
        raise ValueError("it is too large")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error


def from_json(text: str) -> Any:
    """JSON that a person or a program wrote. Raises ValueError, also for numbers that JSON has no words for and for
    lists within lists without end.
    """
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError("it has a number that is not finite")
    return value


def copy_whole(source: Path, path: Path) -> Path:
    """A copy that is there complete or not at all."""
    part = path.with_name(f"avatar-forge-{uuid.uuid4().hex}.part")
    try:
        shutil.copyfile(source, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
