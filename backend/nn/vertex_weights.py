# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of vertices as rigs hold them: places that share them, the four strongest."""

from __future__ import annotations

import numpy as np

INFLUENCES = 4


def normalise(weights: np.ndarray) -> None:
    """Divides rows by their sum, in place; a row without weight becomes 0."""
    total = weights.sum(1, keepdims=True)
    np.divide(weights, total, out=weights, where=total > 0)
    weights[~(total[:, 0] > 0)] = 0


def strongest(weights: np.ndarray, count: int = INFLUENCES) -> tuple[np.ndarray, np.ndarray]:
    """(v, j) to bones (v, count) int64 and weights (v, count) f64, strongest first, rows sum to 1; unused entries are
    bone 0, weight 0.
    """
    used = min(count, weights.shape[1])
    order = np.argsort(-weights, axis=1, kind="stable")[:, :used]
    chosen = np.maximum(np.take_along_axis(weights, order, 1), 0).astype(np.float64)
    normalise(chosen)
    joint, weight = np.zeros((len(weights), count), np.int64), np.zeros((len(weights), count))
    joint[:, :used], weight[:, :used] = np.where(chosen > 0, order, 0), chosen
    return joint, weight


def welded(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct places (u, 3) among vertices (w, 3) and the place (w,) of each; what is not finite lies at the
    origin.
    """
    vertices = np.where(np.isfinite(vertices).all(1, keepdims=True), vertices, 0) + np.float32(0)  # -0 becomes 0
    order = np.lexsort(vertices.T)
    ordered = vertices[order]
    new = np.ones(len(ordered), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(1)
    place = np.empty(len(ordered), np.int64)
    place[order] = np.cumsum(new) - 1
    return ordered[new], place
