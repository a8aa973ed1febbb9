# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin weights for every vertex of a mesh, from the body's territories and the bones' directions."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ..mesh.voxels import VoxelGrid
from .skeleton import SIDES, Skeleton
from .territory import PARTS, TORSO, Territory, apart

MAX_INFLUENCES = 4
NECK_ROUNDS = 200


def bone_weights(points: np.ndarray, skeleton: Skeleton, grid: VoxelGrid, territory: Territory) -> np.ndarray:
    """(V, J) weights of (V, 3) points, rows sum to 1; J in the order of skeleton.names.

    The part of the body comes from the voxels; within a part, bones blend into each other across the plane that
    halves the angle at their joint, over a width that follows the limb's thickness.
    """
    share = part_shares(points, grid, territory)
    column = {name: k for k, name in enumerate(skeleton.names)}
    weights = np.zeros((len(points), len(column)))
    _torso(points, share[:, TORSO], skeleton, column, weights)
    _head(points, share[:, PARTS.index("head")], skeleton, column, weights)
    for side, _ in SIDES:
        arm = [f"{side}UpperArm", f"{side}LowerArm", f"{side}Hand"]
        leg = [f"{side}UpperLeg", f"{side}LowerLeg", f"{side}Foot", f"{side}Toes"]
        for part, chain in (("Arm", arm), ("Leg", leg)):
            _limb(
                points,
                share[:, PARTS.index(side + part)],
                [name for name in chain if name in column],
                skeleton,
                column,
                weights,
            )
    return weights / weights.sum(1, keepdims=True)


def part_shares(points: np.ndarray, grid: VoxelGrid, territory: Territory) -> np.ndarray:
    """(V, 6) the territory at the points: linear between the solid cells around, but never between parts that do not
    touch.
    """
    own = territory.node[tuple(grid.index(points).T)]
    share = territory.part[np.maximum(own, 0)]
    owner = share.argmax(1)
    at = grid.coordinates(points)
    low = np.floor(at).astype(np.int64)
    fraction = at - low
    total = np.zeros_like(share)
    mass = np.zeros(len(points))
    for corner in np.ndindex(2, 2, 2):
        cell = np.clip(low + corner, 0, np.array(grid.solid.shape) - 1)
        node = territory.node[tuple(cell.T)]
        w = np.where(np.array(corner) == 1, fraction, 1 - fraction).prod(1) * (node >= 0)
        there = territory.part[np.maximum(node, 0)]
        w = w * ((there.argmax(1) == owner) | (there[np.arange(len(points)), owner] > 0))
        total += w[:, None] * there
        mass += w
    share = np.where(mass[:, None] > 1e-6, total / np.maximum(mass, 1e-6)[:, None], share)
    # Interpolation may mix what no cell mixes.
    return apart(share / share.sum(1, keepdims=True))


def smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _split(points: np.ndarray, chain: list[str], skeleton: Skeleton, bands: list[float]) -> np.ndarray:
    """(V, len(chain)) shares along a chain of bones; `bands` are the half widths of the blends at its inner joints,
    in metres.
    """
    out = np.zeros((len(points), len(chain)))
    rest = np.ones(len(points))
    for k in range(1, len(chain)):
        before, after = (_direction(skeleton, name) for name in chain[k - 1 : k + 1])
        normal = before + after
        normal /= max(float(np.linalg.norm(normal)), 1e-9)
        beyond = smoothstep(((points - skeleton.heads[chain[k]]) @ normal / max(bands[k - 1], 1e-9) + 1) / 2)
        out[:, k - 1] = rest * (1 - beyond)
        rest = rest * beyond
    out[:, -1] = rest
    return out


def _direction(skeleton: Skeleton, name: str) -> np.ndarray:
    d = skeleton.tails[name] - skeleton.heads[name]
    return d / max(float(np.linalg.norm(d)), 1e-9)


def _length(skeleton: Skeleton, name: str) -> float:
    return float(np.linalg.norm(skeleton.tails[name] - skeleton.heads[name]))


def _limb(points, share, chain, skeleton, column, weights) -> None:
    some = np.flatnonzero(share > 0)
    if not len(some):
        return
    at, mine = points[some], share[some]
    bands = []
    for before, after in zip(chain[:-1], chain[1:], strict=True):
        gap = np.linalg.norm(at - skeleton.heads[after], axis=1)
        shorter = min(_length(skeleton, before), _length(skeleton, after))
        close = gap[(gap < shorter) & (mine > 0.5)]
        radius = float(np.median(np.sort(close)[: max(8, len(close) // 4)])) if len(close) else 0.25 * shorter
        bands.append(float(np.clip(0.8 * radius, 0.12 * shorter, 0.45 * shorter)))
    shares = _split(at, chain, skeleton, bands)
    for k, name in enumerate(chain):
        weights[some, column[name]] += mine * shares[:, k]


def _torso(points, share, skeleton, column, weights) -> None:
    chain = ["hips", "spine", "chest", "upperChest"]
    bands = [0.5 * min(_length(skeleton, a), _length(skeleton, b)) for a, b in zip(chain[:-1], chain[1:], strict=True)]
    shares = _split(points, chain, skeleton, bands)
    chest = shares[:, 3].copy()
    for side, _ in SIDES:
        head, tail = skeleton.segment(f"{side}Shoulder")
        axis = tail - head
        along = (points - head) @ axis / max(float(axis @ axis), 1e-12)
        drop = np.abs(points[:, 1] - (head + tail)[1] / 2) / max(float(np.linalg.norm(axis)), 1e-9)
        part = 0.7 * smoothstep((along - 0.1) / 0.8) * smoothstep(1.6 - drop)
        weights[:, column[f"{side}Shoulder"]] += share * chest * part
        shares[:, 3] -= chest * part
    for k, name in enumerate(chain):
        weights[:, column[name]] += share * np.maximum(shares[:, k], 0)


def _head(points, share, skeleton, column, weights) -> None:
    """The neck holds only what lies around it below the head's joint, along the neck and straight up, which differ
    where the neck leans: cheeks, hair and beards follow the head rigidly.
    """
    neck, head = skeleton.segment("neck")
    axis = head - neck
    length = max(float(np.linalg.norm(axis)), 1e-9)
    axis = axis / length
    height = (points - neck) @ axis
    aside = np.linalg.norm(points - neck - height[:, None] * axis, axis=1)
    close = aside[(share > 0.3) & (height > 0) & (height < length)]
    radius = float(np.quantile(close, 0.3)) if len(close) else length
    below = 1 - smoothstep((height - 0.4 * length) / (0.8 * length))
    rise = max(float(head[1] - neck[1]), 0.5 * length)
    below = np.minimum(below, 1 - smoothstep((points[:, 1] - neck[1] - 0.6 * rise) / (0.8 * rise)))
    hold = below * (1 - smoothstep((aside - 1.3 * radius) / max(0.6 * radius, 1e-9)))
    weights[:, column["neck"]] += share * hold
    weights[:, column["head"]] += share * (1 - hold)


def soften_neck(weights: np.ndarray, points: np.ndarray, triangles: np.ndarray, skeleton: Skeleton) -> None:
    """Spreads the blend between head and trunk (in place) downwards over .6 of the throat's radius, evenly over the
    skin (harmonic).

    Where a wide head sits on the shoulders there is hardly a neck to blend over, and a turn of the head takes the jaw
    far. weights: (V, J), J in the order of skeleton.names; points: (V, 3); triangles: (T, 3).
    """
    column = {name: k for k, name in enumerate(skeleton.names)}
    neck, head = skeleton.segment("neck")
    own = weights[:, column["head"]] + weights[:, column["neck"]]
    near = (np.abs(points[:, 1] - head[1]) < np.linalg.norm(head - neck)) & (own > 0.5)
    if not near.any():
        return
    radius = float(np.median(np.linalg.norm((points - head)[near][:, [0, 2]], axis=1)))
    drop = head[1] - points[:, 1]
    limbs = weights[
        :, [column[f"{side}{bone}"] for side, _ in SIDES for bone in ("UpperArm", "LowerArm", "Hand", "UpperLeg")]
    ].sum(1)
    free = (drop > -0.25 * np.linalg.norm(head - neck)) & (drop < 0.6 * radius) & (limbs < 1e-3)
    edges = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1), axis=0
    )
    edges = edges[free[edges].any(1)]
    both = np.concatenate([edges, edges[:, ::-1]])
    both = both[free[both[:, 0]]]
    if not len(both):
        return
    rows, first = np.unique(both[:, 0], return_inverse=True)
    used, second = np.unique(both[:, 1], return_inverse=True)
    average = sparse.csr_matrix((np.ones(len(both)), (first, second)), (len(rows), len(used)))
    average = sparse.diags(1 / np.asarray(average.sum(1)).ravel()) @ average
    for _ in range(NECK_ROUNDS):
        weights[rows] = average @ weights[used]


def strongest(weights: np.ndarray, count: int = MAX_INFLUENCES) -> tuple[np.ndarray, np.ndarray]:
    """(V, J) to the `count` strongest: (V, count) int32 joints and float32 weights, strongest first; rows sum to 1,
    unused are 0.
    """
    if weights.shape[1] < count:
        weights = np.pad(weights, ((0, 0), (0, count - weights.shape[1])))
    order = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    best = np.take_along_axis(weights, order, 1)
    best[best < 1e-3 * best[:, :1]] = 0
    best = (best / best.sum(1, keepdims=True)).astype(np.float32)
    best[:, 0] = 1 - best[:, 1:].sum(1, dtype=np.float64)
    return np.where(best > 0, order, 0).astype(np.int32), best
