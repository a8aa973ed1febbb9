# SPDX-License-Identifier: GPL-3.0-or-later
"""How deep trunk, legs and feet are, row by row, from how wide they are.

The ratios of depth to width and the middle line were measured on scanned and modelled bodies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .body import ARMS, HEAD, LEGS, Body, bell, filled, runs, section, smooth

# Depth over width of the trunk at shares of the way from shoulder to hips; a chibi's is rounder by CHIBI_ROUNDER.
TRUNK_SHARES, TRUNK_RATIOS, CHIBI_ROUNDER = (0.2, 0.45, 0.65, 1.0), (0.74, 0.81, 0.83, 0.74), 0.24
TRUNK_EXPONENT, LEG_EXPONENT, SOLE_EXPONENT = 2.3, 2.2, 3.0
LEG_RATIO = 1.06  # depth over width
TOE = 0.72  # of the foot's length lies before the ankle
FLARE = 0.45  # of what hips or a coat are wider than the chest counts for the depth
ALONG = 0.011  # of the height: trunk and legs run into each other


@dataclass
class Halves:
    """(R, C) depths in cells of the front surface (z) and of the back surface (-z); both 0 where nothing is."""

    front: np.ndarray
    back: np.ndarray


@dataclass
class Trunk:
    """Per row of the grid. half, middle: of the run through the axis; depth: half of the section; curve: z of the
    middle line. last: row where it ends in two legs. hem: 0..1, whether it ends in one.
    """

    half: np.ndarray
    middle: np.ndarray
    depth: np.ndarray
    curve: np.ndarray
    ratio: np.ndarray
    chest: float
    last: int
    hem: float


def build_trunk(body: Body, cape: np.ndarray) -> tuple[Trunk, Halves]:
    """Trunk, legs and feet without the cells of `cape`."""
    trunk = _measure(body, cape)
    halves = _trunk_halves(body, trunk)
    for side, label in zip(("left", "right"), LEGS, strict=True):
        _add_leg(body, trunk, halves, cape, side, label)
    return trunk, _run_together(body, halves)


def _widths(body: Body, cape: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Half width and middle of the run through the axis per row, NaN where unknown, and the row of the crotch."""
    free = body.figure & ~cape & ~np.isin(body.parts, ARMS)
    rows, hips = body.inside.shape[0], body.joints["hips"]
    half, middle = np.full(rows, np.nan), np.full(rows, np.nan)
    for r in range(_first(body), rows):
        line = free[r] & (body.parts[r] != HEAD) if r < body.shoulder else free[r]
        axis = np.interp(r, [body.shoulder, hips[1], body.ground], [body.neck[0], hips[0], hips[0]])
        here = [run for run in runs(line) if run[0] - 1 <= axis <= run[1] + 1]
        if here and (r <= hips[1] or here[0][1] - here[0][0] >= 0.35 * body.half_shoulder):
            half[r], middle[r] = (here[0][1] - here[0][0] + 1) / 2, (here[0][0] + here[0][1]) / 2
        elif r > hips[1] + 0.01 * body.height:
            return half, middle, r
    return half, middle, rows


def _first(body: Body) -> int:
    return max(int(min(body.neck[1], body.shoulder) - 0.02 * body.height), 0)


def _measure(body: Body, cape: np.ndarray) -> Trunk:
    height, hips, y = body.height, body.hips, body.rows
    half, middle, last = _widths(body, cape)
    if not np.isfinite(half).any():  # the markers of the trunk lie beside the figure
        half, middle = np.full_like(half, body.half_shoulder), np.full_like(middle, body.neck[0])
    known = np.isfinite(half)
    at_chest = known & (y > body.along_trunk(0.25)) & (y < body.along_trunk(0.6))
    chest = float(np.median(half[at_chest])) if at_chest.any() else body.half_shoulder
    held = known & (y > body.along_trunk(0.1)) & (y < hips)
    if cape.any() and held.any():  # a cape that hides the flanks does not make a wasp waist
        half = np.where(held, np.maximum(half, 0.88 * np.median(half[held])), half)
    wide = filled(half, 0.012 * height)
    share = (y - body.shoulder) / max(hips - body.shoulder, 1)
    ratio = np.interp(share, TRUNK_SHARES, TRUNK_RATIOS) + CHIBI_ROUNDER * body.chibi
    tempered = np.where(wide > chest, chest + FLARE * (wide - chest), wide)
    depth = ratio * np.where(share < 0.3, np.minimum(wide, chest), tempered)
    hem = _hem(body, half, cape, last)
    at_hips = half[max(int(hips - 0.03 * height), 0) : int(hips + 0.02 * height)]
    hip = float(np.nanmedian(at_hips)) if np.isfinite(at_hips).any() else chest
    skirt = np.clip((wide / max(hip, 0.9 * chest) - 1) / 0.25, 0, 1) * hem
    below = smooth(y, hips - 0.02 * height, hips + 0.06 * height)
    depth = depth * (1 - below) + below * wide * (0.70 * (1 - skirt) + (0.78 + 0.1 * body.chibi) * skirt)
    return Trunk(wide, filled(middle, 0.012 * height), depth, _middle_line(body), ratio, chest, last, hem)


def _hem(body: Body, half: np.ndarray, cape: np.ndarray, last: int) -> float:
    """0..1: a skirt or coat ends wider than the legs under it, or far below the hips; wide thighs do neither."""
    rows = len(half)
    if last >= rows - 2:
        return 0.0
    free = body.figure & ~cape & ~np.isin(body.parts, ARMS)
    spans = [
        np.ptp(np.flatnonzero(free[r])) + 1
        for r in range(last + 1, min(int(last + 0.02 * body.height) + 2, rows))
        if free[r].any()
    ]
    ends = half[max(int(last - 0.03 * body.height), 0) : last]
    wider = 0.0
    if spans and np.isfinite(ends).any():
        wider = float(np.clip((np.nanmax(ends) / max(np.median(spans) / 2, 1) - 1.03) / 0.10, 0, 1))
    return max(wider, float(np.clip(((last - body.hips) / body.height - 0.10) / 0.04, 0, 1)))


def _middle_line(body: Body) -> np.ndarray:
    """z of the body's middle per row: chest and hips a little forward of chin and calves."""
    rows = [
        body.chin,
        body.along_trunk(0.2),
        body.along_trunk(0.65),
        body.hips + 0.02 * body.height,
        body.knee,
        (body.knee + body.ankle) / 2,
        body.ankle,
    ]
    line = np.interp(body.rows, rows, [-0.004, 0.002, 0.012, 0.007, 0.002, -0.015, -0.015])
    return ndimage.gaussian_filter1d(line, 0.02 * body.height) * body.height * (1 - body.chibi)


def _trunk_halves(body: Body, trunk: Trunk) -> Halves:
    y, height, adult = body.rows, body.height, 1 - body.chibi
    chest = 1 + 0.06 * bell(y, body.along_trunk(0.33), 0.09 * height) * adult
    seat = 1 + 0.07 * bell(y, body.hips, 0.055 * height) * (1 - 0.6 * body.chibi)
    seat = seat - 0.06 * bell(y, body.hips - 0.11 * height, 0.05 * height) * adult
    shape = section(body.columns, trunk.middle, trunk.half, TRUNK_EXPONENT)
    shape[: _first(body)] = 0
    shape[trunk.last :] = 0
    there = shape > 0
    front = (trunk.depth * chest)[:, None] * shape + trunk.curve[:, None] * there
    back = (trunk.depth * seat)[:, None] * shape - trunk.curve[:, None] * there
    return Halves(front, back)


def _leg_widths(body: Body, cape: np.ndarray, side: str, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Half width and middle of the leg's run per row, NaN where there is none."""
    hip, knee, foot = (body.joints[f"{side}{name}"] for name in ("UpperLeg", "LowerLeg", "Foot"))
    rows = body.inside.shape[0]
    half, middle = np.full(rows, np.nan), np.full(rows, np.nan)
    leg = body.of(label) & ~cape
    for r in range(max(int(body.hips), 0), rows):
        x = np.interp(r, [hip[1], knee[1], foot[1], body.ground], [hip[0], knee[0], foot[0], foot[0]])
        here = runs(leg[r])
        if here:
            first, last = min(here, key=lambda run: max(run[0] - x, x - run[1], 0))
            half[r], middle[r] = (last - first + 1) / 2, (first + last) / 2
    return half, middle


def _add_leg(body: Body, trunk: Trunk, halves: Halves, cape: np.ndarray, side: str, label: int) -> None:
    half, middle = _leg_widths(body, cape, side, label)
    known = np.isfinite(half)
    if not known.any():
        return
    y, height = body.rows, body.height
    ankle = float(body.joints[f"{side}Foot"][1])
    wide, middle = filled(half, 0.008 * height), filled(middle, 0.008 * height)
    below = half[int(ankle) :]
    foot = float(np.nanmax(below)) if np.isfinite(below).any() else float(np.interp(ankle - 0.01 * height, y, wide))
    cap = 1.15 * trunk.chest * float(trunk.ratio[int(body.along_trunk(0.5))])
    depth = np.minimum(LEG_RATIO * wide, cap)
    # Trousers leave the trunk at its depth and come to their own over the thigh: else there is a ledge at the crotch.
    at_crotch = float(trunk.depth[min(trunk.last, len(y)) - 1])
    own = smooth(y, trunk.last - 0.01 * height, trunk.last + (0.14 - 0.06 * body.chibi) * height)
    depth = depth + (1 - trunk.hem) * np.clip(0.94 * at_crotch - depth, 0, None) * (1 - own)
    front, back, down = _foot(body, trunk, depth, ankle, foot)
    exponent = LEG_EXPONENT + (SOLE_EXPONENT - LEG_EXPONENT) * np.clip(2 * down, 0, 1)
    shape = section(body.columns, middle, wide, exponent[:, None]) * (body.parts == label) * known[:, None]
    there, curve = shape > 0, trunk.curve[:, None]
    front, back = (front[:, None] - curve) * shape + curve, (back[:, None] + curve) * shape - curve
    free = (y >= trunk.last - 1)[:, None]
    fade = smooth(y, body.hips - 0.02 * height, body.hips + 0.06 * height)[:, None]
    halves.front = np.where(there, np.where(free, front, np.maximum(halves.front, front * fade)), halves.front)
    halves.back = np.where(there, np.where(free, back, np.maximum(halves.back, back * fade)), halves.back)


def _foot(
    body: Body, trunk: Trunk, depth: np.ndarray, ankle: float, foot: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Front and back of the leg per row, down to toe and heel, and how far down the foot a row is (0 ankle, 1 sole).

    foot: its half width. A foot is about a sixth of the height long, but in keeping with its width.
    """
    y, height = body.rows, body.height
    share = 0.17 - 0.03 * body.chibi
    length = float(np.clip(max(share * height, 3.3 * foot), 3.0 * foot, 5.8 * foot))
    start = ankle - 0.012 * height
    down = (y - start) / max(body.ground - start, 1)
    middle = -0.016 * height * (1 - body.chibi)
    at_ankle = float(np.interp(ankle - 0.015 * height, y, depth))
    toe, heel = smooth(down, 0.05, 0.8), smooth(down, 0.05, 0.6)
    front = np.where(down < 0, depth + trunk.curve, (at_ankle + middle) * (1 - toe) + (TOE * length + middle) * toe)
    back = np.where(
        down < 0, depth - trunk.curve, (at_ankle - middle) * (1 - heel) + ((1 - TOE) * length - middle) * heel
    )
    return front, back, down


def _run_together(body: Body, halves: Halves) -> Halves:
    """Smoothed along the rows, but not the feet."""
    whole = (body.figure & ~np.isin(body.parts, ARMS)).astype(float)
    weight = np.maximum(ndimage.gaussian_filter1d(whole, ALONG * body.height, axis=0), 1e-3)
    keep = smooth(body.rows, body.ankle - 0.03 * body.height, body.ankle - 0.005 * body.height)[:, None]

    def along(depth: np.ndarray) -> np.ndarray:
        calm = ndimage.gaussian_filter1d(depth * whole, ALONG * body.height, axis=0) / weight
        return (calm * (1 - keep) + depth * keep) * whole

    return Halves(along(halves.front), along(halves.back))
