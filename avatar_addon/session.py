# SPDX-License-Identifier: GPL-3.0-or-later
"""This Blender's backend: where its environment and the run folders lie, and the one worker."""

from __future__ import annotations

import os
from pathlib import Path

import bpy

from . import installation, jobs
from .backend_env import Environment
from .errors import AvatarError

PACKAGE = __package__.rpartition(".")[0]  # the extension: bl_ext.<repository>.avatar_forge, or avatar_forge headless

RUNS_VARIABLE = "AVATAR_FORGE_RUNS"

_worker: jobs.Worker | None = None


def preferences():
    """The add-on's preferences, or None where the checkout runs without being installed as an extension."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon else None


def user_folder(name: str) -> Path:
    """A folder below the extension's own folder of this user, made when missing."""
    if PACKAGE.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(PACKAGE, path=name, create=True))
    return Path(bpy.utils.user_resource("DATAFILES", path=f"avatar_forge/{name}", create=True))


def runs_folder() -> Path:
    """Where finished runs are kept: AVATAR_FORGE_RUNS, else as the preferences say, else in the extension's folder."""
    if named := os.environ.get(RUNS_VARIABLE):
        return Path(named).absolute()
    chosen = getattr(preferences(), "runs_folder", "")
    return Path(bpy.path.abspath(chosen)) if chosen else user_folder("runs")


def jobs_folder() -> Path:
    """Where meshes and rigs lie on their way between Blender and the backend."""
    return runs_folder() / "jobs"


def engines_file() -> Path:
    """What the backend last reported of its engines."""
    return user_folder("backend") / "engines.json"


def environment() -> Environment:
    return Environment(user_folder("backend"))


def worker() -> jobs.Worker:
    """The worker; it starts with its first job. Raises AvatarError when the backend is not installed."""
    global _worker
    env = environment()
    state = env.state()
    if not state.ready:
        raise AvatarError(state.message, "backend_missing")
    if _worker is None:
        command, variables = env.worker_command()
        _worker = jobs.Worker(command, variables, log_path=user_folder("logs") / "backend.log")
    return _worker


def close() -> None:
    """Ends the worker and installations; for unregister and after a repair."""
    global _worker
    if _worker:
        _worker.close()
    _worker = None
    installation.close_all()
