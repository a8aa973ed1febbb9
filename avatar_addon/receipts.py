# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of runs, as their folders have them: whatever is damaged there is told apart from what is not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import from_json, read_text

RECEIPT, PROMOTIONS = "receipt.json", "promotions.json"


def run_folders(runs: Path) -> list[Path]:
    """Every run folder, newest first; also those whose record is damaged or closed to us. Raises OSError."""
    found = []
    try:
        entries = list(os.scandir(runs))
    except FileNotFoundError:
        return []
    for entry in entries:
        if entry.name.startswith("."):  # unfinished
            continue
        folder = Path(entry.path)
        try:
            there = (folder / RECEIPT).lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            there = entry.stat(follow_symlinks=False)
        found.append((there.st_mtime, folder))
    return [folder for _, folder in sorted(found, reverse=True)]


def read_receipt(path: Path) -> dict[str, Any]:
    """A receipt with at least the types that are relied on here. Raises OSError, and ValueError with the reason."""
    receipt = _object(path)
    if receipt.get("receipt") != 1:
        raise ValueError("it is not a receipt")
    parameters, report = _table(receipt, "parameters"), _table(receipt, "report")
    text, counts = _table(parameters, "text"), _table(report, "counts")
    checks = report.get("checks") or []
    if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
        raise _another_type("checks")
    words = [(receipt, "name"), (receipt, "run"), (receipt, "made_at"), (_table(receipt, "picture"), "sha256")]
    words += [(parameters, "engine"), (parameters, "rigger"), (text, "text")]
    words += [(check, key) for check in checks for key in ("id", "status")]
    for table, key in words:
        if not isinstance(table.get(key) or "", str):
            raise _another_type(key)
    if not all(type(count) is int for count in counts.values()):
        raise _another_type("counts")
    return receipt


def read_promotions(path: Path) -> list[dict[str, Any]]:
    """Where a run's model was promoted to, oldest first. Raises OSError, and ValueError with the reason."""
    if not os.path.lexists(path):
        return []
    entries = _object(path).get("promotions")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _another_type("promotions")
    for entry in entries:
        words = [entry.get(key) or "" for key in ("bucket", "key", "promoted_at", "override")]
        if not all(isinstance(word, str) for word in (*words, *_table(entry, "urls").values())):
            raise _another_type("promotions")
    return entries


def _object(path: Path) -> dict[str, Any]:
    try:
        content = from_json(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    return content


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key) or {}
    if not isinstance(found, dict):
        raise _another_type(key)
    return found


def _another_type(key: str) -> ValueError:
    return ValueError(f"its {key} are of another type" if key.endswith("s") else f"its {key} is of another type")
