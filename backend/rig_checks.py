# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rig is worth: linear blend skinning in numpy, leakage between limbs and stretching in usual poses.

Axes: metres, Y up, the character faces +Z, its left is +X. Weights are dense, (V, J), in the order of `names`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDES = (("left", 1.0), ("right", -1.0))
LIMBS = {
    side + limb: tuple(side + bone for bone in (f"Upper{limb}", f"Lower{limb}", end))
    for side, _ in SIDES
    for limb, end in (("Arm", "Hand"), ("Leg", "Foot"))
}
LIMB_TURN = {"leftArm": (0, 0, -60), "rightArm": (0, 0, 60), "leftLeg": (-60, 0, 0), "rightLeg": (-60, 0, 0)}
# Degrees about the world's x, y, z from the T-pose, per VRM bone.
POSES: dict[str, dict[str, tuple[float, float, float]]] = {
    "arms down": {"leftUpperArm": (0, 0, -70), "rightUpperArm": (0, 0, 70)},
    "arms up": {"leftUpperArm": (0, 0, 60), "rightUpperArm": (0, 0, -60)},
    "elbows": {"leftLowerArm": (0, -90, 0), "rightLowerArm": (0, 90, 0)},
    "knees": {"leftLowerLeg": (90, 0, 0), "rightLowerLeg": (90, 0, 0)},
    "leg forward": {"leftUpperLeg": (-60, 0, 0)},
    "sit": {
        "leftUpperLeg": (-80, 0, 0),
        "rightUpperLeg": (-80, 0, 0),
        "leftLowerLeg": (80, 0, 0),
        "rightLowerLeg": (80, 0, 0),
    },
    "look": {"head": (25, 40, 0)},
    "wave": {"leftUpperArm": (0, 0, -70), "rightUpperArm": (0, 0, 20), "rightLowerArm": (0, 0, -110)},
    "walk": {
        "leftUpperLeg": (-35, 0, 0),
        "rightUpperLeg": (30, 0, 0),
        "rightLowerLeg": (40, 0, 0),
        "leftUpperArm": (0, 0, -65),
        "rightUpperArm": (0, 0, 65),
    },
}


@dataclass
class Rigged:
    """A mesh with its rig: vertices (V, 3), triangles (T, 3), joints, tails (J, 3), parents (J,), names, weights (V,
    J).
    """

    vertices: np.ndarray
    triangles: np.ndarray
    joints: np.ndarray
    tails: np.ndarray
    parents: np.ndarray
    names: list[str]
    weights: np.ndarray

    @property
    def height(self) -> float:
        return float(np.ptp(self.vertices[:, 1]))


def dense_weights(weight_joint: np.ndarray, weight: np.ndarray, joints: int) -> np.ndarray:
    """(V, 4) joints and weights to (V, joints)."""
    dense = np.zeros((len(weight), joints))
    np.add.at(dense, (np.arange(len(weight))[:, None], weight_joint), weight)
    return dense


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """(3, 3): about x, then y, then z of the world."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return z @ y @ x


def pose(rig: Rigged, turns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, joints and tails after turning bones: name -> (3, 3) rotation in world axes of the rest pose, applied
    at its joint.
    """
    matrices = np.tile(np.eye(4), (len(rig.names), 1, 1))
    for k, name in enumerate(rig.names):
        local = np.eye(4)
        turn = turns.get(name, np.eye(3))
        local[:3, :3] = turn
        local[:3, 3] = rig.joints[k] - turn @ rig.joints[k]
        parent = rig.parents[k]
        matrices[k] = local if parent < 0 else matrices[parent] @ local
    blended = np.tensordot(rig.weights, matrices[:, :3], 1)
    at = np.einsum("vij,vj->vi", blended[:, :, :3], rig.vertices) + blended[:, :, 3]

    def move(points: np.ndarray) -> np.ndarray:
        return np.einsum("kij,kj->ki", matrices[:, :3, :3], points) + matrices[:, :3, 3]

    return at, move(rig.joints), move(rig.tails)


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3) shortest rotation from direction a to direction b; none from or to a direction of no length."""
    sizes = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if min(sizes) < 1e-12:
        return np.eye(3)
    a, b = a / sizes[0], b / sizes[1]
    v, c = np.cross(a, b), float(a @ b)
    if c < -1 + 1e-9:
        other = np.eye(3)[np.argmin(np.abs(a))]
        axis = np.cross(a, other)
        axis /= np.linalg.norm(axis)
        return 2 * np.outer(axis, axis) - np.eye(3)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / (1 + c)


def t_pose(rig: Rigged) -> Rigged:
    """The same rig with arms along +-X and legs straight down baked into its rest."""
    turns: dict[str, np.ndarray] = {}
    column = {name: k for k, name in enumerate(rig.names)}
    for side, sign in SIDES:
        for limb, aim in (("Arm", np.array([sign, 0, 0])), ("Leg", np.array([0, -1.0, 0]))):
            upper, lower, end = (column[bone] for bone in LIMBS[side + limb])
            first = between(rig.joints[lower] - rig.joints[upper], aim)
            turns[rig.names[upper]] = first
            turns[rig.names[lower]] = first.T @ between(first @ (rig.joints[end] - rig.joints[lower]), aim) @ first
            if limb == "Leg":  # the sole stays flat
                turns[rig.names[end]] = (first @ turns[rig.names[lower]]).T
    vertices, joints, tails = pose(rig, turns)
    return Rigged(vertices, rig.triangles, joints, tails, rig.parents, rig.names, rig.weights)


def stretch(rest: np.ndarray, posed: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T',) the largest ratio of an edge to its rest length, of triangles without an edge of no length."""

    def lengths(points: np.ndarray) -> np.ndarray:
        corners = points[triangles]
        return np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)

    before = lengths(rest)
    usable = before.min(1) > 1e-5
    return (lengths(posed)[usable] / before[usable]).max(1)


def stretched_triangles(rig: Rigged, limit: float = 4.0, poses: dict[str, dict] | None = None) -> dict[str, float]:
    """Share of triangles with an edge over `limit` times its rest length, per pose; the rig's rest should be
    a T-pose.
    """
    shares = {}
    for name, turns in (poses or POSES).items():
        posed, _, _ = pose(rig, {bone: rotation(degrees) for bone, degrees in turns.items()})
        ratio = stretch(rig.vertices, posed, rig.triangles)
        shares[name] = float((ratio > limit).mean()) if len(ratio) else 0.0
    return shares


def limb_members(rig: Rigged, clear: float = 0.6) -> dict[str, np.ndarray]:
    """Limb -> (V,) bool by the skeleton's geometry alone: vertices clearly nearer to that limb's bones than to
    anything else's.

    The first quarter of the limb's first bone counts as trunk: there the skin has to bend. "Clearly": less than
    `clear` times as far as the next best, and no farther than 2.5 times the limb's usual radius.
    """
    column = {name: k for k, name in enumerate(rig.names)}
    limb_of = {bone: limb for limb, bones in LIMBS.items() for bone in bones}
    best = {limb: np.full(len(rig.vertices), np.inf) for limb in (*LIMBS, "trunk")}
    for name, k in column.items():
        limb, a, b = limb_of.get(name, "trunk"), rig.joints[k], rig.tails[k]
        if name.endswith("Toes"):
            limb = name[: -len("Toes")] + "Leg"
        if name.endswith(("UpperArm", "UpperLeg")):
            cut = a + 0.25 * (b - a)
            best["trunk"] = np.minimum(best["trunk"], segment_distance(rig.vertices, a, cut))
            a = cut
        best[limb] = np.minimum(best[limb], segment_distance(rig.vertices, a, b))
    members = {}
    for limb in LIMBS:
        others = np.min([d for other, d in best.items() if other != limb], axis=0)
        mine = best[limb] < clear * others
        if mine.any():
            mine &= best[limb] < 2.5 * np.median(best[limb][mine])
        members[limb] = mine
    return members


def segment_distance(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    d = b - a
    t = np.clip((points - a) @ d / max(float(d @ d), 1e-20), 0, 1)
    return np.linalg.norm(points - a - t[:, None] * d, axis=1)


def limb_leakage(rig: Rigged, moved_by: float = 0.002, height: float = 1.6) -> dict[str, float]:
    """ "mover>other" -> share of the other limb's vertices that move more than `moved_by` when one limb turns 60
    degrees.

    `moved_by` is metres on a character of `height`.
    """
    members = limb_members(rig)
    limit = moved_by * rig.height / height
    leaks = {}
    for limb, degrees in LIMB_TURN.items():
        posed, _, _ = pose(rig, {LIMBS[limb][0]: rotation(degrees)})
        moved = np.linalg.norm(posed - rig.vertices, axis=1) > limit
        for other, mine in members.items():
            if other != limb and mine.any():
                leaks[f"{limb}>{other}"] = float(moved[mine].mean())
    return leaks
