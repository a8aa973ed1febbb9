# SPDX-License-Identifier: GPL-3.0-or-later
"""Which vertices hang together. Pure."""

from __future__ import annotations

import numpy as np


def island_of(triangles: np.ndarray, count: int) -> np.ndarray:
    """(count,) the lowest vertex number that hangs together with each vertex by triangles (T, 3)."""
    label = np.arange(count)
    ends = triangles[:, [0, 1, 1, 2]].reshape(-1, 2)
    while True:
        before = label.copy()
        low = np.minimum(label[ends[:, 0]], label[ends[:, 1]])
        for side in (0, 1):
            np.minimum.at(label, label[ends[:, side]], low)  # the root moves, and with it everything below
            np.minimum.at(label, ends[:, side], low)
        while not np.array_equal(label, label[label]):
            label = label[label]
        if np.array_equal(label, before):
            return label
