# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours at the corners of triangles as a texture. Pure."""

from __future__ import annotations

import numpy as np

CELL = 3  # texels a side for each triangle: two that carry its colours and one between it and the next


def painted_triangles(centres: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """centres (T, 3), colours (T, 3, 3) 0..1 -> corner UVs (T, 3, 2) and a picture (H, H, 3) float32, bottom row first.

    A triangle has a cell of its own, in which bilinear sampling gives exactly the linear blend of its corners. Cells
    follow a Z-order curve as the triangles do in space (Morton 1966), so that smaller versions of the picture mix what
    lies side by side on the body.
    """
    levels = max(int(np.ceil(np.log2(max(len(centres), 1)) / 2)), 0)
    size = np.ptp(centres, axis=0).max() or 1.0
    cells = np.clip((centres - centres.min(0)) / size * 1023, 0, 1023).astype(np.int64)
    rank = np.empty(len(centres), np.int64)
    rank[np.argsort(_interleaved(cells), kind="stable")] = np.arange(len(centres))
    column, row = _apart(rank), _apart(rank >> 1)
    side = CELL << levels
    picture = np.zeros((side, side, 3), np.float32)
    a, b, c = colours[:, 0], colours[:, 1], colours[:, 2]
    texels = {(0, 0): a, (0, 1): b, (1, 0): c, (1, 1): np.clip(b + c - a, 0, 1)}
    for y in range(CELL):
        for x in range(CELL):
            picture[CELL * row + y, CELL * column + x] = texels[min(y, 1), min(x, 1)]
    across, down = CELL * column[:, None] + [0.5, 1.5, 0.5], CELL * row[:, None] + [0.5, 0.5, 1.5]
    return (np.stack([across, down], -1) / side).astype(np.float32), picture


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
