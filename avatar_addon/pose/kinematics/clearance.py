# SPDX-License-Identifier: GPL-3.0-or-later
"""How far an avatar's arms can hang before its hands would enter its body: its outline from the front against points
on the arm. The viewer's page measures the same (viewer/src/avatar.js).
"""

from __future__ import annotations

import numpy as np

MOST, LEAST = 68.0, 20.0  # degrees below the T-pose
SHARED = 54.0  # in our motions, which as clips move other bodies as well: beside most that are short and wide
BINS = 48  # heights at which the outline is taken
FROM = 0.35  # of the arm; what is nearer to the shoulder may touch the body
BESIDE = 0.12  # of the shoulders' height: skin that far before or behind the arm is in its way
THICK = 90  # percentile of the arm's thickness


def hanging(points: np.ndarray, bone: np.ndarray, joints: np.ndarray, parents: np.ndarray, names: list[str]) -> float:
    """Degrees from MOST down to LEAST. points: (N, 3) in the T-pose, Z up, facing -Y; bone: (N,) that holds each the
    most; joints: (J, 3) there; parents: (J,); names: (J,), VRM's where it is one.
    """
    if not {"leftUpperArm", "leftHand", "hips"} <= set(names) or not len(points):
        return MOST
    shoulder, hand, hips = (joints[names.index(name)] for name in ("leftUpperArm", "leftHand", "hips"))
    arms = _below(parents, names, ("leftUpperArm", "rightUpperArm", "leftShoulder", "rightShoulder"))[bone]
    head = _below(parents, names, ("head",))[bone]
    out, low = points[:, 0] - hips[0], points[:, 2].min()
    step = (shoulder[2] - low) / BINS
    reach = hand[0] - shoulder[0]
    outer = arms & (points[:, 0] - shoulder[0] > 0.4 * reach)
    if reach <= 0 or step <= 0 or not outer.any():
        return MOST
    body = ~arms & ~head & (out > 0) & (np.abs(points[:, 1] - hand[1]) < BESIDE * (shoulder[2] - low))
    level = np.floor((points[body, 2] - low) / step).astype(int)
    width, inside = np.zeros(BINS), (level >= 0) & (level < BINS)
    np.maximum.at(width, level[inside], out[body][inside])
    tip = max(reach, float((points[outer, 0] - shoulder[0]).max()))
    radius = max(0.0, float(np.percentile(shoulder[2] - points[outer, 2], THICK)))
    along = np.linspace(FROM, 1.0, 12) * tip
    for degrees in np.arange(MOST, LEAST, -2.0):
        down, aside = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
        beside = np.clip(np.floor((shoulder[2] - along * down - low) / step).astype(int), 0, BINS - 1)
        if (shoulder[0] - hips[0] + along * aside - radius * down >= width[beside]).all():
            return float(degrees)
    return LEAST


def _below(parents: np.ndarray, names: list[str], roots: tuple[str, ...]) -> np.ndarray:
    """(J,) whether a bone is one of the roots or hangs from one."""
    found = np.array([name in roots for name in names])
    for _ in names:
        more = found | (found[parents] & (parents >= 0))
        if (more == found).all():
            break
        found = more
    return found
