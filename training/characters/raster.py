# SPDX-License-Identifier: GPL-3.0-or-later
"""A small orthographic rasteriser: what measures a character and shows it on a contact sheet."""

from __future__ import annotations

import numba
import numpy as np

from .character import Character


@numba.njit(cache=True)
def _fill(points, triangles, depth, ids, weights):
    height, width = depth.shape
    for t in range(len(triangles)):
        x0, y0, z0 = points[triangles[t, 0]]
        x1, y1, z1 = points[triangles[t, 1]]
        x2, y2, z2 = points[triangles[t, 2]]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-12:
            continue
        for y in range(max(int(np.ceil(min(y0, y1, y2))), 0), min(int(np.floor(max(y0, y1, y2))), height - 1) + 1):
            for x in range(max(int(np.ceil(min(x0, x1, x2))), 0), min(int(np.floor(max(x0, x1, x2))), width - 1) + 1):
                a = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
                b = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
                c = 1 - a - b
                if a < -1e-9 or b < -1e-9 or c < -1e-9:
                    continue
                z = a * z0 + b * z1 + c * z2
                if z > depth[y, x]:
                    depth[y, x] = z
                    ids[y, x] = t
                    weights[y, x, 0] = a
                    weights[y, x, 1] = b
                    weights[y, x, 2] = c


def rasterise(
    vertices: np.ndarray, triangles: np.ndarray, centre: tuple[float, float], scale: float, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Looks along -Z. centre: world x, y in the picture's middle; scale: pixels per metre; size: (height, width).

    Returns ids (h, w) int32, -1 where nothing is; depth (h, w), world z; weights (h, w, 3) of the triangle's corners.
    """
    height, width = size
    points = np.column_stack(
        [
            (vertices[:, 0] - centre[0]) * scale + width / 2 - 0.5,
            (centre[1] - vertices[:, 1]) * scale + height / 2 - 0.5,
            vertices[:, 2],
        ]
    ).astype(np.float64)
    depth = np.full(size, -np.inf)
    ids = np.full(size, -1, np.int32)
    weights = np.zeros((*size, 3))
    _fill(points, np.ascontiguousarray(triangles, np.int32), depth, ids, weights)
    return ids, depth, weights


def colours(character: Character, ids: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 unlit colours of a rasterised view; white where nothing is. ids count character.triangles."""
    out = np.full((*ids.shape, 3), 255, np.uint8)
    for k, texture in enumerate(character.textures):
        at = (ids >= 0) & (character.materials[ids] == k)
        if not at.any():
            continue
        height, width = texture.shape[:2]
        uv = np.einsum("nk,nkc->nc", weights[at], character.corner_uvs[ids[at]]) % 1.0
        rows = np.minimum((uv[:, 1] * height).astype(int), height - 1)
        out[at] = texture[rows, np.minimum((uv[:, 0] * width).astype(int), width - 1), :3]
    return out
