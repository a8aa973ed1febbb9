# SPDX-License-Identifier: GPL-3.0-or-later
"""Distances from joints along and inside a body as weights (Dionne and de Lasa, geodesic voxel binding, 2013;
shared/reference/unirig.md 7.1).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

NEAREST_JOINTS = 3  # of a vertex that no joint reaches


def clean(distance: np.ndarray, vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(j, v) made finite: vertices that no joint reaches take the straight way to their nearest joints, the rest the
    farthest known.
    """
    distance = distance.copy()
    lost = np.flatnonzero(np.isinf(distance).all(0))
    if len(lost):
        straight, nearest = cKDTree(joints).query(vertices[lost], min(len(joints), NEAREST_JOINTS))
        shape = (len(lost), -1)
        distance[nearest.reshape(shape), lost[:, None]] = straight.reshape(shape)
    infinite = np.isinf(distance)
    distance[infinite] = distance[~infinite].max(initial=0)
    return np.maximum(distance, 1e-6)


def weights_of(distance: np.ndarray, alpha: float = 0.5, mode: Literal["square", "exp"] = "square") -> np.ndarray:
    """(j, v) distances to (v, j) weights, rows sum to 1."""
    if mode == "exp":
        near = np.exp(-20 * distance / distance.max(initial=1e-6))
    else:
        near = 1 / ((1 - alpha) * distance + alpha * distance**2) ** 2
    total = near.sum(0)
    return np.divide(near, total, out=np.zeros_like(near), where=total > 0).T
