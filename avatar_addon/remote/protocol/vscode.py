# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes .vscode/mcp.json, with which VS Code starts BlenderMCP's server and ours. No bpy.

Source: VS Code's documentation, "MCP configuration reference": `servers` by name, each with type, command, args and
env; `inputs`.
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
TOKEN_INPUT = "avatar-forge-token"


def servers(port: int, extension: Path, token: bool = False) -> dict[str, dict[str, Any]]:
    """Name -> configuration. extension: its folder; token: Blender asks for one, which only our server can give."""
    ours = [
        "--python",
        "3.11",
        "--with-requirements",
        str(extension / "backend/requirements/mcp.txt"),
        "python",
        "-m",
        "backend",
        "mcp",
    ]
    theirs = {"BLENDER_HOST": "127.0.0.1", "BLENDER_PORT": str(port), "DISABLE_TELEMETRY": "true"}
    known = {"AVATAR_FORGE_TOKEN": f"${{input:{TOKEN_INPUT}}}"} if token else {}
    return {
        "blender": {"type": "stdio", "command": "uvx", "args": [BLENDER_MCP], "env": theirs},
        "avatar-forge": {
            "type": "stdio",
            "command": "uvx",
            "args": ours,
            "env": {"PYTHONPATH": str(extension), "BLENDER_PORT": str(port), **known},
        },
    }


def merged(text: str, port: int, extension: Path, token: bool = False) -> str:
    """The file's text with our servers in it; other servers, other settings of ours and comments stay. Raises
    jsonc.JsoncError.
    """
    text = text if text.strip() else "{}\n"
    for name, server in servers(port, extension, token).items():
        there = jsonc.parse(text).value
        if not isinstance(there, dict) or name not in (there.get("servers") or {}):
            text = jsonc.put(text, ["servers", name], server)
            continue
        for key, value in server.items():
            if key != "env":
                text = jsonc.put(text, ["servers", name, key], value)
        for variable, value in server["env"].items():
            text = jsonc.put(text, ["servers", name, "env", variable], value)
    if token and TOKEN_INPUT not in str(jsonc.parse(text).value.get("inputs")):
        question = {
            "type": "promptString",
            "id": TOKEN_INPUT,
            "description": "Token of Avatar Forge's MCP server",
            "password": True,
        }
        text = jsonc.append(text, ["inputs"], question)
    return text


def write(folder: Path, port: int, extension: Path, token: bool = False) -> tuple[Path, bool]:
    """Writes `.vscode/mcp.json` in a folder; returns its path and whether anything was changed. Raises AvatarError,
    and then the file is as it was.
    """
    if not folder.is_dir():
        raise AvatarError(f"There is no folder {folder}; choose the folder that you open in VS Code.", "no_folder")
    file = folder / ".vscode" / "mcp.json"
    try:
        before = file.read_bytes().decode("utf-8") if file.exists() else ""
        mark = "\ufeff" if before.startswith("\ufeff") else ""
        after = mark + merged(before[len(mark) :], port, extension, token)
    except (jsonc.JsoncError, UnicodeDecodeError) as problem:
        what = f"is not JSON as VS Code reads it ({problem})"
        raise AvatarError(
            f"The file {file} {what}; correct it, then press the button again. Nothing was changed.", "bad_json"
        ) from problem
    if after == before:
        return file, False
    _replace(file, after)
    return file, True


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
