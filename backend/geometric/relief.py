# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights made softer where the usual poses would tear the skin: between the shins in a skirt or a cape, under a wide
head.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ..rig_checks import POSES, Rigged, pose, rotation, t_pose
from .skeleton import CHAINS, Skeleton
from .territory import LEFT_LEG, PARTS, RIGHT_LEG, TORSO, apart

TAUT, TORN = 2.6, 4.0  # times its rest length, an edge that needs relief, and one that looks torn
ROUNDS, RINGS, STEPS = 5, 5, 12  # of relief; of neighbours that give way; of averaging in each round


def relieve(weights: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, skeleton: Skeleton) -> None:
    """Averages weights over the skin (in place) around edges that the usual poses stretch; limbs stay apart as
    `territory.apart` has them.

    weights: (V, J), J in the order of skeleton.names; vertices: (V, 3) as bound; triangles: (T, 3).
    """
    edges = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1), axis=0
    )
    if not len(edges):
        return
    both = np.concatenate([edges, edges[:, ::-1]])
    near = sparse.csr_matrix((np.ones(len(both)), tuple(both.T)), (len(vertices), len(vertices)))
    average = sparse.diags(1 / np.maximum(np.asarray(near.sum(1)).ravel(), 1)) @ near
    members = _members(skeleton.names)
    mixed = weights.copy()  # what averaging makes of the weights, legs not yet apart
    eased = np.zeros(len(vertices), bool)
    best, least = weights.copy(), None
    for round_ in range(ROUNDS + 1):
        taut, torn = _taut(weights, vertices, triangles, edges, skeleton)
        if least is None or torn < least:  # averaging may also bring what tears elsewhere: the best state counts
            best, least = weights.copy(), torn
        if round_ == ROUNDS or not taut.any():
            break
        for _ in range(RINGS):
            taut = taut | (near @ taut > 0)
        rows = np.flatnonzero(taut)
        some = average[rows]
        for _ in range(STEPS):
            mixed[rows] = some @ mixed
        mixed[rows] = _with_shares(mixed[rows], _limbs_apart(mixed[rows] @ members.T), members)
        eased |= taut
        weights[eased] = _with_shares(mixed[eased], _legs_apart(mixed[eased] @ members.T), members)
    weights[:] = best


def _taut(
    weights: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, edges: np.ndarray, skeleton: Skeleton
) -> tuple[np.ndarray, int]:
    """(V,) ends of edges that some usual pose stretches too much, and how many the worst pose tears."""
    heads, tails = (np.array(list(points.values())) for points in (skeleton.heads, skeleton.tails))
    rig = t_pose(Rigged(vertices, triangles, heads, tails, skeleton.parent_indices(), skeleton.names, weights))

    def lengths(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)

    rest = lengths(rig.vertices)
    before = np.maximum(rest, 0.3 * np.median(rest))
    found, torn = np.zeros(len(vertices), bool), 0
    for turns in POSES.values():
        posed, _, _ = pose(rig, {bone: rotation(degrees) for bone, degrees in turns.items()})
        after = lengths(posed)
        found[edges[after > TAUT * before]] = True
        torn = max(torn, int((after > TORN * np.maximum(rest, 1e-5)).sum()))
    return found, torn


def _members(names: list[str]) -> np.ndarray:
    """(6, J) bool: the part of the body that each bone belongs to."""
    part = [
        next((k for k, name in enumerate(PARTS) if bone.replace("Toes", "Foot") in CHAINS[name]), 0) for bone in names
    ]
    return np.asarray(np.arange(len(PARTS))[:, None] == np.array(part)[None])


def _limbs_apart(share: np.ndarray) -> np.ndarray:
    """(N, 6) shares as `territory.apart` has them, but for the legs: both are one limb."""
    legs = share[:, LEFT_LEG:].sum(1, keepdims=True)
    merged = apart(np.concatenate([share[:, :LEFT_LEG], legs, 0 * legs], 1))
    return np.concatenate(
        [merged[:, :LEFT_LEG], share[:, LEFT_LEG:] * merged[:, [LEFT_LEG]] / np.maximum(legs, 1e-9)], 1
    )


def _legs_apart(share: np.ndarray) -> np.ndarray:
    """(N, 6) shares in which legs that share skin change over in the hips.

    A leg that holds twice as much as the other has the skin alone; between, both fade evenly, with the hips between
    them: cut off at what the hips hold, they would change over within an edge.
    """
    out = share.copy()
    both = share[:, LEFT_LEG:].sum(1)
    lean = (share[:, LEFT_LEG] - share[:, RIGHT_LEG]) / np.maximum(both, 1e-9)
    for k, side in ((LEFT_LEG, lean), (RIGHT_LEG, -lean)):
        out[:, k] = both * np.clip(0.25 * (1 + 3 * side), 0, 1)
    out[:, TORSO] += both - out[:, LEFT_LEG:].sum(1)
    return apart(out)


def _with_shares(weights: np.ndarray, wanted: np.ndarray, members: np.ndarray) -> np.ndarray:
    """(N, J) weights scaled to sums per part; what a torso without bones here is to hold goes to the hips."""
    share = weights @ members.T
    out = weights * (np.where(share > 1e-9, wanted / np.maximum(share, 1e-9), 0) @ members)
    lone = share[:, TORSO] <= 1e-9
    out[lone, 0] += wanted[lone, TORSO]
    return out / out.sum(1, keepdims=True)
