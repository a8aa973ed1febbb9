# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a skin follows its bones, vertex by vertex: the report card makes its figures of it, the weights' panel
its places.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..mesh.measures import to_segment
from .measured import LIMB_TURN, LIMBS, POSES, Degrees, SkinnedBody

MOVED = 0.002  # metres that count as moving
CLOSE = 1e-5  # metres within which two vertices are one point of the skin
THIN, THICKEST = 0.05, 0.12  # of the height: the radius within which a limb's skin is looked for, usually and at most
THICKER = 1.3  # times the nearest skin's distance, where a limb is thicker than that
STRETCHED = 4.0  # times its length at rest
HEAD_TURN: dict[str, Degrees] = {"head": (0, 40, 0)}


@dataclass
class SkinFinding:
    """value: a share, or metres for cracks; first, second: limbs, or the pose; vertices: (V,) bool, those that are
    wrong.
    """

    value: float
    first: str
    second: str
    vertices: np.ndarray


def limbs_of(m: SkinnedBody) -> dict[str, np.ndarray]:
    """Limb -> (V,) whether a vertex belongs to it by its weights."""
    return {limb: m.held_by(bones[0]) for limb, bones in LIMBS.items()}


def moved_by(m: SkinnedBody, pose: dict[str, Degrees]) -> np.ndarray:
    return np.asarray(np.linalg.norm(m.posed(pose) - m.rest, axis=1) > MOVED)


def share(part: np.ndarray, whole: np.ndarray) -> float:
    """What share of `whole` is in `part`, both (V,) bool; 0 of nothing."""
    return float(part[whole].mean()) if whole.any() else 0.0


def leaks(m: SkinnedBody) -> Iterator[SkinFinding]:
    """Skin of `second` that moves when `first` turns, as a share of the second limb."""
    held = limbs_of(m)
    for limb, turn in LIMB_TURN.items():
        moved = moved_by(m, {LIMBS[limb][0]: turn})
        for other, mine in held.items():
            if other != limb and mine.any():
                yield SkinFinding(share(moved, mine), limb, other, moved & mine)


def following(m: SkinnedBody) -> Iterator[SkinFinding]:
    """How much of each limb beyond its elbow or knee follows it; `vertices` are those that do not."""
    for limb, turn in LIMB_TURN.items():
        far, moved = far_part(m, limb), moved_by(m, {LIMBS[limb][0]: turn})
        yield SkinFinding(share(moved, far), limb, limb, far & ~moved)


def head_turn(m: SkinnedBody) -> tuple[SkinFinding, SkinFinding]:
    """How much of what lies above the head's joint turns with it, and which share of the limbs does."""
    moved = moved_by(m, HEAD_TURN)
    top = float(m.rest[:, 1].max())
    above = m.rest[:, 1] > m.heads["head"][1] + 0.1 * (top - m.heads["head"][1])
    limbs = np.any(list(limbs_of(m).values()), axis=0)
    return SkinFinding(share(moved, above), "head", "head", above & ~moved), SkinFinding(
        share(moved, limbs), "head", "", moved & limbs
    )


def strays(m: SkinnedBody) -> Iterator[SkinFinding]:
    """Skin that follows limb `first` and lies at another one, `second` most of it; as a share of the first limb."""
    height = float(np.ptp(m.rest[:, 1]))
    distances = {limb: distance(m.rest, [m.heads[bone] for bone in bones]) for limb, bones in LIMBS.items()}
    for limb, mine in limbs_of(m).items():
        others = [name for name in LIMBS if name != limb]
        away = np.stack([distances[name] for name in others])
        stray = mine & (distances[limb] > 0.1 * height) & (away.min(0) < 0.5 * distances[limb])
        where = np.bincount(away[:, stray].argmin(0), minlength=len(others)).argmax() if stray.any() else 0
        yield SkinFinding(share(stray, mine), limb, others[where], stray)


def far_part(m: SkinnedBody, limb: str) -> np.ndarray:
    """(V,) what lies close around a limb beyond its elbow or knee, whatever it is weighted to; where a thick limb is
    thinnest.
    """
    height = float(np.ptp(m.rest[:, 1]))
    _, lower, end = (m.heads[bone] for bone in LIMBS[limb])
    away = np.where((m.rest - lower) @ (end - lower) > 0, distance(m.rest, [lower, end]), np.inf)
    thick = min(THICKER * float(away.min(initial=np.inf)), THICKEST * height)
    return np.asarray(away < max(THIN * height, thick))


def distance(points: np.ndarray, chain: list[np.ndarray]) -> np.ndarray:
    """(V,) distance to a chain of joints, which goes on a little beyond its last one."""
    ends = [*chain, chain[-1] + 0.6 * (chain[-1] - chain[-2])]
    nearest = np.full(len(points), np.inf)
    for a, b in itertools.pairwise(ends):
        nearest = np.minimum(nearest, to_segment(points, a, b)[0])
    return nearest


def tearing(m: SkinnedBody) -> Iterator[tuple[SkinFinding, SkinFinding]]:
    """For each usual pose: triangles stretched too far, as a share of all; and the widest crack that opens,
    in metres.
    """
    edges = np.stack([m.triangles, np.roll(m.triangles, -1, axis=1)], -1)
    at_rest = np.linalg.norm(m.rest[edges[..., 0]] - m.rest[edges[..., 1]], axis=-1)
    usable = at_rest.min(1, initial=np.inf) > CLOSE
    pairs = coincident(m.rest)
    for name, pose in POSES.items():
        points = m.posed(pose)
        length = np.linalg.norm(points[edges[..., 0]] - points[edges[..., 1]], axis=-1)
        torn = (length / np.maximum(at_rest, 1e-9)).max(1, initial=0) > STRETCHED
        gaps = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
        stretch = SkinFinding(
            float(torn[usable].mean()) if usable.any() else 0.0, name, "", _marked(m, m.triangles[torn & usable])
        )
        yield stretch, SkinFinding(float(gaps.max(initial=0)), name, "", _marked(m, pairs[gaps > MOVED / 2]))


def _marked(m: SkinnedBody, indices: np.ndarray) -> np.ndarray:
    out = np.zeros(len(m.rest), bool)
    out[indices.ravel()] = True
    return out


def coincident(points: np.ndarray) -> np.ndarray:
    """(P, 2) neighbouring pairs among vertices that lie at the same place."""
    if not len(points):
        return np.zeros((0, 2), np.int64)
    keys = np.round(np.nan_to_num(points) / CLOSE).astype(np.int64)
    order = np.lexsort(keys.T)
    same = (keys[order[1:]] == keys[order[:-1]]).all(1)
    return np.column_stack([order[:-1][same], order[1:][same]])
