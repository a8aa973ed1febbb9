# SPDX-License-Identifier: GPL-3.0-or-later
"""Bones on the screen: where they are drawn, and which of them the mouse is on. Pure: numpy."""

from __future__ import annotations

import numpy as np

ALIKE = 4.0  # pixels: of bones that are about as near to the mouse, the foremost


def to_screen(points: np.ndarray, perspective: np.ndarray, size: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) pixels from the lower left corner and (N,) depth, -1 (near) to 1; NaN for what lies behind the eye.

    points: (N, 3) in world space; perspective: (4, 4), of the view; size: the region's width and height in pixels.
    """
    flat = np.column_stack([points, np.ones(len(points))]) @ np.asarray(perspective, np.float64).T
    flat[flat[:, 3] <= 1e-6] = np.nan
    seen = flat[:, :3] / flat[:, 3:]
    return (seen[:, :2] + 1) * 0.5 * np.asarray(size, np.float64), seen[:, 2]


def nearest(mouse: tuple[float, float], starts: np.ndarray, ends: np.ndarray, depth: np.ndarray, reach: float) -> int:
    """The index of the line from `starts` to `ends`, (N, 2) pixels each, that the mouse is on, -1 for none within
    `reach` pixels.

    depth: (N,), the lower the nearer to the eye; NaN lines are never hit.
    """
    if not len(starts):
        return -1
    point, along = np.asarray(mouse, np.float64), ends - starts
    length = np.maximum((along * along).sum(1), 1e-9)
    part = np.clip(((point - starts) * along).sum(1) / length, 0, 1)
    away = np.linalg.norm(starts + part[:, None] * along - point, axis=1)
    away = np.where(np.isfinite(away), away, np.inf)
    if away.min() > reach:
        return -1
    alike = np.flatnonzero(away <= min(away.min() + ALIKE, reach))
    return int(alike[np.argmin(depth[alike])])
