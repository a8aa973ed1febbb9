# SPDX-License-Identifier: GPL-3.0-or-later
"""The batch as a child process: its JSON lines as they come, and an end with the workflow's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

GRACE = 10.0  # seconds that the batch has to undo what is under way
LINE = 1 << 24  # bytes


def root() -> Path:
    """Avatar Forge's folder: AVATAR_FORGE_ROOT, or the one that this pack lies in."""
    found = Path(os.environ.get("AVATAR_FORGE_ROOT") or Path(__file__).resolve().parents[1])
    if not (found / "avatar_addon" / "batch.py").is_file():
        raise RuntimeError("Avatar Forge was not found; set AVATAR_FORGE_ROOT to its folder and start ComfyUI again.")
    return found


def command(script: Path) -> list[str]:
    """The start of a command that runs a script in Blender: AVATAR_FORGE_BLENDER, or blender on the PATH."""
    blender = os.environ.get("AVATAR_FORGE_BLENDER") or shutil.which("blender")
    if not blender:
        raise RuntimeError("Blender was not found; set AVATAR_FORGE_BLENDER to it and start ComfyUI again.")
    start = [blender] if Path(blender).name.lower().startswith("python") else [blender, "--background", "--python"]
    return [*start, str(script), "--"]


async def batch(
    arguments: list[str], progress: Callable[[float], Awaitable[None]], check_interrupted: Callable[[], None]
) -> dict[str, Any]:
    """Runs the batch for one avatar and returns its row. check_interrupted: raises when the user cancels; then the
    child ends first. Raises RuntimeError with the batch's sentence where the avatar failed.
    """
    words = [*command(root() / "avatar_addon" / "batch.py"), *arguments, "--json"]
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    env["AVATAR_FORGE_PARENT_PID"] = str(os.getpid())
    child = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=env, limit=LINE
    )
    summary: dict[str, Any] | None = None
    assert child.stdout
    try:
        reading: asyncio.Task[bytes] = asyncio.ensure_future(child.stdout.readline())
        while True:
            done, _ = await asyncio.wait({reading}, timeout=0.3)
            check_interrupted()
            if not done:
                continue
            if not (line := reading.result()):
                break
            event = json.loads(line)
            if event["event"] == "progress":
                await progress(event["fraction"])
            elif event["event"] == "summary":
                summary = event
            reading = asyncio.ensure_future(child.stdout.readline())
        await child.wait()
    except BaseException:
        reading.cancel()
        await _end(child)
        raise
    if summary and "note" in summary:  # refused before anything was made
        raise RuntimeError(summary["note"])
    if summary is None or not summary["avatars"]:
        raise RuntimeError(f"The batch ended without a word (status {child.returncode}); see ComfyUI's console.")
    row = summary["avatars"][0]
    if row["status"] == "failed":
        raise RuntimeError(row["note"])
    return row


async def _end(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM if sys.platform != "win32" else signal.CTRL_BREAK_EVENT)
    try:
        await asyncio.wait_for(child.wait(), GRACE)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
