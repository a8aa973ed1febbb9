# SPDX-License-Identifier: GPL-3.0-or-later
"""The T-pose that VRM asks for, arms along X and legs straight down, and a skin that is baked into it or into any
other pose.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

SIDES = (("left", 1.0), ("right", -1.0))
LIMBS = {"Arm": ("UpperArm", "LowerArm", "Hand"), "Leg": ("UpperLeg", "LowerLeg", "Foot")}
LIMB_BONES = tuple(side + bone for side, _ in SIDES for chain in LIMBS.values() for bone in chain)
ROOTS = frozenset(side + bone for side, _ in SIDES for bone, *_ in LIMBS.values())
RELAXING_ROUNDS, RELAXING_STEPS = 8, 6
# Where a limb and the trunk share a vertex by less than this, linear blending bends the skin too little to need
# relaxing.
MIXED = 0.02
WELD = 1e6  # vertices closer than the mesh's size by this are one point of the skin


def body_frame(joints: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(3, 3) the turn from an armature's own axes to Blender's usual ones (Z up, facing -Y, left is +X): the axes
    nearest to the body's.

    joints: (J, 3) of bones with VRM 1.0 names. The identity where hips, head or upper legs are not known.
    """
    at = {name: np.asarray(joint, float) for name, joint in zip(names, joints, strict=True)}
    if not at.keys() >= {"hips", "head", "leftUpperLeg", "rightUpperLeg"}:
        return np.eye(3)
    up = _nearest_axis(at["head"] - at["hips"])
    left = at["leftUpperLeg"] - at["rightUpperLeg"]
    left = _nearest_axis(left * (1 - np.abs(up)))
    return np.array([left, np.cross(up, left), up])


def t_pose_turns(joints: np.ndarray, parents: Sequence[int] | np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(J, 3, 3) the rotation of each bone from rest to the T-pose: arms along X, legs straight down, feet as they
    stand at rest.

    joints: (J, 3); parents: (J,), -1 for a root, in any order; names: (J,) VRM 1.0 bone names where the bone is one.
    Axes as in `body_frame`. A limb that lacks one of its three bones stays as it is, and a bone without an aim
    follows its parent.
    """
    aim: dict[int, tuple[int, np.ndarray]] = {}
    feet = set()
    for chain, direction in _limbs(list(names)):
        aim |= {chain[0]: (chain[1], direction), chain[1]: (chain[2], direction)}
        feet |= {chain[2]} if direction[2] else set()
    turns = np.tile(np.eye(3), (len(names), 1, 1))
    for bone in parents_first(parents):
        if parents[bone] >= 0:
            turns[bone] = turns[parents[bone]]
        if bone in aim:
            end, direction = aim[bone]
            turns[bone] = between(turns[bone] @ (joints[end] - joints[bone]), direction) @ turns[bone]
        elif bone in feet:
            turns[bone] = np.eye(3)
    return turns


def off_t_pose(joints: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Bone -> degrees between its direction and the T-pose's, of the upper and lower bones of all limbs that are
    complete.
    """
    off = {}
    for chain, direction in _limbs(list(names)):
        for start, end in itertools.pairwise(chain):
            bone = joints[end] - joints[start]
            cosine = float(bone @ direction) / max(float(np.linalg.norm(bone)), 1e-12)
            off[names[start]] = math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))
    return off


def moves_of(turns: np.ndarray, joints: np.ndarray, parents: Sequence[int] | np.ndarray) -> np.ndarray:
    """(J, 3, 4) matrices that take rest points to the pose in which each bone has turned by `turns` (J, 3, 3)."""
    moves = np.zeros((len(turns), 3, 4))
    for bone in parents_first(parents):
        above = parents[bone]
        joint = joints[bone] if above < 0 else moves[above, :, :3] @ joints[bone] + moves[above, :, 3]
        moves[bone, :, :3] = turns[bone]
        moves[bone, :, 3] = joint - turns[bone] @ joints[bone]
    return moves


def move_skin(
    vertices: np.ndarray,
    triangles: np.ndarray,
    weights: np.ndarray,
    moves: np.ndarray,
    parents: Sequence[int] | np.ndarray,
    names: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """The vertices (V, 3) after the bones have moved, and (V, 3, 3) what turns a normal or a shape key's displacement
    there.

    vertices: (V, 3); triangles: (T, 3); weights: (V, J) dense, rows of any sum, a vertex without any stays; moves:
    (J, 3, 4); parents: (J,), names: (J,) as in `t_pose_turns`. The skin is moved by linear blend skinning, and made
    as rigid as possible where a limb that turned and what it hangs from share it.
    """
    vertices, triangles = np.asarray(vertices, np.float64), np.asarray(triangles, np.int64).reshape(-1, 3)
    posed, matrix, weights = blend(vertices, weights, moves)
    posed = relax(vertices, posed, triangles, _mixed(weights, moves[:, :, :3], parents, list(names)))
    turns = matrix
    if np.allclose(moves[:, :, :3] @ moves[:, :, :3].transpose(0, 2, 1), np.eye(3), atol=1e-4):
        turns = _rotations(turns)  # a blend of rotations shrinks; displacements and normals shall not
    return posed, turns


def blend(vertices: np.ndarray, weights: np.ndarray, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linear blend skinning: vertices (V, 3), the linear part (V, 3, 3) at each, and the weights (V, J) with rows
    that sum to 1, or 0.
    """
    total = weights.sum(1, keepdims=True)
    weights = np.where(total > 0, weights / np.where(total > 0, total, 1), 0)
    matrix = np.tensordot(weights, moves, 1)
    matrix[total[:, 0] <= 0] = np.eye(3, 4)
    posed = np.einsum("vij,vj->vi", matrix[:, :, :3], vertices) + matrix[:, :, 3]
    return posed, matrix[:, :, :3], weights


def ground_of(vertices: np.ndarray, weights: np.ndarray, names: Sequence[str]) -> float:
    """z of the feet's lowest vertex; of the whole mesh where no vertex follows a foot."""
    feet = [k for k, name in enumerate(names) if name.endswith(("Foot", "Toes"))]
    some = weights[:, feet].sum(1) > 0.5
    return float(vertices[some if some.any() else slice(None), 2].min()) if len(vertices) else 0.0


def relax(rest: np.ndarray, posed: np.ndarray, triangles: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Skin that keeps its shape where linear blending squeezes or stretches it: alternately the rotation that fits
    each vertex' edges best, and positions that fit the turned edges (Sorkine and Alexa, "As-Rigid-As-Possible Surface
    Modeling", 2007, uniform weights).

    rest, posed: (V, 3); triangles: (T, 3); strength: (V,) from 0 (stays) to 1. Vertices at the same place at rest
    stay together.
    """
    free = strength > 0
    if not free.any() or not len(triangles):
        return posed
    grid = np.round(rest / max(float(np.ptp(rest, axis=0).max()), 1e-12) * WELD)
    _, first, weld = np.unique(grid, axis=0, return_index=True, return_inverse=True)
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
        turned = _rotations(
            np.stack([np.bincount(row, products[:, k], len(rows)) for k in range(9)], 1).reshape(-1, 3, 3)
        )
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
    """(3, 3) the shortest rotation from direction a to direction b (Rodrigues' formula); none for a vector without
    length.
    """
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


def parents_first(parents: Sequence[int] | np.ndarray) -> list[int]:
    """The bones' places, each after its parent's."""
    depth = []
    for bone in range(len(parents)):
        steps, above = 0, int(parents[bone])
        while above >= 0 and steps <= len(parents):
            steps, above = steps + 1, int(parents[above])
        depth.append(steps)
    return sorted(range(len(parents)), key=lambda bone: (depth[bone], bone))


def _limbs(names: list[str]) -> Iterator[tuple[list[int], np.ndarray]]:
    """(places of its three bones, its direction in the T-pose) of every limb that is complete."""
    for side, sign in SIDES:
        for limb, direction in (("Arm", np.array([sign, 0.0, 0.0])), ("Leg", np.array([0.0, 0.0, -1.0]))):
            chain = [names.index(side + bone) for bone in LIMBS[limb] if side + bone in names]
            if len(chain) == 3:
                yield chain, direction


def _mixed(weights: np.ndarray, turns: np.ndarray, parents: Sequence[int] | np.ndarray, names: list[str]) -> np.ndarray:
    """(V,) 0 to 1: how much a limb that turned shares the vertex with the rest of the body."""
    strength = np.zeros(len(weights))
    order = parents_first(parents)
    for root, name in enumerate(names):
        above = parents[root]
        if name not in ROOTS or np.allclose(turns[root], turns[above] if above >= 0 else np.eye(3), atol=0.02):
            continue
        within = np.zeros(len(names), bool)
        for bone in order:
            within[bone] = bone == root or (parents[bone] >= 0 and within[parents[bone]])
        share = weights[:, within].sum(1)
        share = np.minimum(share, 1 - share)
        strength = np.maximum(strength, np.clip((share - MIXED) / (0.15 - MIXED), 0, 1))
    return strength


def _nearest_axis(direction: np.ndarray) -> np.ndarray:
    axis = np.zeros(3)
    longest = int(np.argmax(np.abs(direction)))
    axis[longest] = 1.0 if direction[longest] >= 0 else -1.0
    return axis
