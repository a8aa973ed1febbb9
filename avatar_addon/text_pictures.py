# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference pictures from a sentence, as the preferences name the servers; and which sentence a picture came from."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bpy

from .client import session
from .client.process import jobs
from .client.process.tasks import Steps, Wait
from .errors import AvatarError

OFF = "There is no picture server yet; enter the address of one in the preferences, under Text to Picture."


def may_reach(address: str) -> bool:
    """Always this machine itself, others where Blender is allowed to use the internet."""
    return bpy.app.online_access or (urlsplit(address).hostname or "") in ("localhost", "127.0.0.1", "::1")


def problem() -> str:
    """Why no pictures can be asked for, or ""."""
    chosen = session.preferences()
    if chosen is None or not chosen.image_url.strip():
        return OFF
    for address in (chosen.image_url, chosen.chat_url):
        if address.strip() and not may_reach(address):
            return (
                "Blender is not allowed to use the internet; allow it in the preferences under System, or use a server"
                " on this computer."
            )
    return ""


def make(text: str, seed: int = 0, count: int = 4, span: tuple[float, float] = (0.0, 1.0)) -> Steps:
    """Returns {text, prompt, kind, model, pictures: [{path, seed, usable, reason}]}, usable pictures first; they stay
    in the folder of runs. Raises AvatarError.
    """
    if reason := problem():
        raise AvatarError(reason, "no_picture_server")
    chosen = session.preferences()
    folder = session.runs_folder() / "pictures" / uuid.uuid4().hex[:12]
    workflow = Path(bpy.path.abspath(chosen.comfy_workflow)) if chosen.comfy_workflow.strip() else None
    fields = {name: getattr(chosen, f"comfy_{name}").strip() for name in ("prompt", "seed", "count")}
    job = jobs.Job(
        "pictures_from_text",
        text=text,
        out_dir=folder,
        url=chosen.image_url.strip(),
        kind=chosen.image_kind,
        model=chosen.image_model.strip(),
        key=chosen.image_key,
        workflow=workflow,
        fields=fields if workflow else None,
        chat_url=chosen.chat_url.strip(),
        chat_model=chosen.chat_model.strip(),
        chat_key=chosen.chat_key,
        count=count,
        seed=seed,
    )
    try:
        return (yield Wait(job, *span))
    except AvatarError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def first_usable(made: dict[str, Any]) -> Path:
    """The picture to go on with where nobody chooses; there is one, or `make` had raised."""
    return Path(next(entry["path"] for entry in made["pictures"] if entry["usable"]))


def store(settings: Any, made: dict[str, Any]) -> None:
    """Keeps what was made in the scene's settings, for the panel and for receipts, and takes the first picture."""
    settings.text_pictures = json.dumps(made)
    settings.picture = str(first_usable(made))


def stored(settings: Any) -> dict[str, Any]:
    """What `store` has kept, {} for nothing."""
    try:
        made = json.loads(settings.text_pictures or "{}")
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}


def origin(settings: Any, picture: Path) -> dict[str, Any]:
    """{text, prompt, model, seed} of a picture that was made here; {} of any other."""
    return origin_in(stored(settings), picture)


def origin_in(made: dict[str, Any], picture: Path) -> dict[str, Any]:
    """As `origin`, in what `make` has returned."""
    for entry in made.get("pictures") or ():
        if Path(entry["path"]) == picture:
            return {name: made.get(name, "") for name in ("text", "prompt", "model")} | {"seed": entry["seed"]}
    return {}
