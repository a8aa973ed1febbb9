# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the two files by which editors start BlenderMCP's server and ours: `.vscode/mcp.json`, which VS Code reads,
and `.mcp.json`, which Copilot and other clients read themselves. No bpy.

A token is not in them: they name a file that only the user can read. (VS Code does not forward servers with
`${input:...}` to Copilot.)

Source: VS Code's documentation, "MCP configuration reference": `servers` by name in the first, `mcpServers` in the
second, each with type, command, args and env.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Any

from ...errors import AvatarError
from . import jsonc

BLENDER_MCP = "mcp-for-blender==2.2.4"  # what `uvx blender-mcp` runs, at the release that was tested
FILES = {".vscode/mcp.json": "servers", ".mcp.json": "mcpServers"}
TOKEN_FILE = "AVATAR_FORGE_TOKEN_FILE"
ASKED_FOR = ("AVATAR_FORGE_TOKEN", "${input:avatar-forge-token}")  # as files of version 0.1 say it


def servers(port: int, extension: Path, token_file: Path | None = None) -> dict[str, dict[str, Any]]:
    """Name -> configuration. extension: its folder; token_file: where the token is that Blender asks for, which only
    our server can give.
    """
    ours = [
        "--python",
        "3.11",
        "--with-requirements",
        str(extension / "backend/requirements/mcp.lock"),
        "python",
        "-m",
        "backend",
        "mcp",
    ]
    theirs = {"BLENDER_HOST": "127.0.0.1", "BLENDER_PORT": str(port), "DISABLE_TELEMETRY": "true"}
    known = {TOKEN_FILE: str(token_file)} if token_file else {}
    return {
        "blender": {"type": "stdio", "command": "uvx", "args": [BLENDER_MCP], "env": theirs},
        "avatar-forge": {
            "type": "stdio",
            "command": "uvx",
            "args": ours,
            "env": {"PYTHONPATH": str(extension), "BLENDER_PORT": str(port), **known},
        },
    }


def merged(text: str, key: str, wanted: dict[str, dict[str, Any]]) -> str:
    """The file's text with our servers below `key`; other servers, other settings of ours and comments stay. Raises
    jsonc.JsoncError.
    """
    text = text if text.strip() else "{}\n"
    for name, server in wanted.items():
        there = jsonc.parse(text).value
        known = there.get(key) if isinstance(there, dict) else None
        if name not in (known or {}):
            text = jsonc.put(text, [key, name], server)
            continue
        for field, value in server.items():
            if field != "env":
                text = jsonc.put(text, [key, name, field], value)
        for variable, value in server["env"].items():
            text = jsonc.put(text, [key, name, "env", variable], value)
        if (known or {})[name].get("env", {}).get(ASKED_FOR[0]) == ASKED_FOR[1]:
            text = jsonc.remove(text, [key, name, "env", ASKED_FOR[0]])
    return text


def write(folder: Path, port: int, extension: Path, token_file: Path | None = None) -> tuple[list[Path], bool]:
    """Writes both files in a folder; returns their paths and whether anything was changed. Raises AvatarError, and
    then they are as they were.
    """
    if not folder.is_dir():
        raise AvatarError(f"There is no folder {folder}; choose the folder that you open in VS Code.", "no_folder")
    wanted, changed = servers(port, extension, token_file), {}
    for name, key in FILES.items():
        file = folder / name
        try:
            before = file.read_bytes().decode("utf-8") if file.exists() else ""
            mark = "\ufeff" if before.startswith("\ufeff") else ""
            after = mark + merged(before[len(mark) :], key, wanted)
        except (jsonc.JsoncError, UnicodeDecodeError, AttributeError) as problem:
            what = f"is not JSON as VS Code reads it ({problem})"
            raise AvatarError(
                f"The file {file} {what}; correct it, then press the button again. Nothing was changed.", "bad_json"
            ) from problem
        if after != before:
            changed[file] = after
    for file, text in changed.items():
        _replace(file, text)
    return [folder / name for name in FILES], bool(changed)


def keep_token(file: Path, token: str) -> Path:
    """Writes the token into a file that only this user can read."""
    part = file.with_name(f"avatar-forge-{uuid.uuid4().hex}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(token)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return file


def _replace(file: Path, text: str) -> None:
    """All or nothing; a link stays a link."""
    file.parent.mkdir(exist_ok=True)
    target = Path(os.path.realpath(file))
    part = target.with_name(f"avatar-forge-{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(text.encode("utf-8"))
        if target.exists():
            part.chmod(target.stat().st_mode)
        part.replace(target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
