# SPDX-License-Identifier: GPL-3.0-or-later
"""A skinned humanoid baked into the T-pose that VRM asks for: arms along X, legs straight down, soles flat on the ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SIDES = (("left", 1.0), ("right", -1.0))
LIMBS = {"Arm": ("UpperArm", "LowerArm", "Hand"), "Leg": ("UpperLeg", "LowerLeg", "Foot")}
RELAXING_ROUNDS, RELAXING_STEPS = 8, 6
# Where a limb and the trunk share a vertex by less than this, linear blending bends the skin too little to need relaxing.
MIXED = 0.02


def bake_pose(
    vertices: np.ndarray,
    triangles: np.ndarray,
    weights: np.ndarray,
    joints: np.ndarray,
    tails: np.ndarray,
    parents: Sequence[int] | np.ndarray,
    names: Sequence[str],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mesh and its skeleton in the T-pose: new vertices (V, 3), joints (J, 3) and tails (J, 3) in metres.

    vertices: (V, 3); triangles: (T, 3); weights: (V, J) dense; joints, tails: (J, 3); parents: (J,), -1 for a root, in any order;
    names: (J,) VRM 1.0 bone names where the bone is one. Blender's axes: Z up, the character faces -Y, its left is +X.
    A limb that lacks one of its three bones stays as it is. The skin is moved by linear blend skinning, and made as rigid as possible
    where a limb that turned and the rest of the body share it. The feet's lowest vertex is at z = 0.
    """
    vertices, joints, tails = (np.asarray(points, np.float64) for points in (vertices, joints, tails))
    triangles = np.asarray(triangles, np.int64).reshape(-1, 3)
    order, parents = _parents_first(parents), np.asarray(parents, np.int64)
    turns = _turns(joints, order, parents, list(names))
    moves = _moves(turns, joints, order, parents)
    total = weights.sum(1, keepdims=True)
    weights = np.where(total > 0, weights / np.where(total > 0, total, 1), 0)
    matrix = np.tensordot(weights, moves, 1)
    matrix[total[:, 0] <= 0] = np.eye(3, 4)
    posed = np.einsum("vij,vj->vi", matrix[:, :, :3], vertices) + matrix[:, :, 3]
    strength = _mixed(weights, turns, order, parents, list(names))
    posed = relax(vertices, posed, triangles, strength)
    joints = np.einsum("kij,kj->ki", moves[:, :, :3], joints) + moves[:, :, 3]
    tails = np.einsum("kij,kj->ki", moves[:, :, :3], tails) + moves[:, :, 3]
    ground = np.array([0, 0, _ground(posed, weights, list(names))])
    return posed - ground, joints - ground, tails - ground


def relax(rest: np.ndarray, posed: np.ndarray, triangles: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Skin that keeps its shape where linear blending squeezes or stretches it: alternately the rotation that fits each vertex' edges
    best, and positions that fit the turned edges (Sorkine and Alexa, "As-Rigid-As-Possible Surface Modeling", 2007, uniform weights).

    rest, posed: (V, 3); triangles: (T, 3); strength: (V,) from 0 (stays) to 1. Vertices at the same place at rest stay together.
    """
    free = strength > 0
    if not free.any() or not len(triangles):
        return posed
    _, first, weld = np.unique(rest, axis=0, return_index=True, return_inverse=True)
    weld = weld.reshape(-1)
    a, b, moved = _edges(weld[triangles], free[first])
    edge = rest[first[a]] - rest[first[b]]
    n, amount = len(first), strength[first][:, None]
    rows, row = np.unique(a, return_inverse=True)  # only vertices around the free ones are turned
    a_moved, b_moved, row_moved = a[moved], b[moved], row[moved]
    other = np.searchsorted(rows, b_moved)
    count = np.maximum(np.bincount(a_moved, minlength=n), 1)[:, None]
    at = posed[first]
    for _ in range(RELAXING_ROUNDS):
        products = ((at[a] - at[b])[:, :, None] * edge[:, None, :]).reshape(-1, 9)
        turned = _rotations(np.stack([np.bincount(row, products[:, k], len(rows)) for k in range(9)], 1).reshape(-1, 3, 3))
        wanted = np.einsum("eij,ej->ei", 0.5 * (turned[row_moved] + turned[other]), edge[moved])
        for _ in range(RELAXING_STEPS):
            target = at[b_moved] + wanted
            target = np.stack([np.bincount(a_moved, target[:, k], n) for k in range(3)], 1) / count
            at = at + amount * (target - at)
    out = posed.copy()
    out[free] = at[weld[free]]
    return out


def _edges(triangles: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both ends of every directed edge from a free vertex or a neighbour of one, and (E,) whether its start is free."""
    pairs = np.concatenate([triangles[:, [i, j]] for i in range(3) for j in range(3) if i != j])
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    near = free.copy()
    near[pairs[free[pairs[:, 0]], 1]] = True
    pairs = pairs[near[pairs[:, 0]]]
    return pairs[:, 0], pairs[:, 1], free[pairs[:, 0]]


def _rotations(matrix: np.ndarray) -> np.ndarray:
    """(N, 3, 3) the rotation nearest to each matrix."""
    u, _, vt = np.linalg.svd(matrix)
    flip = np.ones((len(matrix), 3))
    flip[:, 2] = np.sign(np.linalg.det(u @ vt))
    return (u * flip[:, None]) @ vt


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3) the shortest rotation from direction a to direction b (Rodrigues' formula); none for a vector without length."""
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    if length < 1e-12:
        return np.eye(3)
    axis, cosine = np.cross(a, b) / length, float(a @ b) / length
    if cosine < -1 + 1e-9:
        side = np.cross(a, np.eye(3)[np.argmin(np.abs(a))])
        side /= np.linalg.norm(side)
        return 2 * np.outer(side, side) - np.eye(3)
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def _parents_first(parents: Sequence[int] | np.ndarray) -> list[int]:
    depth = []
    for bone in range(len(parents)):
        steps, above = 0, int(parents[bone])
        while above >= 0 and steps <= len(parents):
            steps, above = steps + 1, int(parents[above])
        depth.append(steps)
    return sorted(range(len(parents)), key=lambda bone: (depth[bone], bone))


def _turns(joints: np.ndarray, order: list[int], parents: np.ndarray, names: list[str]) -> np.ndarray:
    """(J, 3, 3) the rotation of each bone in the T-pose, relative to its rest."""
    aim: dict[int, tuple[int, np.ndarray]] = {}
    feet = set()
    for side, sign in SIDES:
        for limb, direction in (("Arm", np.array([sign, 0.0, 0.0])), ("Leg", np.array([0.0, 0.0, -1.0]))):
            chain = [names.index(side + bone) for bone in LIMBS[limb] if side + bone in names]
            if len(chain) == 3:
                aim |= {chain[0]: (chain[1], direction), chain[1]: (chain[2], direction)}
                feet |= {chain[2]} if limb == "Leg" else set()
    turns = np.tile(np.eye(3), (len(names), 1, 1))
    for bone in order:
        if parents[bone] >= 0:
            turns[bone] = turns[parents[bone]]
        if bone in aim:
            end, direction = aim[bone]
            turns[bone] = between(turns[bone] @ (joints[end] - joints[bone]), direction) @ turns[bone]
        elif bone in feet:
            turns[bone] = np.eye(3)
    return turns


def _moves(turns: np.ndarray, joints: np.ndarray, order: list[int], parents: np.ndarray) -> np.ndarray:
    """(J, 3, 4) matrices that take rest points to the pose."""
    moves = np.zeros((len(turns), 3, 4))
    for bone in order:
        above = parents[bone]
        joint = joints[bone] if above < 0 else moves[above, :, :3] @ joints[bone] + moves[above, :, 3]
        moves[bone, :, :3] = turns[bone]
        moves[bone, :, 3] = joint - turns[bone] @ joints[bone]
    return moves


def _mixed(weights: np.ndarray, turns: np.ndarray, order: list[int], parents: np.ndarray, names: list[str]) -> np.ndarray:
    """(V,) 0 to 1: how much a limb that turned shares the vertex with the rest of the body."""
    strength = np.zeros(len(weights))
    for side, _ in SIDES:
        for limb in LIMBS.values():
            root = names.index(side + limb[0]) if side + limb[0] in names else -1
            if root < 0 or np.allclose(turns[root], np.eye(3), atol=0.02):
                continue
            within = np.zeros(len(names), bool)
            for bone in order:
                within[bone] = bone == root or (parents[bone] >= 0 and within[parents[bone]])
            share = weights[:, within].sum(1)
            share = np.minimum(share, 1 - share)
            strength = np.maximum(strength, np.clip((share - MIXED) / (0.15 - MIXED), 0, 1))
    return strength


def _ground(vertices: np.ndarray, weights: np.ndarray, names: list[str]) -> float:
    """z of the feet's lowest vertex; of the whole mesh where no vertex follows a foot."""
    feet = [k for k, name in enumerate(names) if name.endswith(("Foot", "Toes"))]
    some = weights[:, feet].sum(1) > 0.5
    return float(vertices[some if some.any() else slice(None), 2].min()) if len(vertices) else 0.0
