# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of points on the surface to the vertices given (shared/reference/skintokens.md 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 8
SHORTEST = 1e-8  # added to distances, so that a vertex on a point takes that point's weights


@dataclass(frozen=True)
class Mix:
    """Which points (v, k) each vertex takes its weights from, and how much (v, k) fp64 of each; rows sum to 1."""

    points: np.ndarray
    share: np.ndarray

    def needed(self) -> np.ndarray:
        """The points that any vertex takes from, ascending."""
        return np.unique(self.points)

    def apply(self, weights: np.ndarray) -> np.ndarray:
        """Weights (n, j) of all points to weights (v, j) fp64 of the vertices, not normalised."""
        out = np.zeros((len(self.points), weights.shape[1]))
        for k in range(self.points.shape[1]):
            out += self.share[:, k, None] * weights[self.points[:, k]]
        return out


def nearest(points: np.ndarray, vertices: np.ndarray, count: int = NEIGHBOURS) -> Mix:
    """The nearest of points (n, 3) for vertices (v, 3), by the inverse of their distance."""
    count = min(count, len(points))
    distance, index = cKDTree(points).query(vertices, count)
    distance, index = distance.reshape(len(vertices), count), index.reshape(len(vertices), count)
    share = 1 / (distance + SHORTEST)
    return Mix(index, share / share.sum(1, keepdims=True))
