# SPDX-License-Identifier: GPL-3.0-or-later
"""How close a rig is to another: the measures of RigNet (Xu et al. 2020) and UniRig (Zhang et al. 2025), and `python
-m backend rig-eval`.

Skeletons: Chamfer distances between joints and joints (CD-J2J), joints and bones (CD-J2B), bones and bones (CD-B2B),
each the mean of the two directions. Skin: precision and recall of which bones move a vertex, and the mean L1 distance
of its weights (0 to 2). A bone is the segment from its joint to its tail; a skeleton's root joint counts like any
other. Lengths are in the inputs' units; `compare` gives them in percent of the longest edge of the mesh's bounding
box.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy.spatial import cKDTree

from .errors import BackendError
from .rig_checks import dense_weights

INFLUENCE = 1e-4  # from this weight on a bone moves a vertex (RigNet)
SPACING = 0.005  # of points along bones, in shares of the mesh's longest edge


@dataclass
class DenseRig:
    """A rig.npz: joints, tails (J, 3), parents (J,), names, weights (V, J) dense."""

    joints: np.ndarray
    tails: np.ndarray
    parents: np.ndarray
    names: list[str]
    weights: np.ndarray


@dataclass
class RigErrors:
    """Distances in percent of the mesh's longest edge; precision and recall 0 to 1; l1 0 to 2. NaN without a skin to
    compare.

    matched: how bones of one rig were found in the other: "name", or "place" when the names differ.
    """

    j2j: float
    j2b: float
    b2b: float
    precision: float
    recall: float
    l1: float
    matched: str


def joint_to_joint(a: np.ndarray, b: np.ndarray) -> float:
    """CD-J2J of joints (n, 3) and (m, 3)."""
    return float((cKDTree(b).query(a)[0].mean() + cKDTree(a).query(b)[0].mean()) / 2)


def segment_distances(points: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(p,) from points (p, 3) to the nearest of the segments (s, 3) to (s, 3)."""
    along = ends - starts
    length = np.maximum((along * along).sum(1), 1e-30)
    share = np.clip(((points[:, None] - starts) * along).sum(2) / length, 0, 1)
    return np.linalg.norm(points[:, None] - (starts + share[..., None] * along), axis=2).min(1)


def joint_to_bone(joints_a: np.ndarray, tails_a: np.ndarray, joints_b: np.ndarray, tails_b: np.ndarray) -> float:
    """CD-J2B: each side's joints to the other's bones."""
    return float(
        (segment_distances(joints_a, joints_b, tails_b).mean() + segment_distances(joints_b, joints_a, tails_a).mean())
        / 2
    )


def bone_points(joints: np.ndarray, tails: np.ndarray, spacing: float) -> np.ndarray:
    """(p, 3) points along every bone, ends included, at most `spacing` apart."""
    points = []
    for start, end in zip(joints, tails, strict=True):
        count = int(np.ceil(np.linalg.norm(end - start) / spacing)) + 1
        points.append(start + np.linspace(0, 1, count)[:, None] * (end - start))
    return np.concatenate(points)


def bone_to_bone(
    joints_a: np.ndarray, tails_a: np.ndarray, joints_b: np.ndarray, tails_b: np.ndarray, spacing: float
) -> float:
    """CD-B2B: points along each side's bones to the other's bones."""
    there = segment_distances(bone_points(joints_a, tails_a, spacing), joints_b, tails_b).mean()
    back = segment_distances(bone_points(joints_b, tails_b, spacing), joints_a, tails_a).mean()
    return float((there + back) / 2)


def precision_recall(predicted: np.ndarray, truth: np.ndarray, influence: float = INFLUENCE) -> tuple[float, float]:
    """Weights (V, J) of the same bones. Precision: which share of the bones that move a vertex should; recall: which
    share of those that should do. Means over vertices with any such bone; NaN when there is none.
    """
    has, should = predicted > influence, truth > influence
    both = (has & should).sum(1)

    def share(of: np.ndarray) -> float:
        count = of.sum(1)
        return float((both[count > 0] / count[count > 0]).mean()) if (count > 0).any() else float("nan")

    return share(has), share(should)


def weight_l1(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean over vertices of the summed absolute differences of weights (V, J) of the same bones."""
    return float(np.abs(predicted - truth).sum(1).mean())


def bone_map(rig: DenseRig, truth: DenseRig) -> tuple[np.ndarray, str]:
    """(J,) for each bone of a rig the bone of the truth it stands for, and how that was found.

    By name when both rigs have the same names, each once; else the bone whose joint and tail lie nearest.
    """
    column = {name: k for k, name in enumerate(truth.names)}
    unique = len(column) == len(truth.names) and len(set(rig.names)) == len(rig.names)
    if unique and set(rig.names) == set(column):
        return np.array([column[name] for name in rig.names]), "name"
    apart = np.linalg.norm(rig.joints[:, None] - truth.joints, axis=2) + np.linalg.norm(
        rig.tails[:, None] - truth.tails, axis=2
    )
    return apart.argmin(1), "place"


def compare(rig: DenseRig, truth: DenseRig, size: float) -> RigErrors:
    """All measures of a rig against the truth. size: the mesh's longest edge. The skin is compared when the vertices
    are the same ones.
    """
    percent = 100 / size
    skeletons = (rig.joints, rig.tails, truth.joints, truth.tails)
    target, matched = bone_map(rig, truth)
    precision = recall = l1 = float("nan")
    if len(rig.weights) == len(truth.weights):
        carried = np.zeros_like(truth.weights)
        np.add.at(carried.T, target, rig.weights.T)
        precision, recall = precision_recall(carried, truth.weights)
        l1 = weight_l1(carried, truth.weights)
    return RigErrors(
        percent * joint_to_joint(rig.joints, truth.joints),
        percent * joint_to_bone(*skeletons),
        percent * bone_to_bone(*skeletons, SPACING * size),
        precision,
        recall,
        l1,
        matched,
    )


def load_rig(path: Path) -> DenseRig:
    """A rig.npz (docs/architecture.md). Raises BackendError("bad_rig") when it is none."""
    try:
        with np.load(path, allow_pickle=False) as data:
            joints, tails = data["joints"].astype(np.float64), data["tails"].astype(np.float64)
            weights = dense_weights(data["weight_joint"], data["weight"].astype(np.float64), len(joints))
            return DenseRig(
                joints, tails, data["parents"].astype(np.int64), [str(name) for name in data["names"]], weights
            )
    except (OSError, ValueError, KeyError, IndexError, BadZipFile) as error:
        raise BackendError(
            "bad_rig", f"{path} is not a rig file ({error}).", "Use the rig.npz that a rigger wrote."
        ) from error


def mesh_size(folder: Path, truth: DenseRig) -> float:
    """The longest edge of the bounding box of mesh.npz beside a rig, or of the skeleton where there is none."""
    points = np.concatenate([truth.joints, truth.tails])
    if (folder / "mesh.npz").exists():
        with np.load(folder / "mesh.npz", allow_pickle=False) as data:
            points = data["vertices"]
    size = float(np.ptp(points, axis=0).max())
    return size if size > 0 else 1.0


def rig_file(path: Path) -> Path:
    return path / "rig.npz" if path.is_dir() else path


def rig_eval(arguments: list[str]) -> int:
    """Compares rigs with a reference and prints a table: distances in percent of the mesh's longest edge."""
    parser = argparse.ArgumentParser(prog="python -m backend rig-eval", description=rig_eval.__doc__)
    parser.add_argument(
        "rigs",
        nargs="+",
        type=Path,
        metavar="PREDICTED TRUTH",
        help="pairs of rig.npz files, or of folders with rig.npz and mesh.npz",
    )
    options = parser.parse_args(arguments)
    if len(options.rigs) % 2:
        parser.error("rigs come in pairs: PREDICTED TRUTH [PREDICTED TRUTH ...]")
    files = [rig_file(path) for path in options.rigs]
    rows: list[tuple[str, RigErrors]] = []
    try:
        for predicted, true in zip(files[::2], files[1::2], strict=True):
            truth = load_rig(true)
            rows.append(
                (
                    str(predicted.parent / predicted.stem),
                    compare(load_rig(predicted), truth, mesh_size(true.parent, truth)),
                )
            )
    except BackendError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return 1
    print(table(rows))
    return 0


def table(rows: list[tuple[str, RigErrors]]) -> str:
    """One row a rig, and their mean when there are several."""
    numbers = np.array([[e.j2j, e.j2b, e.b2b, e.precision, e.recall, e.l1] for _, e in rows])
    names = [name[-36:] for name, _ in rows]
    matched = [e.matched for _, e in rows]
    if len(rows) > 1:
        known = ~np.isnan(numbers)
        mean = np.where(known, numbers, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
        numbers, names, matched = np.vstack([numbers, mean]), [*names, "mean"], [*matched, ""]
    width = max(len("rig"), *map(len, names))
    lines = [f"{'rig':<{width}} {'J2J %':>7} {'J2B %':>7} {'B2B %':>7} {'prec.':>6} {'recall':>6} {'L1':>6}  bones by"]
    for name, (j2j, j2b, b2b, precision, recall, l1), how in zip(names, numbers, matched, strict=True):
        skin = "".join(f" {value:>6.3f}" if np.isfinite(value) else f" {'-':>6}" for value in (precision, recall, l1))
        lines.append(f"{name:<{width}} {j2j:>7.2f} {j2b:>7.2f} {b2b:>7.2f}{skin}  {how}".rstrip())
    return "\n".join(lines)
