# SPDX-License-Identifier: GPL-3.0-or-later
"""Distances and areas on arrays of points."""

from __future__ import annotations

import numpy as np


def to_segment(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) distances of points (N, 3) to a segment, and where along it their feet are, 0 to 1 between its ends."""
    way = end - start
    length = float(way @ way)
    along = (points - start) @ way / length if length > 0 else np.zeros(len(points))
    return np.linalg.norm(points - start - np.clip(along, 0, 1)[:, None] * way, axis=1), along


def triangle_areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) of vertices (V, 3) and triangles (T, 3)."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)
