# SPDX-License-Identifier: GPL-3.0-or-later
"""The closest point of a dense surface to any point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

CANDIDATES = 6  # samples of the surface nearest to a point whose triangles are looked at
MAX_STEPS = 64  # parts into which a triangle's edges are cut at most, for samples
CHUNK = 1 << 16


@dataclass
class Nearest:
    """Of each of n points: the closest point (n, 3), its triangle (n,) and barycentric coordinates (n, 3) there."""

    point: np.ndarray
    triangle: np.ndarray
    bary: np.ndarray


class Surface:
    """vertices (V, 3), triangles (T, 3). Samples of every triangle, about as dense as the triangles of a dense mesh
    are, find the few triangles near a point; of these the closest is exact.
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        self.corners = np.asarray(vertices, np.float64)[triangles]
        edge = np.linalg.norm(self.corners - np.roll(self.corners, 1, axis=1), axis=2).max(1)
        extent = float(np.ptp(self.corners.reshape(-1, 3), axis=0).max(initial=0)) if len(triangles) else 0.0
        spacing = max(2 * float(np.median(edge)) if len(edge) else 0.0, extent / 2048, 1e-12)
        if len(edge) < 4096:  # few triangles may be of any size
            spacing = min(spacing, extent / 64)
        steps = np.clip(np.ceil(edge / max(spacing, 1e-12)), 1, MAX_STEPS).astype(int)
        samples, owners = [], []
        for n in np.unique(steps):
            some = np.flatnonzero(steps == n)
            bary = _grid(n)
            samples.append(np.einsum("sk,tkc->tsc", bary, self.corners[some]).reshape(-1, 3))
            owners.append(np.repeat(some, len(bary)))
        self._owners = np.concatenate(owners) if owners else np.zeros(0, int)
        self._tree = cKDTree(np.concatenate(samples)) if samples else None

    def nearest(self, points: np.ndarray) -> Nearest:
        """Raises ValueError for a surface without triangles."""
        if self._tree is None:
            raise ValueError("a surface without triangles has no closest point")
        out = Nearest(np.empty((len(points), 3)), np.empty(len(points), np.int64), np.empty((len(points), 3)))
        k = min(CANDIDATES, self._tree.n)
        for first in range(0, len(points), CHUNK):
            some = np.asarray(points[first : first + CHUNK], np.float64)
            _, near = self._tree.query(some, k=k, workers=-1)
            owners = self._owners[near.reshape(len(some), k)]
            corners = self.corners[owners]
            bary = closest_bary(some[:, None], corners)
            at = np.einsum("nkc,nkcd->nkd", bary, corners)
            best = ((at - some[:, None]) ** 2).sum(2).argmin(1)
            row, into = np.arange(len(some)), slice(first, first + len(some))
            out.point[into], out.triangle[into], out.bary[into] = at[row, best], owners[row, best], bary[row, best]
        return out


def _grid(n: int) -> np.ndarray:
    """(s, 3) barycentric coordinates of the middles of the n^2 triangles that a triangle is cut into."""
    a, b = np.divmod(np.arange(n * n), n)
    inside = a + b < n
    up = np.stack([a[inside] + 1 / 3, b[inside] + 1 / 3], 1)
    inner = a + b < n - 1
    down = np.stack([a[inner] + 2 / 3, b[inner] + 2 / 3], 1)
    uv = np.concatenate([up, down]) / n
    return np.column_stack([uv, 1 - uv.sum(1)])


def closest_bary(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(..., 3) barycentric coordinates of the point of each triangle (..., 3, 3) closest to (..., 3) points.

    Regions of a triangle as in Ericson, Real-Time Collision Detection, 5.1.5.
    """
    a, b, c = (corners[..., i, :] for i in range(3))
    ab, ac = b - a, c - a
    d1, d2 = ((edge * (point - a)).sum(-1) for edge in (ab, ac))
    d3, d4 = ((edge * (point - b)).sum(-1) for edge in (ab, ac))
    d5, d6 = ((edge * (point - c)).sum(-1) for edge in (ab, ac))
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2

    def ratio(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.clip(x / np.where(np.abs(y) > 1e-300, y, 1e-300), 0, 1)

    zero, one = np.zeros_like(d1), np.ones_like(d1)
    on_ab, on_ac = ratio(d1, d1 - d3), ratio(d2, d2 - d6)
    on_bc = ratio(d4 - d3, (d4 - d3) + (d5 - d6))
    total = va + vb + vc
    inside_v, inside_w = ratio(vb, total), ratio(vc, total)
    cases = [
        ((d1 <= 0) & (d2 <= 0), (one, zero, zero)),
        ((d3 >= 0) & (d4 <= d3), (zero, one, zero)),
        ((d6 >= 0) & (d5 <= d6), (zero, zero, one)),
        ((vc <= 0) & (d1 >= 0) & (d3 <= 0), (1 - on_ab, on_ab, zero)),
        ((vb <= 0) & (d2 >= 0) & (d6 <= 0), (1 - on_ac, zero, on_ac)),
        ((va <= 0) & (d4 >= d3) & (d5 >= d6), (zero, 1 - on_bc, on_bc)),
    ]
    where = [case for case, _ in cases]
    inside = (1 - inside_v - inside_w, inside_v, inside_w)
    return np.stack([np.select(where, [value[i] for _, value in cases], inside[i]) for i in range(3)], -1)
