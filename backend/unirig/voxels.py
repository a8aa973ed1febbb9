# SPDX-License-Identifier: GPL-3.0-or-later
"""The inside of a mesh as grid cells, from how far surfaces lie from six sides (shared/reference/unirig.md 7.1).

The original draws six distance images with OpenGL; here the surface's extremes along each axis are computed at the
same sample points. Cube coordinates [-1, 1], z up. A grid of n has cell centres at (i + 0.5) * 2 / n - 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CHUNK = 2_000_000  # pairs of (triangle, pixel) looked at in one go
EYE, FAR = 2.0, 4.0  # how far the original's cameras stand from the centre; what an empty pixel holds


@dataclass
class Extent:
    """Least and greatest coordinate of the surface along an axis at each pixel of the other two, (n, n) in their
    order (yz, xz, xy).

    Where there is no surface: low = +2, high = -2.
    """

    low: np.ndarray
    high: np.ndarray


def centres(grid: int) -> np.ndarray:
    return (np.arange(grid) + 0.5) * (2 / grid) - 1


# Per axis and camera ("plus", "minus"): how an image's [row, column] becomes [u, v] of the other two axes.
_TURNED = {
    0: (lambda image: image[::-1], lambda image: image[::-1, ::-1]),
    1: (lambda image: image.T[:, ::-1], lambda image: image.T),
    2: (lambda image: image.T[:, ::-1], lambda image: image.T[::-1, ::-1]),
}


def from_distances(plus: np.ndarray, minus: np.ndarray, axis: int) -> Extent:
    """Two of the original's distance images (n, n) to extents, as the original reads them.

    "plus" looks along the positive axis, so it sees the least coordinate. Its z cameras stand the other way round,
    which turns what it takes for the extent along z into (-high, -low).
    """
    plus, minus = (turn(image.astype(np.float64)) for turn, image in zip(_TURNED[axis], (plus, minus), strict=True))
    return Extent(plus - EYE, EYE - minus)


# Where a pixel is looked at, in cells from its centre along the other two axes, for the least and the greatest
# coordinate: the original keeps the depth of the first of four samples of a pixel, which lies at (-1/8, -3/8) in each
# camera's own picture.
_SAMPLES = {
    0: ((-0.375, -0.125), (-0.375, 0.125)),
    1: ((-0.125, -0.375), (-0.125, 0.375)),
    2: ((0.125, -0.375), (-0.125, -0.375)),
}


def surface_extent(vertices: np.ndarray, faces: np.ndarray, axis: int, grid: int, centred: bool = False) -> Extent:
    """Exact extremes of the surface along an axis, sampled where the original's cameras look, or at cell centres.

    vertices (v, 3), faces (f, 3). Triangles seen edge-on leave no trace.
    """
    u, v = (k for k in range(3) if k != axis)
    corners = vertices[faces].astype(np.float64)
    x, y = (
        np.ascontiguousarray((corners[:, :, k] + 1).T) * (grid / 2) - 0.5 for k in (u, v)
    )  # (3, f): a cell's centre is its number
    depth = np.ascontiguousarray(corners[:, :, axis].T)
    low, high = np.full(grid * grid, EYE), np.full(grid * grid, -EYE)
    for image, extreme, (du, dv) in zip((low, high), (np.minimum, np.maximum), _SAMPLES[axis], strict=True):
        shifted = (x, y) if centred else (x - du, y - dv)
        for pixel, here in _hits(*shifted, depth, grid):
            extreme.at(image, pixel, here)
    return Extent(low.reshape(grid, grid), high.reshape(grid, grid))


def _hits(x: np.ndarray, y: np.ndarray, depth: np.ndarray, grid: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pixels (m,), numbered x * grid + y, at whole coordinates inside triangles, and the depth there, a slice of
    triangles at a time.

    x, y, depth (3, f): the triangles' corners in pixels.
    """
    (x0, x1), (y0, y1) = (
        (np.clip(np.ceil(c.min(0)), 0, grid), np.clip(np.floor(c.max(0)) + 1, 0, grid)) for c in (x, y)
    )
    ex1, ex2, ey1, ey2 = x[1] - x[0], x[2] - x[0], y[1] - y[0], y[2] - y[0]
    area = ex1 * ey2 - ex2 * ey1
    count = np.where(np.abs(area) > 1e-12, np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0), 0).astype(np.int64)
    chosen = np.flatnonzero(count)
    ends = np.cumsum(count[chosen])
    start = 0
    while start < len(chosen):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + CHUNK, "right")), start + 1)
        some = chosen[start:stop]
        start = stop
        number = count[some]
        owner = np.repeat(np.arange(len(some)), number)
        local = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
        row, column = np.divmod(local, (x1 - x0)[some].astype(np.int64)[owner])
        px, py = x0[some][owner] + column, y0[some][owner] + row
        dx, dy = px - x[0][some][owner], py - y[0][some][owner]
        ax1, ax2, ay1, ay2 = ((edge[some] / area[some])[owner] for edge in (ex1, ex2, ey1, ey2))
        b1, b2 = dx * ay2 - dy * ax2, dy * ax1 - dx * ay1  # barycentric coordinates of corners 1 and 2
        inside = (b1 >= -1e-9) & (b2 >= -1e-9) & (b1 + b2 <= 1 + 1e-9)
        owner = some[owner[inside]]
        here = depth[0][owner] + b1[inside] * (depth[1] - depth[0])[owner] + b2[inside] * (depth[2] - depth[0])[owner]
        yield (px * grid + py)[inside].astype(np.int64), here


def inside(extents: list[Extent], grid: int) -> np.ndarray:
    """(n, n, n) bool: cells between the extents of at least two of the three axes."""
    at = centres(grid)
    votes = np.zeros((grid,) * 3, np.uint8)
    for axis, extent in enumerate(extents):
        along = at.reshape([-1 if k == axis else 1 for k in range(3)])
        votes += (np.expand_dims(extent.low, axis) <= along) & (along <= np.expand_dims(extent.high, axis))
    return votes >= 2


def cells_of(mask: np.ndarray) -> np.ndarray:
    """(m, 3) f32 centres of the cells set in a mask (n, n, n), ordered by x, y, then z downwards as the original
    lists them.
    """
    cells = np.argwhere(mask[:, :, ::-1])
    cells[:, 2] = len(mask) - 1 - cells[:, 2]
    return centres(len(mask)).astype(np.float32)[cells]


def voxelise(vertices: np.ndarray, faces: np.ndarray, grid: int = 196, mirrored_z: bool = True) -> np.ndarray:
    """(m, 3) f32 centres of the cells inside a mesh in the cube. mirrored_z: with the original's slip along z, which
    the released network was trained with.
    """
    extents = [surface_extent(vertices, faces, axis, grid) for axis in range(3)]
    if mirrored_z:
        extents[2] = Extent(-extents[2].high, -extents[2].low)
    return cells_of(inside(extents, grid))
