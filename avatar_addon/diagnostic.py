# SPDX-License-Identifier: GPL-3.0-or-later
"""What someone who is to help needs to know, as text without secrets: versions, the machine, the backend, the last
error, the avatar.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import platform
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import addon_utils
import bpy

from . import workflow_states
from .avatar import scene, step_states
from .client import engines, session
from .vrm import addon as vrm_addon

LOG_LINES, LOG_BYTES = 25, 20_000
HIDDEN = "[hidden]"
SECRET_NAME = re.compile(r"key|token|secret|passw|credential|cookie|authorization", re.IGNORECASE)
# `name=value`, `"name": "value"`, `name: Bearer value`: the value goes.
ASSIGNED = re.compile(
    r"""(?ix)([\w.-]*(?:key|token|secret|passw(?:or)?d?|credential|cookie|authorization|signature)[\w.-]*["']?\s*[=:]\s*)
    (?:(?:bearer|basic)\s+)?("[^"]*"|'[^']*'|[^\s,;&"']+)"""
)
BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9+/=._~-]{8,}")
IN_ADDRESS = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@")  # user:password@
BEHIND_HOST = re.compile(
    r"(?i)(\b(?!file:)[a-z][a-z0-9+.-]*://[^\s/?#'\"<>)\]]+)[/?#][^\s'\"<>)\]]+"
)  # as in a webhook's address
KNOWN_SHAPES = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bhf_[A-Za-z0-9]{20,}\b|\bgh[pousr]_[A-Za-z0-9]{20,}\b|\beyJ[\w-]{10,}\.[\w-]+\.[\w-]+\b"
)


def text(context: bpy.types.Context) -> str:
    """The whole, a few dozen lines of Markdown."""
    parts = {
        "Versions": _versions(),
        "Machine": _machine(),
        "Backend": _backend(),
        "Engines": _engines(),
        "Task": _task(context),
        "Avatar": _avatar(context),
        "Last lines of the backend's log": _log(),
    }
    said = "\n\n".join(f"## {title}\n" + "\n".join(lines or ["none"]) for title, lines in parts.items())
    return without_secrets(f"# Avatar Forge: diagnostic\n\n{said}\n", os.environ)


def without_secrets(said: str, environment: Mapping[str, str]) -> str:
    """The text without keys, tokens and passwords, with ~ for the home folder and `user` for the user's name."""
    values = [value for name, value in environment.items() if SECRET_NAME.search(name) and len(value) >= 6]
    values += [
        value
        for name, value in _preferences()
        if SECRET_NAME.search(name) and isinstance(value, str) and len(value) >= 6
    ]
    for value in sorted(set(values), key=len, reverse=True):
        said = said.replace(value, HIDDEN)
    said = IN_ADDRESS.sub(rf"\1{HIDDEN}@", said)
    said = BEHIND_HOST.sub(rf"\1/{HIDDEN}", said)
    said = BEARER.sub(rf"\1 {HIDDEN}", said)
    said = ASSIGNED.sub(rf"\1{HIDDEN}", said)
    said = KNOWN_SHAPES.sub(HIDDEN, said)
    for folder in dict.fromkeys((str(Path.home()), os.path.realpath(Path.home()), environment.get("USERPROFILE", ""))):
        if len(folder) > 1:
            said = said.replace(folder, "~").replace(folder.replace("\\", "/"), "~")
    with contextlib.suppress(OSError, KeyError, ImportError):
        name = getpass.getuser()
        if len(name) > 2 and name != "root":
            said = re.sub(rf"(?i)(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "user", said)
    return said


def _preferences() -> list[tuple[str, object]]:
    chosen = session.preferences()
    return (
        [(entry.identifier, getattr(chosen, entry.identifier)) for entry in chosen.bl_rna.properties] if chosen else []
    )


def _versions() -> list[str]:
    with contextlib.suppress(OSError, ValueError):
        manifest = tomllib.loads((Path(__file__).parents[1] / "blender_manifest.toml").read_text(encoding="utf-8"))
        addon = manifest.get("version", "unknown")
    build = (
        bpy.app.build_hash.decode(errors="replace")
        if isinstance(bpy.app.build_hash, bytes)
        else str(bpy.app.build_hash)
    )
    return [
        f"Avatar Forge {addon}",
        f"Blender {bpy.app.version_string} ({build}), Python {platform.python_version()}",
        f"VRM Add-on {_vrm_version()}",
    ]


def _vrm_version() -> str:
    if not vrm_addon.is_available():
        return "not there"
    package = bpy.types.Armature.vrm_addon_extension.keywords["type"].__module__.partition(".editor")[0]
    module = sys.modules.get(package)
    if module is None:
        return "unknown"
    return ".".join(str(part) for part in addon_utils.module_bl_info(module).get("version", ())) or "unknown"


def _machine() -> list[str]:
    lines = [f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} processors"]
    if bpy.app.background:
        return [*lines, "GPU: no window"]
    import gpu

    lines.append(f"GPU: {gpu.platform.renderer_get()} ({gpu.platform.vendor_get()}), {gpu.platform.version_get()}")
    return lines


def _backend() -> list[str]:
    environment = session.environment()
    state = environment.state()
    lines = [f"{state.code}: {state.message}", f"Python: {environment.python}"]
    hello = session.hello()
    lines.append(
        f"Worker: Python {hello.get('python', '?')}, protocol {hello.get('version', '?')}"
        if hello
        else "Worker: not running"
    )
    lines += [f"{name}: {done}" for name, done in environment.done().items()]
    return lines


def _engines() -> list[str]:
    lines = []
    for kind, known in (("generators", engines.GENERATORS), ("riggers", engines.RIGGERS)):
        for name, label in known.items():
            asked = engines.is_known(kind, name)
            reason = engines.unavailable(kind, name)
            lines.append(f"{label}: {reason or ('available' if asked else 'not asked yet')}")
    return lines


def _task(context: bpy.types.Context) -> list[str]:
    state = context.window_manager.avatar_forge
    lines = [
        f"{'Running' if state.running else 'Last'}: {state.title or 'none'}, stage {state.stage or 'none'},"
        f" {state.fraction:.0%}"
    ]
    return [*lines, f"Last error: {state.error or 'none'}"]


def _avatar(context: bpy.types.Context) -> list[str]:
    avatar = scene.find_avatar(context)
    if avatar is None:
        return []
    record, mesh = avatar.record, avatar.mesh.data
    keys = len(mesh.shape_keys.key_blocks) if mesh.shape_keys else 0
    bones = len(avatar.armature.data.bones) if avatar.armature else 0
    lines = [
        (
            f"{record.label or 'label unknown'}; engine {record.engine or 'none'}, rigger {record.rigger or 'none'},"
            f" seed {record.seed}"
        ),
        (
            f"{len(mesh.vertices)} vertices, {len(mesh.polygons)} faces, {bones} bones, {keys} shape keys,"
            f" {len(mesh.materials)} materials"
        ),
        "Steps: " + ", ".join(f"{title} {state.state or 'to do'}" for title, state in _named(avatar)),
    ]
    lines += [f"Note ({warning.code}): {warning.message}" for warning in record.warnings]
    lines += [
        f"Check {check.status}: {check.title}: {check.figure}" for check in record.checks if check.status != "PASS"
    ]
    with contextlib.suppress(ValueError):
        parameters = json.loads(record.provenance or "{}").get("parameters", {})
        lines += [f"Parameters: {json.dumps(parameters)}"] if parameters else []
    return lines


def _named(avatar: scene.Avatar):
    return [(step_states.STEPS[step], state) for step, state in workflow_states.states(avatar).items()]


def _log() -> list[str]:
    """The end of the worker's log; it may be long."""
    path = session.log_file()
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []
