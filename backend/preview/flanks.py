# SPDX-License-Identifier: GPL-3.0-or-later
"""What a part shows beside and behind what the picture shows: the colours of its flanks, row by row."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.color import rgb2lab

LIMB_BANDS, TRUNK_BANDS = ((0.04, 0.24), (0.76, 0.96)), ((0.06, 0.36), (0.64, 0.94))
LIMB_CALM, TRUNK_CALM = 0.022, 0.030  # of the height: keeps stripes and belts, drops badges and creases
SAMPLES = 24  # of each row of a flank
# A border between two stretches of rows costs as much as BORDER times that many rows whose colours differ by what the
# rows themselves are uneven, but for EVEN (Lab): a belt of one colour is kept, the plates of an armour are not.
BORDER, EVEN = 8.0, 3.0
MOST_PIECES = 160  # that rows are grouped into before borders are looked for
# Half widths of a part: where the picture's edge is left out, and how far in lies what is shown at 90 degrees; degrees
# around that where its side is.
EDGE, FOLD, FOLDED = 0.93, 0.4, 30.0
SPINE = 0.1  # half widths on either side of the middle of the back in which left and right run into each other
UNEVEN = 4.0, 9.0  # Lab: from which unevenness of its rows on a part shows a pattern, and is surely one


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


def unevenness(colours: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """(N,) how far (Lab, median) the colours (N, K, 3) of each row are from its own (N, 3): a tie on plain cloth does
    not count.
    """
    return np.asarray(np.median(np.linalg.norm(to_lab(colours) - to_lab(middle)[:, None], axis=-1), axis=1))


def stretches(colours: np.ndarray, uneven: np.ndarray, window: float) -> np.ndarray:
    """(N,) number of the stretch of rows that each of (N, 3) belongs to, counted from above. A new one begins where the
    colour changes by more than that of rows as uneven as these does by chance: least squares with a price for each
    border. window: rows that are calmed.
    """
    count = len(colours)
    step = max(int(window) // 4, -(-count // MOST_PIECES), 1)
    start = np.arange(0, count, step)
    size = np.diff(np.append(start, count)).astype(float)
    lab = np.add.reduceat(to_lab(colours), start, axis=0)
    spread = ndimage.uniform_filter1d(uneven, max(int(2 * window), 1), mode="nearest")[start]
    price = BORDER * window * (EVEN**2 + spread**2)
    total, rows = np.vstack([np.zeros(3), lab.cumsum(0)]), np.append(0.0, size.cumsum())
    best, first = np.full(len(start) + 1, np.inf), np.zeros(len(start) + 1, int)
    best[0] = -price[0]
    for end in range(1, len(start) + 1):
        here = best[:end] + price[:end] - ((total[end] - total[:end]) ** 2).sum(1) / (rows[end] - rows[:end])
        first[end] = here.argmin()
        best[end] = here[first[end]]
    number, end = np.zeros(count, int), len(start)
    while end:
        number[start[first[end]] :] += first[end] > 0
        end = first[end]
    return number


def calmed(colours: np.ndarray, uneven: np.ndarray, known: np.ndarray, window: float) -> np.ndarray | None:
    """As `ramp`, but what the rows of a pattern show by chance makes no bands: within a stretch, uneven rows take its
    colour. uneven: (N,) see `unevenness`.
    """
    calm = ramp(colours, known, window)
    if calm is None:
        return None
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)[0]
    uneven = uneven[nearest]
    number = stretches(calm, uneven, window)
    out = calm.copy()
    share = pattern(uneven, window)[:, None]
    for k in range(number[-1] + 1):
        here = number == k
        out[here] = calm[here] * (1 - share[here]) + np.median(calm[here], axis=0) * share[here]
    return np.asarray(ndimage.uniform_filter1d(out, 3, axis=0, mode="nearest"))


def pattern(uneven: np.ndarray, window: float) -> np.ndarray:
    """(N,) 0..1: how much of a pattern rows of that unevenness show."""
    around = ndimage.uniform_filter1d(uneven, max(int(3 * window), 1), mode="nearest")
    return np.asarray(np.clip((around - UNEVEN[0]) / (UNEVEN[1] - UNEVEN[0]), 0, 1))


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
        sides = side[order]
        inner = np.minimum(cut[:-1, None] + (np.diff(cut)[:, None] * [0.02, 0.98]).astype(int), len(sides) - 1)
        ends = [ramp(sides[inner[:, k], None], known, calm) for k in (0, 1)]
        self.ends = [sides[[0, -1][k]] + np.zeros(count) if end is None else end[:, 0] for k, end in enumerate(ends)]
        self.sides, self.patterned = [], []
        for band in bands:
            at = cut[:-1, None] + (np.diff(cut)[:, None] * np.linspace(*band, SAMPLES)).astype(int)
            line = sorted_colours[np.minimum(at, len(sorted_colours) - 1)]
            found = np.median(line, axis=1).astype(np.float32)
            uneven = unevenness(line, found)
            shown = calmed(found, uneven, known, calm)
            self.sides.append(shown if shown is not None else np.broadcast_to(colours[where].mean(0), (count, 3)))
            self.patterned.append(pattern(np.where(known, uneven, 0.0), calm))

    def colour(self, pixels: np.ndarray, side: np.ndarray) -> np.ndarray:
        """(N, 3) at (N, 2) pixels; side: (N,) 0 for the flank towards -across, 1 for the other."""
        rows = pixels @ self.axis - self.start
        low, high = (at_rows(values, rows) for values in self.sides)
        return low * (1 - side[:, None]) + high * side[:, None]

    def pattern_at(self, pixels: np.ndarray, side: np.ndarray) -> np.ndarray:
        """(N,) 0..1: how much of a pattern the flank shows there."""
        rows = pixels @ self.axis - self.start
        low, high = (at_rows(values, rows) for values in self.patterned)
        return low * (1 - side) + high * side

    def turned(self, colours: np.ndarray, pixels: np.ndarray, azimuth: np.ndarray, inner: float) -> np.ndarray:
        """(N, 3): how the pattern of the picture (H, W, 3) goes on there. Beside the part lies its edge and what is
        next to it, mirrored; behind it what is in front, but its middle is covered by what is beside that, so that no
        buttons and no opening of a coat show there. azimuth: (N,) degrees between normal and viewer; inner: half of
        that middle, of the part's half width.
        """
        along, side = pixels @ self.axis, pixels @ self.across
        low, high = (at_rows(values, along - self.start) for values in self.ends)
        middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1.0)
        share = (side - middle) / half
        at = np.minimum(np.abs(share), EDGE) - FOLD * np.clip(1 - np.abs(azimuth - 90) / FOLDED, 0, 1)
        at = half * (inner + np.abs(at - inner))
        first, other = (
            sampled(colours, along[:, None] * self.axis + (middle + sign * at)[:, None] * self.across)
            for sign in (1, -1)
        )
        own = np.clip(0.5 + 0.5 * share / SPINE, 0, 1)[:, None]
        return first * own + other * (1 - own)


def sampled(colours: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(N, 3) of (H, W, 3) float32 at (N, 2) pixels (x, y), bilinear, held beyond the border."""
    height, width = colours.shape[:2]
    x, y = np.clip(pixels[:, 0], 0, width - 1.001), np.clip(pixels[:, 1], 0, height - 1.001)
    column, row = x.astype(int), y.astype(int)
    right, below = (x - column)[:, None], (y - row)[:, None]
    upper = colours[row, column] * (1 - right) + colours[row, column + 1] * right
    lower = colours[row + 1, column] * (1 - right) + colours[row + 1, column + 1] * right
    return np.asarray(upper * (1 - below) + lower * below)
