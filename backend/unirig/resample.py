# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of sampled points carried to vertices and cleaned (shared/reference/unirig.md 8 and 9)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from ..nn.vertex_weights import normalise

NEIGHBOURS = 7
ALPHA = 2.0  # how fast influence falls with distance
KEPT = 0.03  # smaller weights vanish where a larger one exists


def nearest_weights(
    points: np.ndarray,
    weights: np.ndarray,
    vertices: np.ndarray,
    how: Literal["median", "mean"] = "median",
    neighbours: int = NEIGHBOURS,
    alpha: float = ALPHA,
) -> np.ndarray:
    """points (n, 3) with weights (n, j) to vertices (v, 3): per bone the median, or the mean by distance, of the
    nearest points.
    """
    count = min(neighbours, len(points))
    distance, index = cKDTree(points).query(vertices, count)
    distance, index = distance.reshape(len(vertices), count), index.reshape(len(vertices), count)
    if how == "median":
        out = np.empty((len(vertices), weights.shape[1]), weights.dtype)
        for rows in np.array_split(
            np.arange(len(vertices)), len(vertices) // 8192 + 1
        ):  # bounds the memory of large meshes
            out[rows] = np.median(weights[index[rows]], axis=1)
        return out
    share = np.exp(-alpha * distance)
    share /= share.sum(1, keepdims=True)
    out = np.zeros((len(vertices), weights.shape[1]), weights.dtype)
    for k in range(count):
        out += share[:, k, None] * weights[index[:, k]]
    return out


def diffuse(sums: np.ndarray, vertices: np.ndarray, faces: np.ndarray, alpha: float = ALPHA) -> None:
    """One step, in place, in which a vertex rises towards a neighbour that has more. Of all edges only the last that
    ends at a vertex counts, as in the original, whose assignment is buffered.
    """
    if not len(faces):
        return
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    last = np.full(len(vertices), -1)
    last[pairs[:, 1]] = np.arange(len(pairs))  # the last assignment stays
    at = np.flatnonzero(last >= 0)
    beside = pairs[last[at], 0]
    share = np.exp(-alpha * np.linalg.norm(vertices[at] - vertices[beside], axis=1)).astype(sums.dtype)
    for bone in range(sums.shape[1]):
        here, there = sums[at, bone], sums[beside, bone]
        sums[at, bone] = np.where(here < there, (here + share * there) / (1 + share), here)


def smooth(
    weights: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    parents: np.ndarray,
    iterations: int = 1,
    alpha: float = ALPHA,
    threshold: float = KEPT,
) -> np.ndarray:
    """(v, j) weights of vertices, diffused along the hierarchy and the mesh, small ones removed; rows with any weight
    sum to 1.

    Parents come before their children.
    """
    out = weights.copy()
    bones = len(parents)
    if bones > 1:
        for bone in range(bones - 1, 0, -1):  # to sums over subtrees
            if parents[bone] >= 0:
                out[:, parents[bone]] += out[:, bone]
        for _ in range(iterations):
            diffuse(out, vertices, faces, alpha)
        for bone in range(1, bones):  # and back
            if parents[bone] >= 0:
                out[:, parents[bone]] -= out[:, bone]
        normalise(out)
    out[(out < threshold) & (out.max(1, keepdims=True, initial=0) >= threshold)] = 0
    normalise(out)
    return out
