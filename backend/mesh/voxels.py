# SPDX-License-Identifier: GPL-3.0-or-later
"""Solid voxels of any triangle soup: non-manifold, open, overlapping or inverted shells, floating pieces,
bare points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

MAX_CELLS = 4_000_000
PAD = 2  # empty cells around the mesh, so that the outside is connected


@dataclass
class VoxelGrid:
    """solid: (X, Y, Z) bool. The centre of cell (i, j, k) is origin + cell * (i, j, k), in metres."""

    solid: np.ndarray
    origin: np.ndarray
    cell: float

    def index(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) metres to the cells they lie in, kept inside the grid."""
        return np.clip(np.floor(self.coordinates(points) + 0.5).astype(np.int64), 0, np.array(self.solid.shape) - 1)

    def coordinates(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) metres to fractional cells."""
        return (np.asarray(points, float) - self.origin) / self.cell

    def centres(self, cells: np.ndarray) -> np.ndarray:
        """(..., 3) cells to metres."""
        return self.origin + self.cell * cells


def solid_voxels(vertices: np.ndarray, triangles: np.ndarray, rows: int = 110) -> VoxelGrid:
    """The mesh, filled, on a grid of `rows` cells over its height (fewer when it is very wide or deep).

    Every cell touched by a vertex or a triangle is solid, and every cell that is enclosed: not reached from outside
    between those (holes up to two cells wide count as closed), or with surface in all six directions (so an open neck
    or sleeve does not empty the body). What is inside does not depend on the direction of normals.
    """
    low, high = vertices.min(0), vertices.max(0)
    size = high - low
    extent = max(float(size[1]), 0.25 * float(size.max()), 1e-6)
    cell = extent / rows
    while np.prod(np.ceil(size / cell) + 2 * PAD + 1) > MAX_CELLS:
        cell *= 1.1
    shape = np.ceil(size / cell).astype(int) + 2 * PAD + 1
    grid = VoxelGrid(np.zeros(shape, bool), low - PAD * cell, cell)
    for points in surface_points(vertices, triangles, 0.7 * cell):
        i, j, k = grid.index(points).T
        grid.solid[i, j, k] = True
    grid.solid |= _enclosed(grid.solid)
    return grid


def surface_points(vertices: np.ndarray, triangles: np.ndarray, spacing: float):
    """Points on vertices and triangles, no two neighbours farther apart than about `spacing`; at most a million at a
    time.
    """
    yield vertices
    if not len(triangles):
        return
    corners = vertices[triangles]
    edge = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
    steps = np.ceil(edge / spacing).astype(int)
    for n in np.unique(steps[steps >= 1]):
        some = corners[steps == n]
        a, b = np.divmod(np.arange((n + 1) ** 2), n + 1)
        inside = a + b <= n
        bary = np.stack([a[inside], b[inside], n - a[inside] - b[inside]], -1) / n
        batch = max(1, 1_000_000 // len(bary))
        for start in range(0, len(some), batch):
            yield np.einsum("sk,tkc->tsc", bary, some[start : start + batch]).reshape(-1, 3)


def _enclosed(surface: np.ndarray) -> np.ndarray:
    """Cells that the surface encloses. The closing by one cell is undone, so parts do not grow together."""
    cube = np.ones((3, 3, 3), bool)
    closed = ndimage.binary_dilation(surface, cube)
    labels, _ = ndimage.label(~closed)
    outside = labels == labels[0, 0, 0]
    # Growing the outside back by what the dilation took from it leaves the surface where it was.
    outside = ndimage.binary_dilation(outside, cube, mask=~surface) | outside
    blocked = np.ones(surface.shape, bool)
    for axis in range(3):
        blocked &= np.maximum.accumulate(surface, axis)
        blocked &= np.flip(np.maximum.accumulate(np.flip(surface, axis), axis), axis)
    return ~outside | blocked
