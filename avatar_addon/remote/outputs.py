# SPDX-License-Identifier: GPL-3.0-or-later
"""Where clients may write files: the folders that the user allows, and what was written for clients before."""

from __future__ import annotations

import os
from pathlib import Path

import bpy

from ..client import session
from .protocol import paths

VARIABLE = "AVATAR_FORGE_CLIENT_FOLDERS"
_written: set[Path] = set()  # by this Blender, for clients


def folders() -> list[Path]:
    """Those of AVATAR_FORGE_CLIENT_FOLDERS or else of the preferences, that of the open file, and the exports folder
    of the extension.
    """
    settings = getattr(session.preferences(), "remote", None)
    words = os.environ.get(VARIABLE) or str(getattr(settings, "folders", ""))
    named = [word.strip() for word in words.split(os.pathsep)]
    allowed = [Path(bpy.path.abspath(word)).expanduser() for word in named if word]
    if bpy.data.filepath:
        allowed.append(Path(bpy.data.filepath).parent)
    return [*allowed, session.user_folder("exports")]


def place(given: str, suffix: str, replace: bool = False, name: str = "", more: tuple[Path, ...] = ()) -> Path:
    """`paths.output_file` with what is allowed here. more: folders beside the user's. Raises Refusal."""
    return paths.output_file(given, suffix, [*folders(), *more], _written, replace, name)


def written(path: Path) -> Path:
    """Notes that a file was written for a client, who may write it again."""
    _written.add(Path(os.path.realpath(path.parent)) / path.name)
    return path
