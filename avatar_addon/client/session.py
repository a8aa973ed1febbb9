# SPDX-License-Identifier: GPL-3.0-or-later
"""This Blender's backend: where its environment and the run folders lie, and the one worker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bpy

from ..errors import AvatarError
from . import engines
from .process import installation, jobs
from .process.environment import Environment

# The extension: bl_ext.<repository>.avatar_forge, or avatar_forge headless.
PACKAGE = __package__.removesuffix(".avatar_addon.client")

RUNS_VARIABLE = "AVATAR_FORGE_RUNS"
MODELS_VARIABLE = "AVATAR_FORGE_MODELS"

_worker: jobs.Worker | None = None


def preferences():
    """The add-on's preferences, or None where the checkout runs without being installed as an extension."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon else None


def may_reach(address: str) -> bool:
    """Always this machine itself, others where Blender is allowed to use the internet."""
    return bpy.app.online_access or (urlsplit(address).hostname or "") in ("localhost", "127.0.0.1", "::1")


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


def models_folder() -> Path:
    """Where weights are downloaded to: AVATAR_FORGE_MODELS, else as the preferences say, else in the extension's
    folder.
    """
    if named := os.environ.get(MODELS_VARIABLE):
        return Path(named).absolute()
    chosen = getattr(preferences(), "models_folder", "")
    return Path(bpy.path.abspath(chosen)).absolute() if chosen else user_folder("models")


def folder_property(model: str) -> str:
    """The property of the preferences that names the user's own folder of a model."""
    return f"{model}_folder"


def own_folder(model: str) -> str:
    """The user's own folder of a model as the preferences name it, "" for none."""
    return getattr(_holder(model), folder_property(model), "")


def set_own_folder(model: str, folder: str) -> None:
    setattr(_holder(model), folder_property(model), folder)


def _holder(model: str) -> Any:
    chosen = preferences()
    return chosen if chosen is None or hasattr(chosen, folder_property(model)) else chosen.other_models


def _variables() -> set[str]:
    """What may tell the worker where weights lie: of all models, and of one whose weights are the user's own."""
    return {MODELS_VARIABLE, *(model["variable"] for model in engines.all_models().values())}


def _model_variables() -> dict[str, str]:
    """What tells the worker where weights lie; a variable that is set already wins over the preferences."""
    own = {}
    for name, model in engines.all_models().items():
        if folder := own_folder(name):
            own[model["variable"]] = str(Path(bpy.path.abspath(folder)).absolute())
    given = {name: os.environ[name] for name in _variables() if name in os.environ}
    # A checkout that is no extension shares the backend's own folder with `python -m backend models`.
    root = {} if preferences() is None else {MODELS_VARIABLE: str(models_folder())}
    return root | own | given


def jobs_folder() -> Path:
    """Where meshes and rigs lie on their way between Blender and the backend."""
    return runs_folder() / "jobs"


def engines_file() -> Path:
    """What the backend last reported of its engines."""
    return user_folder("backend") / "engines.json"


def log_file() -> Path:
    """What the worker writes to its stderr."""
    return user_folder("logs") / "backend.log"


def hello() -> dict:
    """What the living worker said of itself; {} where none runs."""
    return dict(_worker.hello or {}) if _worker else {}


def environment() -> Environment:
    return Environment(user_folder("backend"))


def worker() -> jobs.Worker:
    """The worker; it starts with its first job, and again when the folders of models were changed and it has nothing
    to do.

    Raises AvatarError when the backend is not installed.
    """
    global _worker
    env = environment()
    state = env.state()
    if not state.ready:
        raise AvatarError(state.message, "backend_missing")
    models = _model_variables()
    known = _variables()
    if _worker and _worker.idle and models != {name: v for name, v in (_worker.env or {}).items() if name in known}:
        _worker.close()
        _worker = None
    if _worker is None:
        command, variables = env.worker_command()
        _worker = jobs.Worker(command, variables | models, log_path=log_file())
    return _worker


def detach() -> None:
    """Before the running task is ended because this Blender is: a job on a cluster goes on without it."""
    if _worker and _worker.is_elsewhere:
        _worker.close()


def close() -> None:
    """Ends the worker and installations; for unregister and after a repair."""
    global _worker
    if _worker:
        _worker.close()
    _worker = None
    installation.close_all()
