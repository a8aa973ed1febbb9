# SPDX-License-Identifier: GPL-3.0-or-later
"""Elbows and wrists moved into the middle of the arm: views of a mesh often place them too far towards the body, where
the arm hangs beside it.
"""

from __future__ import annotations

import numpy as np

from ..mesh.voxels import VoxelGrid
from .arm_tubes import REACH, WAYS, frames_across, solid_distances
from .skeleton import SIDES, Skeleton

ELBOW, WRIST = 0.03, 0.06  # of the height, how far the joints are looked for across the bone
FINE = 0.02  # the second time, around what the first has found
ELBOW_TRUST, WRIST_TRUST, TRUST = 0.04, 0.05, 0.075  # of the height: a move that costs `TRUST`
ROUND = 0.18  # of the radius: surface that lies on a round arm
FREE = 0.3  # of the ways across: the share that a joined arm has free
THICKNESS, THICKEST = 1.0, 0.6  # what it costs to be thicker or thinner than the arms are, and that at most
GAIN = 0.03  # of the ways: what is gained less is chance
FORE = 0.6  # of the score: the forearm's, the rest is the upper arm's
HAND = 0.45  # of the forearm: the hand bone's length


def centre_arms(skeleton: Skeleton, grid: VoxelGrid, known: set[str]) -> None:
    """Moves both arms' elbows and wrists across their bones to where the solid around the bones is most like a round
    arm, as thick as the thinner of both arms (in place). Arms with joints in `known` (marker names) stay.
    """
    height = grid.cell * grid.solid.shape[1]
    radius = _radii(skeleton, grid, height)
    for side, _ in SIDES:
        upper, lower, hand = (side + part for part in ("UpperArm", "LowerArm", "Hand"))
        if known & {upper, lower, hand, f"{hand}Tip"}:
            continue
        at = skeleton.heads
        elbow, wrist = _best(at[upper], at[lower], at[hand], grid, height, radius)
        skeleton.heads[lower] = skeleton.tails[upper] = elbow
        skeleton.heads[hand] = skeleton.tails[lower] = wrist
        skeleton.tails[hand] = wrist + HAND * (wrist - elbow)


def _best(shoulder, elbow, wrist, grid: VoxelGrid, height: float, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Elbow and wrist, each moved in turn; as they are where that gains little."""
    first = elbow, wrist

    def score(elbows: np.ndarray, wrists: np.ndarray) -> np.ndarray:
        elbows, wrists = (np.array(points) for points in np.broadcast_arrays(elbows, wrists))
        above = _roundness(np.broadcast_to(shoulder, elbows.shape), elbows, (0.35, 0.95), grid, height, radius[0])
        below = _roundness(elbows, wrists, (0.1, 1.0), grid, height, radius[1])
        moved = [np.linalg.norm(points - old, axis=1) / height for points, old in zip((elbows, wrists), first,
                                                                                      strict=True)]  # fmt: skip
        cost = TRUST * ((moved[0] / ELBOW_TRUST) ** 2 + (moved[1] / WRIST_TRUST) ** 2)
        return (1 - FORE) * above + FORE * below - cost

    start = float(score(elbow[None], wrist[None])[0])
    end = start
    for wrist_reach, elbow_reach, steps in ((WRIST, ELBOW, (13, 9)), (FINE, FINE, (7, 7))):
        wrists = wrist + _across(wrist - elbow, wrist_reach * height, steps[0])
        wrist = wrists[score(elbow[None], wrists).argmax()]
        elbows = elbow + _across(elbow - shoulder, elbow_reach * height, steps[1])
        found = score(elbows, wrist[None])
        elbow, end = elbows[found.argmax()], float(found.max())
    return (elbow, wrist) if end - start >= GAIN else first


def _across(axis: np.ndarray, reach: float, steps: int) -> np.ndarray:
    """(n, 3) offsets across an axis, none first."""
    u, v = np.moveaxis(frames_across(axis[None]), 1, 0)
    at = np.linspace(-reach, reach, steps)
    offsets = (at[:, None, None] * u + at[None, :, None] * v).reshape(-1, 3)
    return np.concatenate([np.zeros((1, 3)), offsets[np.linalg.norm(offsets, axis=1) <= 1.001 * reach]])


def _roundness(
    a: np.ndarray, b: np.ndarray, part: tuple[float, float], grid: VoxelGrid, height: float, radius: float
) -> np.ndarray:
    """(n,) how much of the surface around the part of bones (n, 3) to (n, 3) lies as on a round arm, 0 to 1, less what
    a radius far from the usual one costs.
    """
    share = np.linspace(*part, 9)
    points = a[:, None] + share[:, None] * (b - a)[:, None]
    frames = np.repeat(frames_across(b - a), len(share), axis=0)
    far = solid_distances(points.reshape(-1, 3), frames, grid, REACH * height)
    own = np.sort(far, axis=1)[:, int(FREE * WAYS)]
    hit = (np.abs(far - own[:, None]) < np.maximum(ROUND * own[:, None], 0.8 * grid.cell)).mean(1)
    hit[own < 0.5 * grid.cell] = 0
    odd = np.minimum(THICKNESS * np.log(np.maximum(own, grid.cell) / radius) ** 2, THICKEST)
    return (hit - odd).reshape(len(a), -1).mean(1)


def _radii(skeleton: Skeleton, grid: VoxelGrid, height: float) -> np.ndarray:
    """(2,) of upper and lower arms: half the shortest ways across, the thinner arm's."""
    out = []
    for side, _ in SIDES:
        for name in ("UpperArm", "LowerArm"):
            a, b = skeleton.segment(side + name)
            points = a + np.linspace(0.35, 0.9, 7)[:, None] * (b - a)
            far = solid_distances(points, np.repeat(frames_across((b - a)[None]), 7, axis=0), grid, REACH * height)
            out.append(np.median((far[:, : WAYS // 2] + far[:, WAYS // 2 :]).min(1)) / 2)
    return np.maximum(np.reshape(out, (2, 2)).min(0), 1.2 * grid.cell)
