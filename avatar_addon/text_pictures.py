# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference pictures from a sentence, as the preferences name the servers; and which sentence a picture came from."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import bpy

from .client import session
from .client.process import jobs
from .client.process.tasks import Steps, Wait
from .errors import AvatarError

OFF = "There is no picture server yet; enter the address of one in the preferences, under Text to Picture."


@dataclass(frozen=True)
class Servers:
    """Where pictures come from. The names are those of the add-on's preferences.

    image_kind: "openai" or "comfyui", whose workflow is a file ("": the included one) with fields NODE.INPUT.
    chat_url: a server that describes the character in detail, "" for none. An empty key is looked for in the
    environment.
    """

    image_url: str = ""
    image_kind: str = "openai"
    image_model: str = ""
    image_key: str = field(default="", repr=False)
    comfy_workflow: str = ""
    comfy_prompt: str = ""
    comfy_seed: str = ""
    comfy_count: str = ""
    chat_url: str = ""
    chat_model: str = ""
    chat_key: str = field(default="", repr=False)

    @classmethod
    def from_preferences(cls) -> Servers:
        """None is known where the checkout runs without being installed."""
        chosen = session.preferences()
        if chosen is None:
            return cls()
        return cls(**{one.name: getattr(chosen, one.name).strip() for one in fields(cls)})

    @property
    def problem(self) -> str:
        """Why no pictures can be asked for, or ""."""
        if not self.image_url:
            return OFF
        if all(session.may_reach(address) for address in (self.image_url, self.chat_url) if address):
            return ""
        return (
            "Blender is not allowed to use the internet; allow it in the preferences under System, or use a server on"
            " this computer."
        )


def problem() -> str:
    """As Servers.problem, of the preferences'."""
    return Servers.from_preferences().problem


def make(
    text: str,
    seed: int = 0,
    count: int = 4,
    servers: Servers | None = None,
    span: tuple[float, float] = (0.0, 1.0),
) -> Steps:
    """Returns {text, prompt, kind, model, pictures: [{path, seed, usable, reason}]}, usable pictures first; they stay
    in the folder of runs. servers: None for those of the preferences. Raises AvatarError.
    """
    servers = servers or Servers.from_preferences()
    if reason := servers.problem:
        raise AvatarError(reason, "no_picture_server")
    folder = session.runs_folder() / "pictures" / uuid.uuid4().hex[:12]
    workflow = Path(bpy.path.abspath(servers.comfy_workflow)) if servers.comfy_workflow else None
    named = {name: getattr(servers, f"comfy_{name}") for name in ("prompt", "seed", "count")}
    job = jobs.Job(
        "pictures_from_text",
        text=text,
        out_dir=folder,
        url=servers.image_url,
        kind=servers.image_kind,
        model=servers.image_model,
        key=servers.image_key,
        workflow=workflow,
        fields=named if workflow else None,
        chat_url=servers.chat_url,
        chat_model=servers.chat_model,
        chat_key=servers.chat_key,
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
