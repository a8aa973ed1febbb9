# SPDX-License-Identifier: GPL-3.0-or-later
"""How deep head and neck are: a skull with the profile of a face, a chin that overhangs, a nape, hair that hangs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import HEAD, Body, bell, filled, runs, section, smooth
from .trunk import Halves

FRONT_EXPONENT, BACK_EXPONENT = 2.5, 2.1  # a face is flatter than the back of a head
BUNCH = 0.45  # thickest bunch of hair, half widths of the skull
BRIM = 1.18  # half widths of the skull
BELOW_ALL = -1e3  # where there is no hair below the jaw


@dataclass
class Head:
    """half: width of the skull; depth: from its middle to the face; centre: z of its middle; neck: its half width;
    hang: 0..1, how much of the width beside the chin is hair. widths, middle: of its rows; brim: the row below a
    hat's brim, None without one. Cells.
    """

    half: float
    depth: float
    centre: float
    neck: float
    hang: float
    widths: np.ndarray
    middle: np.ndarray
    brim: int | None


def measure_head(body: Body, cape: np.ndarray) -> Head:
    mask = body.of(HEAD) & ~cape
    rows = body.inside.shape[0]
    half, middle = np.full(rows, np.nan), np.full(rows, np.nan)
    for r in np.flatnonzero(mask.any(1)):
        # Bunches of hair beside the head are not of its width; two ears on top of it are.
        found = runs(mask[r])
        first, last = next((run for run in found if run[0] <= body.axis <= run[1]), (found[0][0], found[-1][1]))
        half[r], middle[r] = (last - first + 1) / 2, (first + last) / 2
    y, adult = body.rows, 1 - body.chibi
    band = (y > body.top + 0.3 * body.head) & (y < body.chin - 0.08 * body.head) & np.isfinite(half)
    skull = float(np.median(half[band])) if band.any() else 0.4 * body.head
    skull = min(skull, 0.71 * body.head)
    widths = filled(half, 0.006 * body.height)
    hang = float(np.clip((np.interp(body.chin, y, widths) / skull - 0.60) / 0.3, 0, 1))
    depth = skull * (1.28 - 0.30 * body.chibi - 0.20 * hang * adult)
    throat = half[int(body.chin) : int(min(body.shoulder, rows - 1))]
    neck = float(np.nanmin(throat)) if np.isfinite(throat).any() else 0.5 * skull
    neck = min(neck, (0.74 - 0.26 * body.chibi - 0.2 * hang) * skull)  # hair beside it is no neck
    centre = 0.007 * body.height * adult + 0.02 * depth
    brim = _brim(body, half, skull)
    return Head(skull, depth, centre, neck, hang, widths, filled(middle, 0.01 * body.height), brim)


def _brim(body: Body, half: np.ndarray, skull: float) -> int | None:
    """The first row below a brim: above the chin, much wider than the head under it, and ending within a few rows."""
    last = int(body.face.eyes[1] + 0.3 * body.face.gap if body.face else body.top + 0.7 * body.head)
    reach = max(int(0.05 * body.head), 2)
    outside = body.of(HEAD) & (np.abs(body.columns - body.axis) > BRIM * skull)[None]
    for r in range(int(body.top + 0.2 * body.head), last):
        below = half[r + reach]
        if half[r] > BRIM * skull and below < 0.86 * half[r]:
            if outside[r + reach : int(body.chin)].any():  # bunches of hair hang on down
                return None
            drop = np.diff(half[r : r + reach + 1])
            return r + int(drop.argmin()) + 1
    return None


def add_head(body: Body, head: Head, halves: Halves, cape: np.ndarray, tube: np.ndarray) -> Halves:
    """The halves with the head in place of what was there, and the neck run into the shoulders. tube: (R, C)
    thickness that makes the outline round, for hair that stands off.
    """
    front, back = _skull(body, head)
    front = front + _features(body, head)
    off = smooth(np.abs(body.columns - body.axis), head.half, 1.15 * head.half)[None]
    bunch = np.minimum(tube, BUNCH * head.half) * off * (head.brim is None)
    front, back = np.maximum(front, bunch), np.maximum(back, bunch)
    mask = body.of(HEAD) & ~cape
    rest = body.figure & (body.parts != HEAD)
    front = np.where(rest, halves.front, np.where(mask, front + head.centre, 0))
    back = np.where(rest, halves.back, np.where(mask, back - head.centre, 0))
    rows = (body.rows >= int(body.chin)) & (body.rows < int(body.shoulder + 0.04 * body.height))
    shape = _neck_section(body, head)[None] * (rest & rows[:, None])
    there, centre = shape > 0, _neck_centre(body)
    front = np.where(there, np.maximum(front, shape * 0.98 * head.neck + centre), front)
    back = np.where(there, np.maximum(back, shape * 0.98 * head.neck - centre), back)
    return Halves(front, back)


def _neck_section(body: Body, head: Head) -> np.ndarray:
    u = np.abs(body.columns - body.neck[0]) / (head.neck + 0.5)
    return np.sqrt(1 - np.clip(u, 0, 1) ** 2)


def _neck_centre(body: Body) -> float:
    return -0.006 * body.height * (1 - body.chibi)


def _profiles(body: Body, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """Depth in front of and behind the head's middle per row, in cells."""
    y = body.rows
    share = np.clip((y - body.top) / max(body.head, 1), 0, 1.6)
    over = np.clip(1 - share / 0.46, 0, 1)
    crown = np.minimum(np.clip(head.widths / head.half, 0, 1), np.sqrt(1 - over**2.3))
    own = smooth(share, 0.40, 0.65)  # from here on the face has its own profile, whatever the outline does
    front = (1 - own) * crown + own * (1 - 0.10 * smooth(share, 0.7, 1.0))
    nape = 0.52 + 0.12 * body.chibi
    behind = 1 - (1 - nape) * (1 - head.hang) * smooth(share, 0.55, 1.0) - 0.08 * head.hang * smooth(share, 0.7, 1.1)
    back = (1 - own) * crown + own * behind
    # A brim is wider than a skull, and half as much deeper; hair that stands off is not.
    deeper = 0.5 if head.brim is not None else 0.2
    wide = deeper * np.maximum(head.widths - 1.05 * head.half, 0)
    wide = wide * smooth(body.chin - 0.1 * body.head - y, 0, 0.15 * body.head)
    return 0.97 * head.depth * front + wide, 1.03 * head.depth * back + wide


def _skull(body: Body, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """(R, C) front and back depth from the head's middle; below the jaw only the neck, and hair where it hangs."""
    columns = body.columns
    to_front, to_back = _profiles(body, head)
    front = section(columns, head.middle, head.widths, FRONT_EXPONENT) * to_front[:, None]
    back = section(columns, head.middle, head.widths, BACK_EXPONENT) * to_back[:, None]
    beside = np.clip(np.abs(columns - body.axis) / (0.86 * head.half), 0, 1)
    jaw = body.chin - 0.34 * body.head * beside**2.6
    face = smooth(jaw[None] - body.rows[:, None], -1.0, 1.0)
    centre, throat = _neck_centre(body) - head.centre, _neck_section(body, head)
    neck = 0.98 * head.neck * throat
    hairy = np.clip((head.widths / max(head.neck, 1) - 1.15) / 0.3, 0, 1)[:, None]
    apart = hairy * smooth(np.abs(columns - body.axis), 0.9 * head.neck, 1.25 * head.neck)[None]
    hair = np.where(hairy > 0, 0.45 * front * apart + BELOW_ALL * (1 - apart), BELOW_ALL)
    below_front = np.maximum(np.where(throat > 0, neck + centre, -head.centre)[None], hair)
    below_front = np.maximum(below_front, -head.centre)
    below_back = hairy * back + (1 - hairy) * (0.98 * neck - centre)[None]
    return face * front + (1 - face) * below_front, face * back + (1 - face) * below_back


def _features(body: Body, head: Head) -> np.ndarray:
    """(R, C): nose, bridge, sockets, lips and chin, added to the front."""
    if body.face is None:
        return np.zeros(body.inside.shape)
    face, adult = body.face, 1 - body.chibi
    x, y = body.columns[None], body.rows[:, None]

    def bump(column: float, row: float, width: float, tall: float) -> np.ndarray:
        return bell(x, column, width * face.apart) * bell(y, row, tall * face.gap)

    middle, eyes, mouth = body.axis, face.eyes[1], face.mouth[1]
    relief = (0.05 + 0.09 * adult) * bump(middle, eyes + 0.62 * face.gap, 0.16, 0.22)
    relief = relief + 0.05 * adult * bump(middle, eyes + 0.3 * face.gap, 0.12, 0.35)
    for side in (-0.5, 0.5):
        relief = relief - (0.025 + 0.02 * adult) * bump(middle + side * face.apart, eyes, 0.3, 0.28)
    relief = relief + (0.02 + 0.03 * adult) * bump(middle, mouth + 0.02 * face.gap, 0.28, 0.16)
    return head.depth * (relief + (0.02 + 0.05 * adult) * bump(middle, body.chin - 0.14 * face.gap, 0.30, 0.20))
