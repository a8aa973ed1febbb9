# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer triangles for the same shape: quadric edge collapse (Garland and Heckbert 1997)."""

from __future__ import annotations

import fast_simplification
import numpy as np

from .clean import compact, fill_holes

AGGRESSION = (
    4,
    7,
    9,
)  # how fast the library's error threshold grows: gentle first, firmer when the budget is not reached


def simplify(vertices: np.ndarray, triangles: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3), (T, 3) -> at most `budget` triangles, where collapsing can bring it so far, without degenerate ones.
    Deterministic.
    """
    target = budget
    for aggression in AGGRESSION:
        if len(triangles) <= budget:
            break
        points, faces = fast_simplification.simplify(
            np.ascontiguousarray(vertices, np.float64),
            np.ascontiguousarray(triangles, np.int64),
            target_count=target,
            agg=aggression,
        )
        # A collapse may pinch a face away; its edges are then open. Filling them costs faces again.
        vertices, triangles = fill_holes(*compact(np.asarray(points, np.float64), np.asarray(faces, np.int64)))
        target = max(budget - 2 * max(len(triangles) - budget, 0), 1)
    return vertices, triangles
