# SPDX-License-Identifier: GPL-3.0-or-later
"""A cape: found by a colour that shows on both sides of the body and not between, built as a sheet behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.color import rgb2lab

from .body import ARMS, HEAD, LEGS, TORSO, Body, filled, smooth
from .trunk import Halves

# Parts of a row's width: its edges, between, and its middle.
EDGES, BETWEEN, MIDDLE = (0.02, 0.10), (0.24, 0.34), (0.34, 0.5)
APART, EVEN = 13.0, 18.0  # Lab: between edge and middle, and along the edge
SHOWS, STANDS_OUT = 0.60, 0.45  # parts of the rows
OUTER = 0.24  # beside this part of a row's width colour of the cape is cape; above the crotch, the middle is a garment
GARMENT = 0.22  # an edge run longer than this is a coat of the cape's colour


@dataclass
class Cape:
    """A sheet on the grid, cells. region: (R, C) bool, where it hangs, mostly hidden; shown: where the picture shows
    it; centre: z of its middle; thick: half of it. colour: (3,) of 255.
    """

    region: np.ndarray
    shown: np.ndarray
    centre: np.ndarray
    thick: float
    colour: np.ndarray


def find_cape(body: Body, rgba: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Cells that show a cape beside or between the legs, and its colour (None, and no cells, where there is none)."""
    nothing = np.zeros_like(body.figure)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    row, column = np.mgrid[window]
    cells = body.frame.to_cells(np.stack([column, row], -1))
    parts = ndimage.map_coordinates(body.parts, [cells[..., 1], cells[..., 0]], order=0, mode="nearest")
    trunk = mask[window] & np.isin(parts, (TORSO, *LEGS))
    colours = rgba[window][..., :3]
    start = body.along_trunk(0.45) * body.frame.pixels + body.frame.origin[1] - rows[0]
    sure = trunk & ndimage.binary_erosion(mask[window], iterations=2)
    colour = _colour(colours, sure, start)
    if colour is None:
        return nothing, None
    last_of_trunk = int(np.flatnonzero((trunk & (parts == TORSO)).any(1))[-1])
    like = _pixels_of(colour, colours, trunk, last_of_trunk)
    edge = mask[window] & ~ndimage.binary_erosion(mask[window], iterations=5)
    pieces, _ = ndimage.label(like)
    good = np.unique(pieces[edge & like])
    whole = np.zeros(mask.shape, np.float32)
    whole[window] = np.isin(pieces, good[good > 0])
    whole = ndimage.uniform_filter(whole, max(int(body.frame.pixels), 1))
    grid_row, grid_column = np.indices(nothing.shape)
    pixels = np.stack([grid_row, grid_column]) * body.frame.pixels + np.array(body.frame.origin)[::-1, None, None]
    shown = ndimage.map_coordinates(whole, pixels, order=0) > 0.4
    # The outline's own cells belong to it where their inner neighbours do.
    rim = body.figure & (ndimage.distance_transform_edt(body.figure) < 3)
    shown |= ndimage.binary_dilation(shown, iterations=2) & rim
    # Rows that could not be told apart lie between rows that could.
    reach = max(round(0.05 * body.height), 1)
    padded = np.pad(shown, ((reach, reach), (0, 0)), mode="edge")
    shown |= ndimage.binary_closing(padded, np.ones((2 * reach + 1, 1)))[reach:-reach]
    shown &= body.figure & ~np.isin(body.parts, (*ARMS, HEAD))
    left = body.figure & ~shown
    shown &= ~ndimage.binary_fill_holes(left)  # a hole in the body would be a tunnel
    return (shown, colour) if shown.any() else (nothing, None)


def _bands(colours: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, dict[tuple[float, float], np.ndarray]]:
    """Rows, and for each band of the rows' width, taken from both sides, its median Lab colour there."""
    rows = np.array([r for r in np.flatnonzero(where.any(1)) if where[r].sum() >= 24], int)
    found = {band: np.zeros((len(rows), 3)) for band in (EDGES, BETWEEN, MIDDLE)}
    for k, r in enumerate(rows):
        line = np.flatnonzero(where[r])
        for band, out in found.items():
            near, far = (max(int(share * len(line)), 1) for share in band)
            values = np.sort(colours[r, np.concatenate([line[near:far], line[-far:-near]])], axis=0)
            # Their median, without the checks that take ten times as long as a row.
            out[k] = (values[(len(values) - 1) // 2] + values[len(values) // 2].astype(float)) / 2
    window = max(len(rows) // 20, 1) | 1
    return rows, {band: ndimage.median_filter(out, (window, 1), mode="nearest") for band, out in found.items()}


def _colour(colours: np.ndarray, trunk: np.ndarray, start: float) -> np.ndarray | None:
    """The colour that shows at both edges of trunk and legs below the row `start`, and not between, or None."""
    rows, bands = _bands(colours, trunk)
    if len(rows) < 20:
        return None
    low = (rows > start) & (rows < start + 0.75 * (rows[-1] - start))
    if low.sum() < 8:
        return None
    lab = {band: rgb2lab(values[None] / 255.0)[0] for band, values in bands.items()}
    edges = lab[EDGES]
    near = np.linalg.norm((edges[low][:, None] - edges[low][None]) * [0.5, 1, 1], axis=-1) < EVEN
    common = edges[low][near.sum(1).argmax()]
    even = (np.hypot(*(edges - common)[:, 1:].T) < EVEN) & (np.abs(edges[:, 0] - common[0]) < 30)
    apart = np.min([np.linalg.norm((lab[b] - edges) * [0.7, 1, 1], axis=1) for b in (BETWEEN, MIDDLE)], axis=0) > APART
    if (even & low).sum() < SHOWS * low.sum() or (apart & even & low).sum() < STANDS_OUT * low.sum():
        return None
    return np.asarray(np.median(bands[EDGES][low & even], axis=0))


def _pixels_of(colour: np.ndarray, colours: np.ndarray, trunk: np.ndarray, last_of_trunk: int) -> np.ndarray:
    """(H, W) bool: pixels of that colour which are no garment."""
    lab = rgb2lab(colours / 255.0) - rgb2lab(colour[None, None] / 255.0)[0, 0]
    like = (np.hypot(lab[..., 1], lab[..., 2]) < 17) & (np.abs(lab[..., 0]) < 30) & trunk
    for r in range(last_of_trunk):
        line = np.flatnonzero(trunk[r])
        if not len(line):
            continue
        for side in (line, line[::-1]):
            other = np.flatnonzero(~like[r, side[3:]])
            if (other[0] if len(other) else len(line)) > GARMENT * len(line):
                like[r] = False
        like[r, int(line[0] + OUTER * len(line)) : int(line[0] + (1 - OUTER) * len(line)) + 1] = False
    return ndimage.binary_opening(ndimage.binary_closing(like, iterations=3), iterations=2)


def build_cape(body: Body, halves: Halves, shown: np.ndarray, colour: np.ndarray) -> Cape:
    """The sheet from the shoulders down to where the picture shows its end, behind all that the body's back reaches."""
    height, y = body.height, body.rows
    thick = max(1.3, 0.009 * height)
    region, left, right = _region(body, shown)
    behind = np.where(region & ~shown, halves.back, 0)
    behind[int(body.ankle - 0.02 * height) :] = 0
    reach = np.maximum.accumulate(np.where(y >= body.shoulder - 0.01 * height, behind.max(1), 0))
    reach = ndimage.maximum_filter1d(reach, max(int(0.02 * height), 1) | 1)
    back = -(ndimage.gaussian_filter1d(reach, 0.02 * height) + 1.3 * thick)
    back = back - 0.015 * height * smooth(y, body.hips, body.ground)
    half = np.maximum((right - left) / 2, 1)
    beside = np.clip(np.abs(body.columns[None] - ((left + right) / 2)[:, None]) / half[:, None], 0, 1.2)
    centre = back[:, None] + 0.16 * np.abs(back)[:, None] * beside**2.5
    return Cape(region, shown, centre, thick, colour)


def _region(body: Body, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the sheet hangs, and its left and right edge per row: as wide on both sides as it shows on either."""
    rows = np.flatnonzero(shown.any(1))
    start, first, last = int(body.shoulder - 0.005 * body.height), int(rows[0]), int(rows[-1])
    axis = float(body.joints["hips"][0])
    reach = np.full(len(body.rows), np.nan)
    for r in rows:
        line = np.flatnonzero(shown[r])
        reach[r] = max(axis - line[0], line[-1] - axis)
    reach = filled(reach, 1.5)
    left, right = axis - reach, axis + reach
    share = np.clip((body.rows - start) / max(first - start, 1), 0, 1)
    top = 0.8 * body.half_shoulder
    left = np.where(body.rows < first, (body.neck[0] - top) * (1 - share) + left[first] * share, left)
    right = np.where(body.rows < first, (body.neck[0] + top) * (1 - share) + right[first] * share, right)
    columns, y = body.columns[None], body.rows[:, None]
    region = (columns >= left[:, None]) & (columns <= right[:, None]) & (y >= start) & (y <= last) & body.figure
    pieces, count = ndimage.label(region)
    if count > 1:
        region = pieces == np.bincount(pieces[pieces > 0]).argmax()
    return region, left, right
