# SPDX-License-Identifier: GPL-3.0-or-later
"""The trunk filled in where limbs hid it or bit into its outline."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

RIM = 3  # pixels


def filled_trunk(
    rgba: np.ndarray, mask: np.ndarray, parts: np.ndarray, taken: np.ndarray, core: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rest of the figure with what the limbs hid: between two visible ends of a row, and where they bit into its
    outline, up to the line that joins the outline above and below; coloured along the row. Forearms before the belly
    may hide all of a row: then it is as wide as `core`.
    """
    rest = ndimage.binary_fill_holes(mask | taken) & taken
    between = np.zeros_like(mask)
    for r in np.flatnonzero(rest.any(1)):
        line = np.flatnonzero(mask[r])
        if len(line):
            between[r, line[0] : line[-1] + 1] = True
    hidden = rest & (core | (between & _near_trunk(mask, rest)))
    rows, columns = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    # A rim of what was cut off stays on what is left.
    inner = ndimage.binary_erosion(mask, iterations=RIM)
    nearest = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    out = rgba.copy()
    rim = ndimage.binary_dilation(taken, iterations=RIM + 1) & mask & ~inner
    out[rim] = rgba[nearest[0][rim], nearest[1][rim]]
    out[hidden] = _along_rows(rgba, inner, hidden, (nearest[0], nearest[1]))
    parts = np.where(hidden, parts[rows, columns], parts)
    return out, mask | hidden, parts


def _near_trunk(mask: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Pixels that lie within the closed outline of what is left: a gap between two legs is not of it."""
    size = max(round(0.12 * np.ptp(np.flatnonzero((mask | rest).any(1)))), 1)
    small = ndimage.zoom(mask.astype(np.uint8), 0.25, order=0) > 0
    closed = ndimage.binary_closing(np.pad(small, size), iterations=max(size // 4, 1))[size:-size, size:-size]
    whole = ndimage.zoom(closed.astype(np.uint8), np.array(mask.shape) / closed.shape, order=0) > 0
    return ndimage.binary_dilation(whole, iterations=4)


def _along_rows(
    rgba: np.ndarray, mask: np.ndarray, hidden: np.ndarray, nearest: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Colours of hidden pixels: a blend of what the row shows left and right of them."""
    colours = rgba[nearest].astype(np.float32)
    for r in np.flatnonzero(hidden.any(1)):
        known, wanted = np.flatnonzero(mask[r]), np.flatnonzero(hidden[r])
        if len(known) < 2:
            continue
        for k in range(3):
            calm = ndimage.median_filter(rgba[r, known, k].astype(np.float32), size=5, mode="nearest")
            colours[r, wanted, k] = np.interp(wanted, known, calm)
    colours[..., 3] = 255
    return colours[hidden].round().astype(np.uint8)
