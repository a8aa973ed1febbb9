# SPDX-License-Identifier: GPL-3.0-or-later
"""What a generator and a rigger are, and the registry that finds them by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .progress import Report

if TYPE_CHECKING:
    from .models.store import Model
    from .options import Option

Progress = Report  # what an engine is given to say how far it is


@dataclass
class GenerateRequest:
    """One character's or thing's pictures to one mesh. picture: the front. pictures: further sides, "left", "back" and
    "right", the subject's own. `markers` (pixels of the upright front picture) override what the engine finds.
    """

    picture: Path
    out_dir: Path
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    markers: dict[str, Any] | None = None
    pictures: dict[str, Path] = field(default_factory=dict)


@dataclass
class GeneratedMesh:
    """A GLB (Y up, metres, facing +Z) and what the engine knows about it.

    landmarks: {"joints": {vrm bone: [x, y, z]}, "face": see backend.image.face} in the GLB's coordinates, or {} if
    unknown. warnings: [{"code": str, "message": one sentence}]. weights: {file: SHA-256} of the model it was made
    with, {} without one. settings: the engine's options as they were used, those that nobody gave included, so that a
    receipt tells all.
    """

    mesh: Path
    label: str
    landmarks: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class RigRequest:
    """A mesh.npz (see docs/architecture.md) to a rig for the very vertices in it. `joints` are known joint positions,
    if any; texture is the picture that the mesh's UVs lie on, where it has colours.
    """

    mesh: Path
    out_dir: Path
    seed: int = 0
    joints: dict[str, list[float]] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    texture: Path | None = None


@dataclass
class Rig:
    """A rig.npz (see docs/architecture.md), and `humanoid`: VRM bone name -> joint name where the rigger knows it.

    weights: {file: SHA-256} of the model, {} without one. turn: 3 x 3, the rotation of the mesh's axes after which the
    character stands and faces +Z; None where it does. The rig itself is in the mesh's axes.
    """

    rig: Path
    label: str
    humanoid: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)
    turn: list[list[float]] | None = None


class Described(Protocol):
    """What an engine may say of itself, so that the add-on draws its options, offers its models and never starts it
    in vain. Every member may be missing.

    options: checked before the engine is called, which then gets all of them. models: the files it needs. views: how
    many pictures of one thing it takes; with more than one it has `pictures_option(views)`. seeded: whether another
    seed makes another mesh.
    """

    options: tuple[Option, ...]
    models: tuple[Model, ...]
    views: int
    seeded: bool

    def unavailable_reason(self) -> str:
        """One sentence why the engine cannot run here (no weights, no GPU), "" when it can."""


class Generator(Protocol):
    name: str
    label: str

    def generate(self, request: GenerateRequest, progress: Progress) -> GeneratedMesh: ...


class Rigger(Protocol):
    name: str
    label: str

    def rig(self, request: RigRequest, progress: Progress) -> Rig: ...
