# SPDX-License-Identifier: GPL-3.0-or-later
"""What a part shows beside and behind what the picture shows: the colours of its flanks, row by row."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.color import rgb2lab

LIMB_BANDS, TRUNK_BANDS = ((0.04, 0.24), (0.76, 0.96)), ((0.06, 0.36), (0.64, 0.94))
LIMB_CALM, TRUNK_CALM = 0.022, 0.030  # of the height: keeps stripes and belts, drops badges and creases


def to_lab(colours: np.ndarray) -> np.ndarray:
    """(..., 3) of 255 -> CIE Lab."""
    return np.asarray(rgb2lab(np.clip(colours, 0, 255) / 255.0))


def close_to(colours: np.ndarray, colour: np.ndarray, tolerance: float) -> np.ndarray:
    """(...) bool: hue and half of the lightness of (..., 3) within `tolerance` (Lab)."""
    return lab_close_to(to_lab(np.asarray(colours, float)), colour, tolerance)


def lab_close_to(lab: np.ndarray, colour: np.ndarray, tolerance: float) -> np.ndarray:
    """`close_to` for colours that are Lab already; `colour` is of 255."""
    return np.linalg.norm((lab - to_lab(np.asarray(colour, float))) * [0.5, 1, 1], axis=-1) < tolerance


def commonest(colours: np.ndarray, within: float) -> tuple[np.ndarray, float]:
    """The colour that most of (N, 3) have, not a mixture, and the share that has it."""
    some = colours[:: max(len(colours) // 400, 1)]
    near = np.linalg.norm(some[:, None] - some[None], axis=-1) < within
    best = near.sum(1).argmax()
    return np.median(some[near[best]], axis=0), float(near[best].mean())


def ramp(colours: np.ndarray, known: np.ndarray, window: float) -> np.ndarray | None:
    """(N, 3) with gaps filled by the nearest known row and calmed by a median over `window` rows; None if none is
    known.
    """
    if not known.any():
        return None
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)[0]
    calm = ndimage.median_filter(colours[nearest], size=(max(int(window), 1) | 1, 1), mode="nearest")
    return np.asarray(ndimage.uniform_filter1d(calm, 3, axis=0, mode="nearest"))


def at_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Values (N,) or (N, 3) between rows, held beyond the ends."""
    at = np.clip(rows, 0, len(values) - 1.001)
    low = at.astype(int)
    share = at - low if values.ndim == 1 else (at - low)[:, None]
    return values[low] * (1 - share) + values[np.minimum(low + 1, len(values) - 1)] * share


class Flanks:
    """The two sides of a limb or the trunk along its axis. Pixels are those of the cut-out picture, x right, y down."""

    def __init__(
        self,
        colours: np.ndarray,
        where: np.ndarray,
        axis: np.ndarray,
        bands: tuple[tuple[float, float], tuple[float, float]],
        calm: float,
    ) -> None:
        """colours: (H, W, 3); where: (H, W) bool, not empty; calm: pixels."""
        self.axis = axis / np.hypot(*axis)
        self.across = np.array([-self.axis[1], self.axis[0]])
        row, column = np.nonzero(where)
        pixels = np.column_stack([column, row])
        along, side = pixels @ self.axis, pixels @ self.across
        self.start = int(np.floor(along.min()))
        count = int(np.ceil(along.max())) - self.start + 1
        step = np.floor(along).astype(int) - self.start
        order = np.lexsort((side, step))
        sorted_colours = colours[row[order], column[order]]
        cut = np.searchsorted(step[order], np.arange(count + 1))
        known = np.diff(cut) >= 6
        self.sides = []
        for low, high in bands:
            found = np.zeros((count, 3), np.float32)
            for k in np.flatnonzero(known):
                line, n = sorted_colours[cut[k] : cut[k + 1]], cut[k + 1] - cut[k]
                found[k] = np.median(line[int(low * n) : max(int(high * n), int(low * n) + 1)], axis=0)
            calmed = ramp(found, known, calm)
            self.sides.append(calmed if calmed is not None else np.broadcast_to(colours[where].mean(0), (count, 3)))

    def colour(self, pixels: np.ndarray, side: np.ndarray) -> np.ndarray:
        """(N, 3) at (N, 2) pixels; side: (N,) 0 for the flank towards -across, 1 for the other."""
        rows = pixels @ self.axis - self.start
        low, high = (at_rows(values, rows) for values in self.sides)
        return low * (1 - side[:, None]) + high * side[:, None]
