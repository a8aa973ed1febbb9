# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the files are that an avatar's would replace."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .errors import AvatarError
from .files import from_json, read_text
from .vrm.setup import MADE_WITH
from .vrm.spec.vrm_file import VrmFile, VrmFileError

ENDS = (".vrm", ".receipt.json", ".sheet.png", ".perfect_sync.png", ".html", ".blend")


def check_ours(out: Path, name: str) -> None:
    """Raises AvatarError for a file that an avatar of this name would replace and that no earlier run has made: then
    there is neither a receipt nor a VRM file, which is the first, that says so.
    """
    there = [path for path in (out / f"{name}{end}" for end in ENDS) if os.path.lexists(path)]
    if folder := next((path for path in there if path.is_dir()), None):
        raise AvatarError(
            f"{folder.name} in {out} is a folder; move it away or choose another name or folder.", "exists"
        )
    if not there or _is_receipt(out / f"{name}.receipt.json") or _is_vrm(out / f"{name}.vrm"):
        return
    raise AvatarError(
        f"{there[0].name} in {out} was not made by Avatar Forge; move it away or choose another name or folder.",
        "exists",
    )


def _is_receipt(path: Path) -> bool:
    try:
        receipt = from_json(read_text(path))
    except (OSError, ValueError):
        return False
    return isinstance(receipt, dict) and "receipt" in receipt


def _is_vrm(path: Path) -> bool:
    try:
        return MADE_WITH in json.dumps(VrmFile(path).json)
    except (OSError, VrmFileError):
        return False
