# SPDX-License-Identifier: GPL-3.0-or-later
"""Axis, legs and neck of a standing figure's silhouette (shared reference, preview engine 3.2).

All positions are pixels (x right, y down) of a mask of about 400 rows; `height` is the silhouette's own height there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

CROSS = ndimage.generate_binary_structure(2, 1)


def runs(row: np.ndarray) -> list[tuple[int, int]]:
    """The True stretches of a boolean row as half-open (start, stop) pairs."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.view(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def run_at(row: np.ndarray, x: float, reach: float = 0.0) -> tuple[int, int] | None:
    """The run that holds x, or the nearest one not further than `reach`."""
    best, best_gap = None, reach + 1e-9
    for a, b in runs(row):
        gap = max(a - x, x - b, 0.0)
        if gap < best_gap or (gap == 0.0 and best is None):
            best, best_gap = (a, b), gap
    return best


def symmetry_axis(distance: np.ndarray) -> tuple[float, float]:
    """(x, overlap 0..1) of the vertical mirror axis that maximises the mirrored overlap of the squared distance
    transform.
    """
    weight = distance.astype(np.float64) ** 2
    step = max(1, weight.shape[0] // 128)
    rows, columns = (size // step * step for size in weight.shape)
    small = weight[:rows, :columns].reshape(rows // step, step, columns // step, step).mean(axis=(1, 3))
    width, total = small.shape[1], small.sum()
    padded = np.pad(small, ((0, 0), (width, width)))
    mean = float((small.sum(axis=0) * np.arange(width)).sum() / total)
    sums = np.arange(int(2 * mean - 0.5 * width), int(2 * mean + 0.5 * width) + 1)
    sums = sums[(sums >= 0) & (sums <= 2 * width - 2)]
    mirrored = padded[:, ::-1]
    # Mirroring at s/2 takes column x to s - x; in the padded array that is a shift of the reversed one.
    scores = (
        np.array([np.minimum(small, mirrored[:, 2 * width - 1 - s : 3 * width - 1 - s]).sum() for s in sums]) / total
    )
    best = int(np.argmax(scores))
    offset = 0.0
    if 0 < best < len(sums) - 1:
        left, centre, right = scores[best - 1 : best + 2]
        curve = left - 2 * centre + right
        offset = 0.5 * (left - right) / curve if curve < -1e-12 else 0.0
    return float(((sums[best] + offset) / 2 + 0.5) * step - 0.5), float(scores[best])


@dataclass
class Legs:
    """crotch: row of the split between the legs, or None. feet, ankles...: side -> x at a row, from `line`."""

    crotch: float | None
    lines: dict[str, np.ndarray]  # "left"/"right" -> (2,) polynomial x = a + b * y, left is the character's
    soles: dict[str, float]
    split: float  # length of the split over the figure's height


def find_legs(mask: np.ndarray, axis: float, height: float, top: int) -> Legs:
    """The legs by the background between them; where there is none, by the halves of the lowest rows."""
    bottom = top + height
    pocket = _between_legs(mask, axis, height, bottom)
    if pocket is None:
        return _closed_legs(mask, axis, height, bottom)
    crotch, middle = pocket
    lines, soles = {}, {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        points = _track_leg(mask, middle, sign, bottom)
        if len(points) < 3:
            return _closed_legs(mask, axis, height, bottom)
        ys, xs = points[:, 1], points[:, 0]
        soles[side] = float(ys.max()) + 1.0
        # Feet point outwards or sideways: the line is that of the leg above the ankle where enough of it is seen.
        upper = ys < ys.max() - 0.06 * height
        use = upper if upper.sum() >= 0.04 * height else np.ones(len(ys), bool)
        # A short leg's direction is mostly that of its boot.
        long = use.sum() > 0.15 * height
        slope = float(np.clip(np.polyfit(ys[use], xs[use], 1)[0], -0.35, 0.35)) if long else 0.0
        lines[side] = np.array([float(np.median(xs[use] - slope * ys[use])), slope])
    return Legs(crotch, lines, soles, (bottom - crotch) / height)


def _between_legs(mask: np.ndarray, axis: float, height: float, bottom: float) -> tuple[float, np.ndarray] | None:
    """(crotch row, x of the middle of the gap per row or NaN)."""
    filled_left = np.cumsum(mask, axis=1) > 0
    filled_right = np.cumsum(mask[:, ::-1], axis=1)[:, ::-1] > 0
    between = ~mask & filled_left & filled_right
    between[: int(bottom - 0.72 * height)] = False
    labels, count = ndimage.label(between, CROSS)
    best: tuple[float, np.ndarray] | None = None
    for index in range(1, count + 1):
        rows, columns = np.nonzero(labels == index)
        if rows.max() < bottom - 0.28 * height or len(rows) < 4:
            continue
        central = np.abs(columns - axis) < 0.06 * height
        if not central.any():
            continue
        low = rows >= min(bottom - 0.2 * height, rows.max())
        if abs(float(np.median(columns[low])) - axis) > 0.09 * height:
            continue  # under an arm
        top_row = float(rows[central].min())
        if np.abs(columns[rows == rows.min()].mean() - axis) > 0.12 * height and rows.min() < top_row - 0.1 * height:
            continue  # a gap between arm and body that runs under the body
        middle = np.full(mask.shape[0], np.nan)
        sums = np.bincount(rows, columns, minlength=mask.shape[0])
        counts = np.bincount(rows, minlength=mask.shape[0])
        middle[counts > 0] = sums[counts > 0] / counts[counts > 0]
        if bottom - top_row >= 0.025 * height and (best is None or top_row < best[0]):
            best = (top_row, middle)
    return best


def _track_leg(mask: np.ndarray, middle: np.ndarray, sign: float, bottom: float) -> np.ndarray:
    """(N, 2) middles of the run beside the gap, row by row, as long as the gap is there."""
    points: list[tuple[float, float]] = []
    for y in np.flatnonzero(~np.isnan(middle)).tolist():
        beside = [run for run in runs(mask[y]) if ((run[0] + run[1]) / 2 - middle[y]) * sign > 0]
        if not beside:
            continue
        a, b = min(beside, key=lambda run: abs((run[0] if sign > 0 else run[1]) - middle[y]))
        points.append(((a + b - 1) / 2, float(y)))
    # Below the gap (soles that touch each other) the figure is split at the gap's last middle.
    last = int(np.flatnonzero(~np.isnan(middle))[-1])
    for y in range(last + 1, min(int(bottom), mask.shape[0])):
        columns = np.flatnonzero(mask[y])
        columns = columns[(columns - middle[last]) * sign > 0]
        if len(columns):
            points.append((float(columns.mean()), float(y)))
    return np.array(points).reshape(-1, 2)


def _closed_legs(mask: np.ndarray, axis: float, height: float, bottom: float) -> Legs:
    rows = range(int(bottom - 0.12 * height), int(bottom) - 1)
    found = [run for run in (run_at(mask[y], axis, 0.1 * height) for y in rows) if run is not None]
    half = np.median([(b - a) / 2 for a, b in found]) if found else 0.08 * height
    spread = float(np.clip(0.5 * half, 0.035 * height, 0.085 * height))
    lines = {"left": np.array([axis + spread, 0.0]), "right": np.array([axis - spread, 0.0])}
    return Legs(None, lines, {"left": bottom, "right": bottom}, 0.0)


@dataclass
class Neck:
    """y: row of the neck; x: middle there; ratio: its width over that of the head (1 = no neck to be seen)."""

    x: float
    y: float
    ratio: float
    head_x: float
    head_width: float


def find_neck(mask: np.ndarray, axis: float, top: int, height: float, shoulder_top: float | None) -> Neck:
    """The narrowest central row between the widest row of the head and the shoulders.

    `shoulder_top` is the row where the arms' upper outline meets the body; where it is not known, the neck is the row
    that is narrowest compared with the widest rows above and below it.
    """
    last = int(0.66 * height)
    widths, middles = _central_widths(mask, axis, top, last, 0.04 * height)
    start = int(0.05 * height)
    if shoulder_top is None:
        above = np.maximum.accumulate(widths)
        below = np.maximum.accumulate(widths[::-1])[::-1]
        first = int(0.1 * height)
        row = first + int(np.argmin(widths[first:-3] / np.maximum(np.minimum(above, below)[first:-3], 1.0)))
        head_row = start + int(np.argmax(widths[start : row + 1]))
    else:
        end = int(np.clip(shoulder_top - top + 0.01 * height, start + 4, last))
        head_row = start + int(np.argmax(widths[start:end]))
        # Where the shoulders are already wider than the head at `end`, the widest row is not the head: look higher up.
        if head_row > 0.8 * end:
            head_row = start + int(np.argmax(widths[start : max(int(0.75 * end), start + 1)]))
        neck = widths[head_row:end]
        # The lower end of a constant stretch: collars and beards taper above the neck.
        row = head_row + int(np.flatnonzero(neck <= neck.min() * 1.03 + 0.5)[-1])
        if widths[row] > 0.9 * widths[head_row]:
            head_row, row = _clear_valley(widths, start, end) or (head_row, row)
    head = middles[max(head_row - 3, 0) : head_row + 4].mean()
    width = max(float(widths[head_row]), 1.0)
    return Neck(float(middles[row]), float(top + row), float(widths[row] / width), float(head), width)


def _clear_valley(widths: np.ndarray, start: int, end: int) -> tuple[int, int] | None:
    """(head row, neck row) of a place well narrower than something above and below it, among rows `start` to `end`:
    broad shoulders may reach higher than the arms' upper outline.
    """
    above = np.maximum.accumulate(widths[start:end])
    below = np.maximum.accumulate(widths[start:end][::-1])[::-1]
    depth = widths[start:end] / np.maximum(np.minimum(above, below), 1.0)
    if depth.min() > 0.8:
        return None
    row = start + int(np.flatnonzero(depth <= depth.min() * 1.03)[-1])
    return start + int(np.argmax(widths[start : row + 1])), row


def _central_widths(mask: np.ndarray, axis: float, top: int, count: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """(width, middle) of the run at the axis for `count` rows from `top`."""
    widths, middles = np.zeros(count), np.full(count, axis)
    for index in range(count):
        run = run_at(mask[top + index], axis, reach)
        if run is not None:
            widths[index] = run[1] - run[0]
            middles[index] = (run[0] + run[1] - 1) / 2
    return ndimage.uniform_filter1d(widths, 3), middles
