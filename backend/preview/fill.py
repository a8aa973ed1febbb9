# SPDX-License-Identifier: GPL-3.0-or-later
"""The trunk filled in where limbs hid it or bit into its outline."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

RIM = 3  # pixels
BROAD, CALM = 0.008, 0.01  # of the height: half of a median along a row, and of what rows have to be alike
SLOPE = 0.7  # columns a row: so fast at most a trunk becomes slimmer upwards where an arm hid its outline


def filled_trunk(
    rgba: np.ndarray, mask: np.ndarray, parts: np.ndarray, taken: np.ndarray, core: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rest of the figure with what the limbs hid: between two visible ends of a row, and where they bit into its
    outline, up to the line that joins the outline above and below; coloured along the row. Forearms before the belly
    may hide all of a row: then it is as wide as `core`.
    """
    here, out, whole, labels = window(mask | taken, RIM + 2), rgba.copy(), mask.copy(), parts.copy()
    out[here], whole[here], labels[here] = _filled(*(values[here] for values in (rgba, mask, parts, taken, core)))
    return out, whole, labels


def window(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Where (H, W) bool `mask` is, with so many pixels around it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    top, left = max(int(rows[0]) - margin, 0), max(int(columns[0]) - margin, 0)
    return slice(top, int(rows[-1]) + 1 + margin), slice(left, int(columns[-1]) + 1 + margin)


def _filled(
    rgba: np.ndarray, mask: np.ndarray, parts: np.ndarray, taken: np.ndarray, core: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `filled_trunk`, of a window."""
    rest = ndimage.binary_fill_holes(mask | taken) & taken
    between = np.zeros_like(mask)
    for r in np.flatnonzero(rest.any(1)):
        line = np.flatnonzero(mask[r])
        if len(line):
            between[r, line[0] : line[-1] + 1] = True
    hidden = rest & (core | (between & _near_trunk(mask, rest)) | _tapered(mask, taken))
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


def _tapered(mask: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Pixels beside what is left, in rows whose outline was cut off: no farther out than the outline of the rows below
    goes on upwards. Without them a belly between two arms stands on the hips like a post.
    """
    out = np.zeros_like(mask)
    width = mask.shape[1]
    for flipped in (False, True):
        here, cut = (values[:, ::-1] if flipped else values for values in (mask, taken))
        edge = width - 1 - here[:, ::-1].argmax(1)
        shown = here.any(1)
        beyond = cut[np.arange(len(cut)), np.minimum(edge + 2, width - 1)]
        reach, last = 0.0, -2
        for r in np.flatnonzero(shown)[::-1]:
            reach = max(float(edge[r]), reach - SLOPE) if beyond[r] and last == r + 1 else float(edge[r])
            last = int(r)
            row = out[r, ::-1] if flipped else out[r]
            row[edge[r] + 1 : int(reach) + 1] = True
    return out


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
    """Colours of hidden pixels: a blend of what the row shows left and right of them, without stripes: what the end of
    a single row shows, a claw or a crease, is not all across.
    """
    colours = rgba[nearest].astype(np.float32)
    tall = float(np.ptp(np.flatnonzero((mask | hidden).any(1)))) + 1
    broad = 2 * round(BROAD * tall) + 5
    for r in np.flatnonzero(hidden.any(1)):
        known, wanted = np.flatnonzero(mask[r]), np.flatnonzero(hidden[r])
        if len(known) < 2:
            continue
        for k in range(3):
            calm = ndimage.median_filter(rgba[r, known, k].astype(np.float32), size=broad, mode="nearest")
            colours[r, wanted, k] = np.interp(wanted, known, calm)
    here = window(hidden, 0)
    weight = np.maximum(ndimage.gaussian_filter1d(hidden[here].astype(np.float32), CALM * tall, axis=0), 1e-3)
    for k in range(3):
        own = np.where(hidden[here], colours[here][..., k], 0)
        colours[here][..., k] = ndimage.gaussian_filter1d(own, CALM * tall, axis=0) / weight
    colours[..., 3] = 255
    return colours[hidden].round().astype(np.uint8)
