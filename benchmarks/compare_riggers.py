# SPDX-License-Identifier: GPL-3.0-or-later
"""Riggers against artists: every rigger on the same characters, whose own weights are the reference.

Used by `python -m benchmarks.rigging --riggers geometric,unirig,skintokens [folder with index.json]`. A rigger is given
the true joints where it takes any, so that weights are compared and not guesses of joints. Bones are folded into those
that both rigs have (a finger into its hand where one rig has no fingers), and weights of rigs without VRM names go to
the nearest bone.
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avatar_addon.vrm.spec.human_bones import PARENTS
from backend.engines import Rig, RigRequest
from backend.errors import BackendError
from backend.mesh.files import MeshArrays, write_mesh
from backend.registry import Engines
from backend.rig_checks import Rigged, limb_leakage, rotation, stretched_triangles, t_pose
from backend.rig_metrics import DenseRig, compare, load_rig

from .posed_glb import FACING
from .skinned_glb import load_skinned

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "models" / "cc0"
REQUIRED = ("hips", "head", "leftUpperArm", "leftHand", "rightUpperArm", "rightHand", "leftUpperLeg", "rightFoot")
COLUMNS = ("weights L1", "precision", "recall", "leak %", "stretch %", "joints %", "seconds")


@dataclass
class Character:
    """A mesh in metres, facing +Z, and the artist's rig of it with VRM names; `joints`: where the true ones are."""

    name: str
    mesh: MeshArrays
    truth: DenseRig

    @property
    def joints(self) -> dict[str, list[float]]:
        return {name: point.tolist() for name, point in zip(self.truth.names, self.truth.joints, strict=True)}


@dataclass
class Result:
    """A row's figures in the order of COLUMNS, NaN where there is none; trouble: why there are no figures at all."""

    rigger: str
    figures: list[float] = field(default_factory=list)
    trouble: str = ""


def characters(folder: Path, only: str = "", every: int = 1) -> list[Path]:
    """The characters of a folder that have the bones of a humanoid, every so-manyth, as paths of GLB files."""
    rows = [row for row in json.loads((folder / "index.json").read_text())["characters"] if only in row["name"]]
    return [folder / row["file"] for row in rows if all(bone in row["humanoid"] for bone in REQUIRED)][::every]


def load(path: Path) -> Character:
    row = next(r for r in json.loads((path.parent / "index.json").read_text())["characters"] if r["file"] == path.name)
    rig = load_skinned(path).rig
    turn = rotation((0, FACING[row["facing"]], 0)).T
    bones = {vrm: rig.names.index(name) for vrm, name in row["humanoid"].items() if name in rig.names}
    owner = {bone: vrm for vrm, bone in bones.items()}
    names = list(bones)
    weights = np.zeros((len(rig.vertices), len(names)))
    for bone in range(len(rig.names)):
        above = bone
        while above >= 0 and above not in owner:
            above = int(rig.parents[above])
        weights[:, names.index(owner.get(above, "hips"))] += rig.weights[:, bone]
    joints = np.array([rig.joints[bones[name]] for name in names]) @ turn
    index = {name: k for k, name in enumerate(names)}
    parents = np.array([_above(name, index) for name in names])
    tails = joints.copy()
    for k, parent in enumerate(parents):
        if parent >= 0 and (tails[parent] == joints[parent]).all():
            tails[parent] = joints[k]
    for k, parent in enumerate(parents):
        if (tails[k] == joints[k]).all() and parent >= 0:
            tails[k] += 0.5 * (joints[k] - joints[parent])
    mesh = MeshArrays(rig.vertices @ turn, rig.triangles)
    return Character(path.stem, mesh, DenseRig(joints, tails, parents, names, weights))


def _above(name: str, index: dict[str, int]) -> int:
    """The nearest bone above that is there."""
    parent = PARENTS[name]
    while parent is not None and parent not in index:
        parent = PARENTS[parent]
    return -1 if parent is None else index[parent]


def folded(rig: DenseRig, names: set[str]) -> DenseRig:
    """The rig with only the bones of these names; the weight of any other goes to the bone above it."""
    kept = [k for k, name in enumerate(rig.names) if name in names]
    place = {bone: k for k, bone in enumerate(kept)}
    weights, parents = np.zeros((len(rig.weights), len(kept))), np.full(len(kept), -1)
    for bone in range(len(rig.names)):
        above = bone
        while above >= 0 and above not in place:
            above = int(rig.parents[above])
        weights[:, place.get(above, 0)] += rig.weights[:, bone]
        up = int(rig.parents[bone]) if bone in place else -1
        while up >= 0 and up not in place:
            up = int(rig.parents[up])
        if up >= 0:
            parents[place[bone]] = place[up]
    return DenseRig(rig.joints[kept], rig.tails[kept], parents, [rig.names[k] for k in kept], weights)


def measure(character: Character, name: str, rigger, options: dict) -> Result:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_mesh(folder / "mesh.npz", character.mesh)
        request = RigRequest(folder / "mesh.npz", folder, 0, character.joints, options)
        started = time.perf_counter()
        try:
            made: Rig = rigger.rig(request, lambda *_: None)
        except BackendError as error:
            return Result(name, trouble=error.message)
        seconds = time.perf_counter() - started
        rig = load_rig(made.rig)
    vrm = {bone: vrm for vrm, bone in made.humanoid.items()}
    rig.names = [vrm.get(bone, bone) for bone in rig.names]
    truth, size = character.truth, float(np.ptp(character.mesh.vertices, axis=0).max())
    posed = [float("nan")] * 2
    if vrm:
        both = set(rig.names) & set(truth.names)
        rig, truth = folded(rig, both), folded(truth, both)
        upright = t_pose(_checked(rig, character.mesh))
        leaks, stretched = limb_leakage(upright), stretched_triangles(upright)
        posed = [100 * max(leaks.values(), default=0.0), 100 * max(stretched.values(), default=0.0)]
    errors = compare(rig, truth, size)
    return Result(name, [errors.l1, errors.precision, errors.recall, *posed, errors.j2j, seconds])


def _checked(rig: DenseRig, mesh: MeshArrays) -> Rigged:
    return Rigged(mesh.vertices, mesh.triangles, rig.joints, rig.tails, rig.parents, rig.names, rig.weights)


def reference(character: Character) -> Result:
    """What the artist's own weights do in the same poses."""
    upright = t_pose(_checked(character.truth, character.mesh))
    leaks, stretched = limb_leakage(upright), stretched_triangles(upright)
    worst = [100 * max(values.values(), default=0.0) for values in (leaks, stretched)]
    return Result("artist", [0.0, 1.0, 1.0, *worst, 0.0, float("nan")])


def run(folder: Path, riggers: list[str], options: dict[str, dict], only: str = "", every: int = 1) -> None:
    """Prints a row of every character and rigger, then the medians. A rigger that cannot run here says why once."""
    engines = Engines("riggers")
    usable = {}
    for name in riggers:
        try:
            usable[name] = engines.get(name)
        except BackendError as error:
            print(f"{name}: {error.message}")
    print(f"{'character':32} {'rigger':12} " + " ".join(f"{column:>10}" for column in COLUMNS))
    rows: dict[str, list[list[float]]] = {}
    for path in characters(folder, only, every):
        character = load(path)
        results = [reference(character)]
        results += [measure(character, name, rigger, options.get(name, {})) for name, rigger in usable.items()]
        for result in results:
            print(line(character.name, result), flush=True)
            if result.figures:
                rows.setdefault(result.rigger, []).append(result.figures)
    for name, figures in rows.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without any figure
            medians = np.nanmedian(np.array(figures), axis=0).tolist()
        print(line(f"median of {len(figures)}", Result(name, medians)))


def line(character: str, result: Result) -> str:
    if result.trouble:
        return f"{character:32} {result.rigger:12} {result.trouble}"
    cells = " ".join(f"{'-' if np.isnan(figure) else f'{figure:.2f}':>10}" for figure in result.figures)
    return f"{character:32} {result.rigger:12} {cells}"
