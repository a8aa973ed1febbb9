# SPDX-License-Identifier: GPL-3.0-or-later
"""The head as seen from the front: depth maps over the face plane, and which vertices are on the outermost layer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .measures import Face

CELLS_IN_MOUTH = 32  # map cells in a mouth width
MOST_CELLS = 320  # along one side of the map
LAYER = 0.35  # mouth widths behind the front that still count as the front
SMOOTHING = 0.12  # mouth widths


@dataclass
class DepthMap:
    """Depth d over a grid in (u, v); outside what was seen it continues the nearest cell.

    origin: (2,) u and v of the first cell's centre; cell: its size in metres; depth, smooth: (rows of v, columns of u);
    seen: whether a surface lies there; exit: depth at which the first surface is left again, infinite where none is.
    """

    origin: np.ndarray
    cell: float
    depth: np.ndarray
    smooth: np.ndarray
    seen: np.ndarray
    exit: np.ndarray

    def at(self, uv: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
        """(N,) depth (or another grid's value), bilinear."""
        grid = self.depth if values is None else values
        place = np.clip((uv - self.origin) / self.cell, 0, np.array(grid.shape[::-1]) - 1.001)
        low = place.astype(np.int64)
        x, y = (place - low).T
        column, row = low.T
        top = grid[row, column] * (1 - x) + grid[row, column + 1] * x
        return top * (1 - y) + (grid[row + 1, column] * (1 - x) + grid[row + 1, column + 1] * x) * y

    def nearest(self, uv: np.ndarray) -> np.ndarray:
        """(N,) the least depth of the four cells around each place, which misses no ridge that a cell has seen."""
        return np.min(self._around(uv), axis=0)

    def deepest(self, uv: np.ndarray) -> np.ndarray:
        """(N,) the largest depth of the four cells around each place."""
        return np.max(self._around(uv), axis=0)

    def _around(self, uv: np.ndarray) -> list[np.ndarray]:
        column, row = (
            np.clip(np.floor((uv - self.origin) / self.cell), 0, np.array(self.depth.shape[::-1]) - 2)
            .astype(np.int64)
            .T
        )
        return [self.depth[row + i, column + j] for i in (0, 1) for j in (0, 1)]

    def covered(self, points: np.ndarray, triangles: np.ndarray) -> DepthMap:
        """This map with a sheet before it. points: (V, 3) as (u, v, d)."""
        sheet = _nearest(points[triangles], self.origin, self.cell, self.depth.shape)
        return replace(self, depth=np.minimum(self.depth, sheet))

    def is_seen(self, uv: np.ndarray) -> np.ndarray:
        place = np.rint((uv - self.origin) / self.cell).astype(np.int64)
        inside = ((place >= 0) & (place < np.array(self.seen.shape[::-1]))).all(1)
        column, row = np.clip(place, 0, np.array(self.seen.shape[::-1]) - 1).T
        return inside & self.seen[row, column]


def window(face: Face) -> np.ndarray:
    """(2, 2) lowest and highest (u, v) of what an expression can move."""
    half = max(1.2 * face.spacing, 1.4 * face.width)
    return np.array([[-half, -1.6 * face.chin], [half, max(eye.v for eye in face.eyes) + 1.1 * face.spacing]])


def front_map(points: np.ndarray, triangles: np.ndarray, face: Face) -> DepthMap:
    """What an orthographic camera before the face sees. points: (V, 3) as (u, v, d)."""
    low, high = window(face)
    cell = max(face.width / CELLS_IN_MOUTH, float((high - low).max()) / MOST_CELLS)
    return depth_map(points, triangles, low, high, cell, SMOOTHING * face.width)


def depth_map(
    points: np.ndarray, triangles: np.ndarray, low: np.ndarray, high: np.ndarray, cell: float, smoothing: float
) -> DepthMap:
    """The front between `low` and `high` (u, v), in cells of that size; smoothing in metres."""
    shape = tuple(np.ceil((high - low) / cell).astype(int)[::-1] + 1)
    corners = points[triangles]
    near = ((corners[:, :, :2].max(1) >= low) & (corners[:, :, :2].min(1) <= high)).all(1)
    corners = corners[near]
    a, b, c = corners[:, 0, :2], corners[:, 1, :2], corners[:, 2, :2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    front = _nearest(corners[area > 0], low, cell, shape)
    leaves = _nearest(corners[area < 0], low, cell, shape, behind=front)
    seen = np.isfinite(front)
    depth = _continued(front)
    smooth = _blurred(depth, max(1, round(smoothing / cell)))
    return DepthMap(low, cell, depth, smooth, seen, leaves)


def _nearest(
    corners: np.ndarray, low: np.ndarray, cell: float, shape: tuple[int, ...], behind: np.ndarray | None = None
) -> np.ndarray:
    """The least depth in each cell; with `behind`, of those deeper than that."""
    size = np.array(shape[::-1])
    first = np.maximum(np.ceil((corners[:, :, :2].min(1) - low) / cell), 0).astype(np.int64)
    last = np.minimum(np.floor((corners[:, :, :2].max(1) - low) / cell), size - 1).astype(np.int64)
    extent = np.maximum(last - first + 1, 0)
    count = extent.prod(1)
    owner = np.repeat(np.arange(len(corners)), count)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    column = first[owner, 0] + within % extent[owner, 0]
    row = first[owner, 1] + within // extent[owner, 0]
    a, b, c = (corners[owner, k] for k in range(3))
    u, v = low[0] + column * cell - a[:, 0], low[1] + row * cell - a[:, 1]
    (bu, bv, bd), (cu, cv, cd) = (b - a).T, (c - a).T
    area = bu * cv - bv * cu
    area[area == 0] = np.nan  # seen edge-on: nothing is inside
    s, t = (u * cv - v * cu) / area, (v * bu - u * bv) / area
    inside = (s >= -1e-9) & (t >= -1e-9) & (s + t <= 1 + 1e-9)
    depth = a[:, 2] + s * bd + t * cd
    at = row * size[0] + column
    if behind is not None:
        inside &= depth > behind.ravel()[at] + 1e-9
    out = np.full(size[0] * size[1], np.inf)
    np.minimum.at(out, at[inside], depth[inside])
    return out.reshape(shape)


def _continued(depth: np.ndarray) -> np.ndarray:
    """Unseen cells take their nearest seen neighbours' mean, ring by ring."""
    known = np.isfinite(depth)
    out = np.where(known, depth, 0.0)
    if not known.any():
        return out
    while not known.all():
        total, count = np.zeros_like(out), np.zeros_like(out)
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            source, target = [slice(None)] * 2, [slice(None)] * 2
            source[axis], target[axis] = (
                (slice(1, None), slice(None, -1)) if step == 1 else (slice(None, -1), slice(1, None))
            )
            total[tuple(target)] += (out * known)[tuple(source)]
            count[tuple(target)] += known[tuple(source)]
        new = ~known & (count > 0)
        out[new] = total[new] / count[new]
        known = known | new
    return out


def _blurred(grid: np.ndarray, radius: int) -> np.ndarray:
    """Three box filters of the given radius, close to a Gaussian; the border is continued."""
    for _ in range(3):
        for axis in (0, 1):
            padded = np.pad(grid, [(radius + 1, radius) if k == axis else (0, 0) for k in (0, 1)], mode="edge")
            total = np.cumsum(padded, axis)
            grid = (
                np.take(total, range(2 * radius + 1, total.shape[axis]), axis)
                - np.take(total, range(total.shape[axis] - 2 * radius - 1), axis)
            ) / (2 * radius + 1)
    return grid


def smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def front_layer(points: np.ndarray, triangles: np.ndarray, seen: DepthMap, face: Face) -> np.ndarray:
    """(V,) whether a vertex lies on the outermost layer of the face, and looks to the front."""
    low, high = window(face)
    inside = ((points[:, :2] >= low) & (points[:, :2] <= high)).all(1)
    close = np.zeros(len(points), bool)
    close[inside] = points[inside, 2] < seen.at(points[inside, :2]) + LAYER * face.width
    near = triangles[close[triangles].any(1)]
    a, b, c = (points[near[:, k]] for k in range(3))
    facing = np.bincount(near.ravel(), np.repeat(np.cross(b - a, c - a)[:, 2], 3), len(points))
    return close & (facing > 0)
