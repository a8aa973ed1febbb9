# SPDX-License-Identifier: GPL-3.0-or-later
"""Joints in space from what the network reads in several views of a mesh: the side that the face is on, and for each
joint the point on whose pictures the views agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..mesh.voxels import VoxelGrid
from ..reader import JOINTS
from .looks import Look

NAMES = (*JOINTS, "headTop", "chin")
MOVED = 1.0  # of the reach around a joint: it is not moved farther, which would be into another limb
ROUNDS = 12
TOLERANCE = 0.03  # of the height: views that disagree by more lose their say (Cauchy's weight function)
FACES = 0.3  # by how much the front has to be likelier than the back
USUAL = 0.06  # what it counts that models face +Z
SIDE = 0.35  # what a view from the side counts, where one limb hides the other


@dataclass
class Consensus:
    """joints: name -> (3,) in the mesh's axes. spread: name -> how far the views' places lie from the joint, in
    heights. sure: name -> 0..1.
    """

    joints: dict[str, np.ndarray]
    spread: dict[str, float]
    sure: dict[str, float]

    @property
    def doubt(self) -> float:
        """Typical disagreement over the body's joints, in heights."""
        return float(np.quantile([self.spread[name] for name in JOINTS], 0.75))


def agree(looks: list[Look], front: float, height: float) -> Consensus:
    """From the views within a right angle of `front` (degrees)."""
    used = [look for look in looks if abs(between(look.azimuth, front)) <= 91]
    rows = np.array([look.across for look in used])
    out = Consensus({}, {}, {})
    for name in NAMES:
        read = [look.reading.joints[name] for look in used]
        at = np.array([look.place(joint.x, joint.y) for look, joint in zip(used, read, strict=True)])
        angle = np.array([abs(between(look.azimuth, front)) for look in used])
        weight = np.array([joint.confidence for joint in read]) ** 2 * np.where(angle > 60, SIDE, 1.0) + 1e-6
        point, spread = meet(rows, at, weight, TOLERANCE * height)
        out.joints[name], out.spread[name] = point, spread / height
        out.sure[name] = float(np.average([joint.confidence for joint in read], weights=weight))
    return out


def meet(rows: np.ndarray, at: np.ndarray, weight: np.ndarray, tolerance: float) -> tuple[np.ndarray, float]:
    """The point (3,) that is seen at `at` (n, 2) along `rows` (n, 3) and up: weighted least squares, repeated with
    Cauchy's weights; and the weighted distance that is left.
    """
    w = weight
    point = np.zeros(3)
    off = np.zeros(len(at))
    for _ in range(ROUNDS):
        flat = rows[:, [0, 2]]
        matrix = (flat * w[:, None]).T @ flat + 1e-9 * np.eye(2)
        x, z = np.linalg.solve(matrix, (flat * w[:, None]).T @ at[:, 0])
        point = np.array([x, np.average(at[:, 1], weights=w), z])
        off = np.hypot(rows @ point - at[:, 0], point[1] - at[:, 1])
        w = weight / (1 + (off / tolerance) ** 2)
    return point, float(np.average(off, weights=weight))


def between(a: float, b: float) -> float:
    """Degrees from b to a, -180..180."""
    return (a - b + 180) % 360 - 180


def facing(looks: list[Look], height: float, lead: Callable[[float], float]) -> tuple[float, float]:
    """The azimuth that the body looks to, as near as the views are apart, and how clear that is (over FACES: clear).

    Only from the front and from the back do the views agree on the joints. Of these two sides the front is the one
    with the face, where the network is surer, from which it sees the body turned as it is, and to which the toes point.
    lead: of an azimuth, how far in heights the feet reach to there.
    """
    angles = [look.azimuth for look in looks]
    doubt = {a: 20 * min(agree(looks, a, height).doubt, 0.075) for a in angles}
    scores = {a: _front(looks, a) - doubt[a] - doubt[(a + 180) % 360] / 2 for a in angles}
    best = max(angles, key=lambda a: scores[a])
    back = (best + 180) % 360
    clear = scores[best] + lead(best) - scores[back] - lead(back)
    return (best if clear >= 0 else back), abs(clear)


def _front(looks: list[Look], side: float) -> float:
    score = 0.0
    for look in looks:
        share = np.cos(np.radians(between(look.azimuth, side)))
        if share > 0.5:
            score += share * (look.face + look.sureness)
    off = [look.reading.yaw - between(side, look.azimuth) for look in looks]
    score += float(np.cos(np.radians(off)).mean())
    return score + (USUAL if abs(between(side, 0)) < 46 else 0.0)


def heading(joints: dict[str, np.ndarray]) -> float:
    """Degrees about +Y that the body is turned away from +Z, by its shoulders and hips."""
    way = np.zeros(3)
    for part in ("UpperArm", "UpperLeg"):
        way += joints[f"left{part}"] - joints[f"right{part}"]
    return float(np.degrees(np.arctan2(-way[2], way[0])))


def centred(joints: dict[str, np.ndarray], grid: VoxelGrid, depth: np.ndarray) -> dict[str, np.ndarray]:
    """Knees, ankles, elbows and wrists moved into the middle of the limb around them, across its direction.

    depth (X, Y, Z): cells to the surface.
    """
    out = dict(joints)
    for side in ("left", "right"):
        for before, name, after in (
            ("UpperArm", "LowerArm", "Hand"), ("LowerArm", "Hand", None),
            ("UpperLeg", "LowerLeg", "Foot"), ("LowerLeg", "Foot", None),
        ):  # fmt: skip
            end = joints[side + (after or name)]
            out[side + name] = _middle(joints[side + name], end - joints[side + before], grid, depth)
    return out


def _middle(point: np.ndarray, along: np.ndarray, grid: VoxelGrid, depth: np.ndarray) -> np.ndarray:
    """Climbs to the thickest place nearby, across `along`, weighing it by depth squared (mean shift)."""
    size = float(np.linalg.norm(along))
    if size < 1e-9:
        return point
    axis = along / size
    reach = 0.16 * size
    start = point
    for _ in range(8):
        low, high = grid.index(np.array([point - reach, point + reach]))
        cells = np.argwhere(depth[low[0] : high[0] + 1, low[1] : high[1] + 1, low[2] : high[2] + 1] > 0) + low
        if not len(cells):
            return start
        offset = grid.centres(cells) - point
        flat = offset - (offset @ axis)[:, None] * axis
        near = (np.linalg.norm(offset, axis=1) < reach) & (np.abs(offset @ axis) < 0.5 * reach)
        if not near.any():
            return start
        weight = depth[tuple(cells[near].T)] ** 2.0
        step = (flat[near] * weight[:, None]).sum(0) / weight.sum()
        point = point + step
        if np.linalg.norm(step) < 0.2 * grid.cell:
            break
    return point if np.linalg.norm(point - start) < MOVED * reach else start
