# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that clients name: read and written only where that cannot be turned against the user. Pure.

Blender's own exporters hand a path to C, which ends it at U+0000: `notes/.bashrc\\0.glb` would be written as `.bashrc`.
So control characters are refused before anything else looks at a path.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Container, Sequence
from pathlib import Path

from .registry import Refusal

HIDDEN = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of control characters, lone surrogates and line separators
TURNED = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they show a name backwards
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\..*)?", re.I | re.S)
NOT_ON_WINDOWS = '<>:"|?*'  # after a colon there it is another stream of the file
LONGEST_NAME, LONGEST = 240, 4000  # bytes that file systems take, with some left for temporary names


def has_control(text: str) -> bool:
    """Whether a name has characters that no file's name needs and that hide where it ends."""
    return any(unicodedata.category(letter) in HIDDEN or letter in TURNED for letter in text)


def file_name(given: str, what: str = "name") -> str:
    """A name that becomes part of a file's, in the folder where it is written. Raises Refusal."""
    if has_control(given):
        raise Refusal(f"The {what} contains a control character; remove it.")
    if not given.strip() or given.startswith(".") or "/" in given or "\\" in given:
        raise Refusal(f"{given[:80]!r} cannot be the name of a file; give one without slashes and a dot in front.")
    if len(given.encode()) > LONGEST_NAME - 40:
        raise Refusal(f"The {what} is too long for a file; give a shorter one.")
    _check_windows(given)
    return given


def _check_windows(name: str) -> None:
    """Names of devices are refused everywhere: files go on to other computers. Raises Refusal."""
    if DEVICES.fullmatch(name):
        raise Refusal(f"{name[:80]!r} is the name of a device on Windows; give another one.")
    if sys.platform == "win32" and not set(NOT_ON_WINDOWS).isdisjoint(name):
        raise Refusal(f"{name[:80]!r} cannot be the name of a file on Windows; leave out {' '.join(NOT_ON_WINDOWS)}.")


def clean_path(given: str, what: str = "file") -> Path:
    """An absolute path without control characters, `~` filled in. Raises Refusal."""
    if has_control(given):
        raise Refusal(f"The path of the {what} contains a control character; remove it.")
    if not given.strip():
        raise Refusal(f"The path of the {what} is empty; give the whole path.")
    try:
        path = Path(given).expanduser()
    except RuntimeError as problem:  # `~someone` who is not there
        raise Refusal(f"{given[:200]} names a user who is not on this computer.") from problem
    _check_length(path, what)
    if not path.is_absolute():
        raise Refusal(f"{given[:200]!r} is not an absolute path; give the whole path of the {what}.")
    return path


def is_folder(path: Path) -> bool:
    """As Path.is_dir, which raises PermissionError below a folder that is closed to us."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """As Path.is_file, which raises PermissionError below a folder that is closed to us."""
    return os.path.isfile(path)  # noqa: PTH113


def _check_length(path: Path, what: str = "file") -> None:
    if len(str(path).encode()) > LONGEST or any(len(part.encode()) > LONGEST_NAME for part in path.parts):
        raise Refusal(f"The path of the {what} is too long; choose a shorter one.")


def output_file(
    given: str,
    suffix: str,
    folders: Sequence[Path],
    ours: Container[Path] = (),
    replace: bool = False,
    name: str = "",
) -> Path:
    """Where a file may be written.

    suffix: of the kind of file that is written, added where it is missing. folders: those that the user allows.
    ours: files written for clients before, which may be replaced; any other only when the client says `replace`.
    name: of the file where `given` is a folder. Raises Refusal with one sentence.
    """
    path = clean_path(given)
    if is_folder(path):
        if not name:
            raise Refusal(f"{str(path)[:300]} is a folder; give the path of a file in it.")
        path /= name
    if path.suffix.lower() != suffix:
        path = path.with_name(path.name + suffix)
    _check_length(path)
    _check_windows(path.name)
    if path.name.startswith("."):
        raise Refusal(f"{path.name[:80]} begins with a dot, as settings files do; choose another name.")
    if not is_folder(path.parent):
        raise Refusal(f"There is no folder {str(path.parent)[:300]}; create it or choose another one.")
    path = Path(os.path.realpath(path.parent)) / path.name
    allowed = [Path(os.path.realpath(folder)) for folder in folders]
    inside = [path.relative_to(folder) for folder in allowed if path.is_relative_to(folder)]
    if inside and not any(all(not part.startswith(".") for part in way.parts) for way in inside):
        raise Refusal(f"{str(path.parent)[:300]} is a hidden folder, as settings are kept in; choose another one.")
    if not inside:
        listed = ", ".join(str(folder) for folder in allowed) or "none"
        raise Refusal(
            f"Clients may not write to {str(path.parent)[:300]}; use one of the folders that the user allows"
            f" under MCP Server: {listed}."
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise Refusal(f"Blender may not write to the folder {str(path.parent)[:300]}; choose another one.")
    if os.path.islink(path):  # noqa: PTH114  as in `is_folder`
        raise Refusal(f"{path.name[:80]} is a link to another file; choose another name.")
    if os.path.lexists(path) and (not is_file(path) or not (replace or path in ours)):
        raise Refusal(f"{str(path)[:300]} already exists; choose another name, or set `replace` if the user agrees.")
    return path
