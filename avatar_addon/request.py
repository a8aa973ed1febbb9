# SPDX-License-Identifier: GPL-3.0-or-later
"""What an avatar is made from and with: one request for the panel, the batch and the socket."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from . import text_pictures
from .avatar import packed_file
from .client import engine_options as panel
from .client import session
from .client.engines import GENERATORS, row_of
from .errors import AvatarError, reason_of
from .files import from_json, read_text
from .picture import cards
from .picture import markers as picture_markers


@dataclass
class Request:
    """What an avatar is made from and with. `vrm`, `sheet`, `page`, `receipt` and `blend`: files to write, or None.

    begun, model: what it is made from in place of a generator's mesh (parts.py).
    """

    picture: Path
    name: str = ""
    engine: str = "preview"
    rigger: str = "geometric"
    seed: int = 0
    rigger_seed: int | None = None  # None: as `seed`
    engine_options: dict[str, Any] = field(default_factory=dict)
    rigger_options: dict[str, Any] = field(default_factory=dict)
    markers: dict[str, Any] | None = None
    pictures: dict[str, Path] = field(default_factory=dict)  # further sides: left, back, right, the character's own
    author: str = ""
    vrm_version: str = "1.0"
    perfect_sync: bool = False  # with the 52 face shapes of ARKit
    text: dict[str, Any] = field(default_factory=dict)  # what the picture was made from (text_pictures.origin)
    candidates: int = 1  # avatars to choose from (candidates.py)
    candidate_engines: tuple[str, ...] = ()  # generators that make them in turn; (): `engine` alone
    group: str = ""  # of the candidates that this one is made with
    group_name: str = ""  # of the avatar that one of them will be
    vrm: Path | None = None
    sheet: Path | None = None
    page: Path | None = None  # the viewer, with the avatar in it
    receipt: Path | None = None  # of the run folder, written last
    generated: Path | None = None  # folder with the result.json of a generator that ran elsewhere
    begun: Path | None = None  # .blend file of an avatar to go on with
    model: Path | None = None  # file of a 3D model, whose picture is `picture`
    until: str = ""  # the last step, one of parts.LAST: only `blend` is left, and a GLB beside it
    blend: Path | None = None  # with everything packed, for another computer
    record: bool = True  # keep a run folder, which MLflow is fed from

    @classmethod
    def from_settings(cls, scene: bpy.types.Scene, picture: Path | None = None, **given: Any) -> Request:
        """As the scene's settings say, but for what is given: fields of Request, of which None counts as not given.

        Options that are given are added to the settings', which count for the engine that is chosen there only; a seed
        that is given is also the rigger's. Name, markers and further sides belong to the settings' picture; a generator
        that takes one picture gets one. Raises AvatarError for a markers file that cannot be read.
        """
        given = {name: value for name, value in given.items() if value is not None}
        settings, own = scene.avatar_forge, picture_path(scene)
        made = cls(picture or own, author=settings.author, vrm_version=settings.vrm_version, seed=settings.seed)
        made.perfect_sync, made.candidates = settings.perfect_sync, settings.candidates
        made.candidate_engines = tuple(name for name in GENERATORS if name in settings.candidate_engines)
        made.text = text_pictures.origin(settings, made.picture)
        made.engine, made.rigger = given.get("engine", settings.engine), given.get("rigger", settings.rigger)
        if made.engine == settings.engine:
            made.engine_options = panel.engine_options(settings) | given.pop("engine_options", {})
        if made.rigger == settings.rigger:
            made.rigger_options = panel.rigger_options(settings) | given.pop("rigger_options", {})
            made.rigger_seed = None if "seed" in given else panel.rigger_seed(settings)
        if made.picture == own:
            made.name = settings.name
            made.markers = None if "markers" in given else placed_markers(scene)
            if int(row_of("generators", made.engine).get("views", 1)) > 1:
                made.pictures = cards.sides(scene)
        for name, value in given.items():
            setattr(made, name, value)
        return made

    @property
    def avatar_name(self) -> str:
        return self.name or self.picture.stem

    @property
    def skeleton_seed(self) -> int:
        return self.seed if self.rigger_seed is None else self.rigger_seed

    def parameters(self) -> dict[str, Any]:
        """What makes the avatar what it is, for receipts."""
        return (
            {
                "engine": self.engine,
                "rigger": self.rigger,
                "seed": self.seed,
                "rigger_seed": self.skeleton_seed,
                "engine_options": self.engine_options,
                "rigger_options": self.rigger_options,
                "markers": self.markers,
                "pictures": {side: path.name for side, path in sorted(self.pictures.items())},
                "vrm": self.vrm_version,
                "author": self.author,
                "perfect_sync": self.perfect_sync,
            }
            | ({"text": self.text} if self.text else {})
            | ({"candidates_of": self.group, "candidates_name": self.group_name} if self.group else {})
        )


def picture_path(scene: bpy.types.Scene) -> Path:
    """The settings' picture; one that is only inside the .blend file is written to the user's folder."""
    named = scene.avatar_forge.picture
    inside = named and named == Path(named).name
    found = packed_file.picture_inside(named, session.user_folder("pictures")) if inside else None
    return found or Path(bpy.path.abspath(named)).resolve()


def placed_markers(scene: bpy.types.Scene) -> dict[str, Any] | None:
    """The markers accepted for the settings' picture, else those of the markers file. Raises AvatarError."""
    settings = scene.avatar_forge
    checked = picture_markers.accepted(scene, picture_path(scene))
    if checked or not settings.markers:
        return checked
    return read_markers(Path(bpy.path.abspath(settings.markers)))


def read_markers(path: Path) -> dict[str, Any]:
    """A markers file (docs/architecture.md); the backend checks what is in it. Raises AvatarError."""
    try:
        markers = from_json(read_text(path))
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise AvatarError(
            f"The markers file {path.name} cannot be read ({reason}); correct it or leave it out.", "bad_markers"
        ) from error
    if not isinstance(markers, dict):
        raise AvatarError(
            f"The markers file {path.name} must contain one JSON object; correct it or leave it out.", "bad_markers"
        )
    return markers
