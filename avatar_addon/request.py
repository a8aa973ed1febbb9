# SPDX-License-Identifier: GPL-3.0-or-later
"""What an avatar is made from and with: one request for the panel, the batch and the socket."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from .client import engine_options as panel
from .client.engines import row_of
from .errors import AvatarError
from .picture import cards
from .picture import markers as picture_markers


@dataclass
class Request:
    """What an avatar is made from and with. `vrm`, `sheet` and `receipt`: files to write, or None."""

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
    vrm: Path | None = None
    sheet: Path | None = None
    receipt: Path | None = None  # of the run folder, written last
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
        return {
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
        }


def picture_path(scene: bpy.types.Scene) -> Path:
    return Path(bpy.path.abspath(scene.avatar_forge.picture)).resolve()


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
        markers = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AvatarError(
            f"The markers file {path.name} cannot be read ({error}); correct it or leave it out.", "bad_markers"
        ) from error
    if not isinstance(markers, dict):
        raise AvatarError(
            f"The markers file {path.name} must contain one JSON object; correct it or leave it out.", "bad_markers"
        )
    return markers
