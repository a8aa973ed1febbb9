# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of sampled points carried to vertices and cleaned (shared/reference/unirig.md 8 and 9)."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 7
KEPT = 0.03  # smaller weights vanish where a larger one exists
INFLUENCES = 4


def nearest_weights(points: np.ndarray, weights: np.ndarray, vertices: np.ndarray, how: str = "median", alpha: float = 2.0) -> np.ndarray:
    """points (n, 3) with weights (n, j) to vertices (v, 3): per bone the median, or the mean by distance, of the 7 nearest points."""
    count = min(NEIGHBOURS, len(points))
    distance, index = cKDTree(points).query(vertices, count)
    distance, index = distance.reshape(len(vertices), count), index.reshape(len(vertices), count)
    if how == "median":
        out = np.empty((len(vertices), weights.shape[1]))
        for rows in np.array_split(np.arange(len(vertices)), len(vertices) // 8192 + 1):  # bounds the memory of large meshes
            out[rows] = np.median(weights[index[rows]], axis=1)
        return out
    share = np.exp(-alpha * distance)
    share /= share.sum(1, keepdims=True)
    out = np.zeros((len(vertices), weights.shape[1]))
    for k in range(count):
        out += share[:, k, None] * weights[index[:, k]]
    return out


def subtree_sums(weights: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """(v, j) to the same with every bone's descendants added. Parents come before their children."""
    out = weights.copy()
    for bone in range(len(parents) - 1, 0, -1):
        if parents[bone] >= 0:
            out[:, parents[bone]] += out[:, bone]
    return out


def without_subtrees(sums: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """The inverse of `subtree_sums`."""
    out = sums.copy()
    for bone in range(1, len(parents)):
        if parents[bone] >= 0:
            out[:, parents[bone]] -= out[:, bone]
    return out


def diffuse(sums: np.ndarray, vertices: np.ndarray, faces: np.ndarray, alpha: float = 2.0) -> np.ndarray:
    """One step in which a vertex rises towards a neighbour that has more. Of all edges only the last that ends at a vertex counts, as in
    the original, whose assignment is buffered."""
    if not len(faces):
        return sums
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    last = np.full(len(vertices), -1)
    last[pairs[:, 1]] = np.arange(len(pairs))  # the last assignment stays
    at = np.flatnonzero(last >= 0)
    from_ = pairs[last[at], 0]
    share = np.exp(-alpha * np.linalg.norm(vertices[at] - vertices[from_], axis=1))[:, None]
    out = sums.copy()
    here, there = sums[at], sums[from_]
    out[at] = np.where(here < there, (here + share * there) / (1 + share), here)
    return out


def smooth(weights: np.ndarray, vertices: np.ndarray, faces: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """(v, j) weights of vertices, diffused along the hierarchy and the mesh, small ones removed; rows with any weight sum to 1."""
    if weights.shape[1] > 1:
        weights = without_subtrees(diffuse(subtree_sums(weights, parents), vertices, faces), parents)
        weights = normalised(weights)
    small = (weights < KEPT) & (weights >= KEPT).any(1, keepdims=True)
    return normalised(np.where(small, 0, weights))


def normalised(weights: np.ndarray) -> np.ndarray:
    total = weights.sum(1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def strongest(weights: np.ndarray, count: int = INFLUENCES) -> tuple[np.ndarray, np.ndarray]:
    """(v, j) to bones (v, count) int64 and weights (v, count) f64, strongest first, rows sum to 1; unused entries are bone 0, weight 0."""
    used = min(count, weights.shape[1])
    order = np.argsort(-weights, axis=1, kind="stable")[:, :used]
    chosen = normalised(np.maximum(np.take_along_axis(weights, order, 1), 0))
    joint, weight = np.zeros((len(weights), count), np.int64), np.zeros((len(weights), count))
    joint[:, :used], weight[:, :used] = np.where(chosen > 0, order, 0), chosen
    return joint, weight


def dense(joint: np.ndarray, weight: np.ndarray, bones: int) -> np.ndarray:
    out = np.zeros((len(weight), bones))
    np.add.at(out, (np.arange(len(weight))[:, None], joint), weight)
    return out
