# SPDX-License-Identifier: GPL-3.0-or-later
"""An avatar made again from its receipt, by the same headless command that a batch uses, and what is different then."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import BackendError
from .runs import RECEIPT, ROOT, digest, read_receipt

BLENDER = "AVATAR_FORGE_BLENDER"


def rerun_receipt(path: Path, blender: str | None = None, out: Path | None = None, picture: Path | None = None) -> int:
    """Prints the comparison; 0: the same files, 1: not. Raises BackendError(unreadable, changed, no_blender,
    failed).
    """
    try:
        receipt = _checked(read_receipt(path))
    except (OSError, ValueError, RecursionError) as error:
        raise BackendError(
            "unreadable", f"{path.name} is not the receipt of an avatar.", "Give a receipt.json."
        ) from error
    original = picture.absolute() if picture else _find_picture(path, receipt)
    if digest(original) != receipt["picture"]["sha256"]:
        raise BackendError(
            "changed", f"{original.name} is not the picture that this avatar was made from.", "Give it with --picture."
        )
    with _folder(out) as folder:
        made = _make(receipt, original, blender_command(blender), folder)
        lines, same = compare(receipt, made)
    print("\n".join(lines))
    return 0 if same else 1


def _checked(receipt: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError for a receipt that lacks what is needed here."""
    if not all(isinstance(receipt.get(part), dict) for part in ("picture", "parameters", "files", "metrics")):
        raise ValueError("a part is missing")
    picture, files = receipt["picture"], receipt["files"]
    if not all(isinstance(file, dict) and isinstance(file.get("sha256"), str) for file in (picture, *files.values())):
        raise ValueError("a file without its digest")
    name = receipt.get("name") or files.get("vrm", {}).get("name")
    if not isinstance(picture.get("name"), str) or not isinstance(name, str):
        raise ValueError("a name is missing")
    text = json.dumps(receipt, ensure_ascii=False).encode()  # UnicodeEncodeError for half a surrogate pair
    if rb"\u0000" in text:
        raise ValueError("a character that no command can have")
    return receipt


def blender_command(given: str | None = None) -> list[str]:
    """The start of a command that runs a script in Blender. Raises BackendError("no_blender")."""
    chosen = given or os.environ.get(BLENDER) or shutil.which("blender")
    if chosen is None and importlib.util.find_spec("bpy"):
        chosen = sys.executable
    found = shutil.which(chosen) if chosen else None
    if not found:
        hint = f"Give one with --blender or {BLENDER}; a Python that has the bpy module works as well."
        message = (
            f"There is no Blender {chosen}."
            if chosen
            else "Making the avatar again needs Blender, which was not found."
        )
        raise BackendError("no_blender", message, hint)
    found = str(Path(found).absolute())  # not resolved: an environment's Python is a link
    return [found] if Path(found).name.lower().startswith("python") else [found, "--background", "--python"]


def compare(old: dict[str, Any], new: dict[str, Any]) -> tuple[list[str], bool]:
    """What is the same and what is not, a line each, and whether all files are the same that both have."""
    lines: list[str] = []
    for title, key in (("version", "versions"), ("weights", "weights")):
        before, now = old.get(key) or {}, new.get(key) or {}
        lines.extend(
            f"{title} {name}: was {before[name]}, is {now[name]}"
            for name in sorted(before.keys() & now.keys())
            if before[name] != now[name]
        )
    same = True
    for kind in sorted(old["files"].keys() & new["files"].keys()):
        before, now = old["files"][kind], new["files"][kind]
        equal = before["sha256"] == now["sha256"]
        same &= equal
        lines.append(
            f"{kind}: {'the same' if equal else 'different'} (SHA-256 {before['sha256'][:12]}, {now['sha256'][:12]})"
        )
    for name in sorted(old["metrics"].keys() & new["metrics"].keys()):
        before, now = old["metrics"][name], new["metrics"][name]
        if not same and before != now and not name.endswith(("_s", "seconds")):
            lines.append(f"metric {name}: was {before:g}, is {now:g}")
    return lines, same


def _find_picture(path: Path, receipt: dict[str, Any]) -> Path:
    names = [receipt["picture"].get("path"), receipt["picture"]["name"]]
    for name in filter(None, names):
        if (path.parent / name).is_file():
            return path.parent / name
    raise BackendError(
        "unreadable", f"The picture {names[-1]} is not in the folder of the receipt.", "Give it with --picture."
    )


def _make(receipt: dict[str, Any], picture: Path, command: list[str], out: Path) -> dict[str, Any]:
    given, name = receipt["parameters"], receipt.get("name") or Path(receipt["files"]["vrm"]["name"]).stem
    arguments = [str(picture), "--out", str(out), "--again", "--name", name]
    names = ("engine", "rigger", "seed", "rigger_seed", "vrm", "author")
    for option, key in ((f"--{name.replace('_', '-')}", name) for name in names):
        if given.get(key) not in (None, ""):
            arguments += [option, str(given[key])]
    for option, key in (("--engine-options", "engine_options"), ("--rigger-options", "rigger_options")):
        if given.get(key):
            arguments += [option, json.dumps(given[key])]
    if given.get("markers"):
        markers = out / "markers.json"
        markers.write_text(json.dumps(given["markers"]), encoding="utf-8")
        arguments += ["--markers", str(markers)]
    environment = {"AVATAR_FORGE_BACKEND_PYTHON": sys.executable, **os.environ}
    script = ROOT / "avatar_addon" / "batch.py"
    ended = subprocess.run(
        [*command, str(script), "--", *arguments], env=environment, stdin=subprocess.DEVNULL, cwd=out
    )
    found = sorted(out.glob("*.receipt.json")) + sorted(out.glob(f"**/{RECEIPT}"))
    if ended.returncode or not found:
        raise BackendError(
            "failed", f"Making the avatar again failed (status {ended.returncode}).", "The lines above say why."
        )
    return read_receipt(found[0])


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out:
        out = out.absolute()
        out.mkdir(parents=True, exist_ok=True)
        yield out
    else:
        with tempfile.TemporaryDirectory(prefix="avatar-rerun-") as made:
            yield Path(made)
