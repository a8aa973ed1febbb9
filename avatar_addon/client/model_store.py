# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backend says of its models, kept for the preferences and the panels, and the steps that change it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import bpy

from ..errors import AvatarError
from . import engines, session
from .process import jobs
from .process.tasks import Steps, Task, Wait

_rows: list[dict[str, Any]] | None = None  # as the worker's method `models`; None: not asked yet
_last: list[dict[str, Any]] = []  # what was known before it was forgotten
_busy = ""  # the model that is being downloaded
_asking: Task | None = None


def rows() -> list[dict[str, Any]] | None:
    return _rows


def last() -> list[dict[str, Any]]:
    """What was known of the models when they were last asked for."""
    return _last


def busy() -> str:
    return _busy


def row(name: str) -> dict[str, Any]:
    """The row of a model, {} when it is not known."""
    return next((entry for entry in _rows or [] if entry["name"] == name), {})


def refresh(span=(0.0, 1.0)) -> Steps:
    """Asks the backend which models and engines there are; the panels know then why one cannot run."""
    global _rows, _last
    answer = yield Wait(jobs.Job("models"), span[0], span[0])
    hello = yield Wait(jobs.Job("hello"), *span)
    _rows = _last = answer["models"]
    engines.remember_engines(hello, session.engines_file())
    return _rows


def download(name: str) -> Steps:
    """Fetches a model; a stopped download resumes."""
    global _busy
    _busy = name
    try:
        yield Wait(jobs.Job("download_model", name=name), 0.0, 0.99)
    finally:
        _busy = ""
        forget()  # also what has arrived of a stopped one is to be seen
    yield from refresh((0.99, 1.0))


def remove(name: str) -> Steps:
    """Deletes a downloaded model's files and nothing else."""
    yield Wait(jobs.Job("remove_model", name=name), 0.0, 0.5)
    yield from refresh((0.5, 1.0))


def use_folder(name: str, folder: Path | None) -> Steps:
    """Uses the weights in a folder of the user's instead of a download; None: the download again. Raises AvatarError
    when they will not do, and leaves everything as it was.
    """
    before = session.own_folder(name)
    session.set_own_folder(name, str(folder) if folder else "")
    try:
        yield from refresh()
        if folder and not row(name).get("installed"):
            reason = row(name).get("reason") or f"There are no {name} weights in {folder}."
            raise AvatarError(
                f"{reason.rstrip('.')}; choose the folder that contains the model's files as published.",
                "no_weights",
            )
    except AvatarError:
        session.set_own_folder(name, before)
        forget()
        raise


def forget() -> None:
    """What is known is asked for again when it is next drawn."""
    global _rows
    _rows = None


def refresh_soon() -> None:
    """Asks the backend from a timer; for drawing code and for properties that were changed. Nothing happens
    headless.
    """
    if not bpy.app.background and not bpy.app.timers.is_registered(_ask):
        bpy.app.timers.register(_ask, first_interval=0.05)


def _ask() -> float | None:
    global _asking, _rows
    if _asking is None:
        if not session.environment().state().ready:
            return None
        if bpy.context.window_manager.avatar_forge.running:  # it may be a long download
            return 1.0
        _asking = Task("Models", refresh(), session.worker)
    if not _asking.poll():
        return 0.1
    if _asking.error:
        _rows = _rows or []
    _asking = None
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("PREFERENCES", "VIEW_3D"):
                area.tag_redraw()
    return None


def unregister() -> None:
    global _asking
    forget()
    _asking = None
    with contextlib.suppress(ValueError):
        bpy.app.timers.unregister(_ask)
