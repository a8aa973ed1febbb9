# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours at the corners of triangles as a texture. Pure."""

from __future__ import annotations

import numpy as np

from .measures import triangle_areas

FINEST = 6  # texels along an edge of a triangle, at most


def painted_triangles(centres: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """centres (T, 3), colours (T, 3, 3) 0..1 of the corners -> as `painted`. Bilinear sampling gives exactly the linear
    blend of a triangle's corners.
    """
    a, b, c = colours[:, 0], colours[:, 1], colours[:, 2]
    return painted(centres, np.stack([np.stack([a, b], 1), np.stack([c, np.clip(b + c - a, 0, 1)], 1)], 1))


def painted(centres: np.ndarray, texels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """centres (T, 3), texels (T, n, n, 3) 0..1, from a triangle's first corner along its two edges (first index: to the
    third corner) -> corner UVs (T, 3, 2) and a picture (H, H, 3) float32, bottom row first.

    A triangle has a cell of its own, with one texel between it and the next. Cells follow a Z-order curve as the
    triangles do in space (Morton 1966), so that smaller versions of the picture mix what lies side by side on the body.
    """
    levels = max(int(np.ceil(np.log2(max(len(centres), 1)) / 2)), 0)
    size = np.ptp(centres, axis=0).max() or 1.0
    cells = np.clip((centres - centres.min(0)) / size * 1023, 0, 1023).astype(np.int64)
    rank = np.empty(len(centres), np.int64)
    rank[np.argsort(_interleaved(cells), kind="stable")] = np.arange(len(centres))
    column, row = _apart(rank), _apart(rank >> 1)
    steps = texels.shape[1]
    cell = steps + 1
    side = cell << levels
    picture = np.zeros((side, side, 3), np.float32)
    for y in range(cell):
        for x in range(cell):
            picture[cell * row + y, cell * column + x] = texels[:, min(y, steps - 1), min(x, steps - 1)]
    near, far = 0.5, steps - 0.5
    across, down = cell * column[:, None] + [near, far, near], cell * row[:, None] + [near, near, far]
    return (np.stack([across, down], -1) / side).astype(np.float32), picture


def resampled(vertices: np.ndarray, triangles: np.ndarray, points: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """(T, n, n, 3) texels for `painted`, of a surface that had the colours (P, 3) at points (P, 3); n by how many of
    them a triangle has.
    """
    steps = int(np.clip(np.ceil(np.sqrt(2 * len(points) / len(triangles))) + 1, 2, FINEST))
    v, u = np.meshgrid(np.linspace(0, 1, steps), np.linspace(0, 1, steps), indexing="ij")
    over = np.maximum(u + v, 1.0)  # beyond the third edge the colours of the edge go on
    shares = np.stack([1 - (u + v) / over, u / over, v / over], -1)
    places = np.einsum("vuk,tkc->tvuc", shares, vertices[triangles]).reshape(-1, 3)
    low = np.minimum(points.min(0), vertices.min(0))
    out = np.empty((len(places), 3), np.float32)
    missing = np.arange(len(places))
    spacing = float(np.sqrt(triangle_areas(vertices, triangles).sum() / len(points)))
    while len(missing):
        keys, means = _means(points - low, colours, spacing)
        wanted = _cell_keys(places[missing] - low, spacing)
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        hit = keys[found] == wanted
        out[missing[hit]] = means[found[hit]]
        missing, spacing = missing[~hit], 2 * spacing
    return out.reshape(len(triangles), steps, steps, 3)


def _means(points: np.ndarray, colours: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Keys of the cubes of that size that hold points, sorted, and the mean colour in each."""
    keys, cube = np.unique(_cell_keys(points, size), return_inverse=True)
    cube = cube.reshape(-1)
    count = np.bincount(cube)
    return keys, np.column_stack([np.bincount(cube, colours[:, k]) / count for k in range(3)])


def _cell_keys(points: np.ndarray, size: float) -> np.ndarray:
    i, j, k = np.floor(points / size).astype(np.int64).T
    return np.asarray((i << 42) + (j << 21) + k)


def _interleaved(cells: np.ndarray) -> np.ndarray:
    """(T,) the bits of (T, 3) numbers under 1024 in turn."""
    out = np.zeros(len(cells), np.int64)
    for bit in range(10):
        for axis in range(3):
            out |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return out


def _apart(codes: np.ndarray) -> np.ndarray:
    """Every second bit of `codes`, together."""
    out = np.zeros(len(codes), np.int64)
    for bit in range(16):
        out |= ((codes >> (2 * bit)) & 1) << bit
    return out
