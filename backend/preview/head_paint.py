# SPDX-License-Identifier: GPL-3.0-or-later
"""What a head shows beside and behind its face: hair, hat or bare skin, row by row and by azimuth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from .body import smooth
from .flanks import at_rows, calmed, close_to, commonest, lab_close_to, ramp, to_lab, unevenness
from .strokes import LUMINANCE

BALD = 7.0  # Lab between crown and cheek below which there is no hair
# Hair that the flank does not show begins at this azimuth at the brow, and so much later at the chin.
HAIRLINE, HAIRLINE_SLOPE = 92.0, 22.0
MIXTURE = 1.12  # way over a colour between two others, over the way between those
UNDER = 0.06  # part of what shows beside the face below a brim that is neither hat nor skin: then it is hair
STRAND = 6.0  # of 255
SKULL = 1.2  # half widths of the skull
# The crown begins where a row covers this share of so many half widths around the middle: ears and bows are no hair.
TOP, COVERS = 0.3, 0.8
CROWN = 0.7  # half widths around the middle that tell what goes around the head
SAMPLES = 32  # of a row
GLOSS = 8.0  # Lab: a row of the crown so much lighter than those around it is a highlight, not a colour
# What a reader of pictures says of a pixel of the head; 0 where it says nothing.
KINDS = FACE, HAIR, HEADGEAR = 1, 2, 3
TOLD = 0.6  # of the head above the brow: with less hair and headgear, the reader takes ears or a small hat for hair
SHOWN = 0.15  # of a row: less hair or headgear than that tells no colour
DRESSED, BARE = 0.5, 10.0  # of the flanks' hair, at least, is of another colour than the face; Lab between the two
HAT = 0.1  # of what lies above a brim: with less headgear it is hair that stands off


@dataclass
class HeadLines:
    """Pixels of the cut-out picture. height: crown to chin; half: of the skull's
    width; brim: row where a hat ends.
    """

    middle: float
    chin: float
    brow: float
    eyes: float
    height: float
    half: float
    brim: float | None = None


@dataclass
class HeadPaint:
    """Per row from `top` on: ring, what goes round above the brow; sides, hair of either flank (left of the picture
    first); covered, how much of each flank is hair; neck, what lies below the chin. nape: row where hair ends behind.
    """

    lines: HeadLines
    top: int
    skin: np.ndarray
    hair: np.ndarray
    bald: bool
    ring: np.ndarray
    sides: list[np.ndarray] = field(default_factory=list)
    covered: list[np.ndarray] = field(default_factory=list)
    nape: float = 0.0
    neck: np.ndarray = field(default_factory=lambda: np.zeros((1, 3), np.float32))
    strands: np.ndarray = field(default_factory=lambda: np.zeros(360, np.float32))

    def colour(self, pixels: np.ndarray, right: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
        """(N, 3) at (N, 2) pixels; right: (N,) 0..1, the picture's right flank; azimuth: degrees from the front."""
        lines, y = self.lines, pixels[:, 1]
        row = y - self.top
        down = np.clip((y - lines.brow) / max(lines.chin - lines.brow, 1), 0, 1)
        ring = at_rows(self.ring, row)
        weight = right[:, None]
        flank = at_rows(self.sides[0], row) * (1 - weight) + at_rows(self.sides[1], row) * weight
        covered = at_rows(self.covered[0], row) * (1 - right) + at_rows(self.covered[1], row) * right
        upper = smooth(lines.brow - y, -0.02 * lines.height, 0.02 * lines.height)
        behind = smooth(azimuth, 120, 165)[:, None]
        rounded = smooth(lines.brow - y, -0.14 * lines.height, 0.02 * lines.height)[:, None]
        hair = (ring * rounded + flank * (1 - rounded)) * (1 - behind) + ring * behind
        edge = HAIRLINE + HAIRLINE_SLOPE * down
        cover = np.maximum(smooth(covered, 0.35, 0.65), smooth(azimuth, edge - 5, edge + 5))
        cover = np.maximum(cover, upper)
        soft = 0.015 * lines.height
        cover = (cover * smooth(self.nape + 0.02 * lines.height - y, -soft, soft))[:, None]
        face = smooth(lines.chin - y, -0.02 * lines.height, 0.02 * lines.height)[:, None]
        bare = self.skin * face + at_rows(self.neck, row) * (1 - face)
        strand = np.interp(azimuth + 180 * (right > 0.5), np.arange(360), self.strands)[:, None]
        shade = 1 - 0.05 * down[:, None] * smooth(azimuth, 60, 120)[:, None]
        return (hair + strand) * shade * cover + bare * (1 - cover)


def read_head(colours: np.ndarray, where: np.ndarray, lines: HeadLines, kinds: np.ndarray | None = None) -> HeadPaint:
    """colours: (H, W, 3) float32 without the outline's line; where: (H, W) bool, the head, not empty; kinds: (H, W) of
    KINDS, where a reader has looked at it.
    """
    if lines.brim is None:  # ears and bunches beside the skull do not go around it
        skull = where & (np.abs(np.arange(where.shape[1]) - lines.middle) < SKULL * lines.half)
        where = skull if skull.any() else where
    rows = np.flatnonzero(where.any(1))
    columns = np.flatnonzero(where.any(0))
    lab = np.zeros(colours.shape, np.float32)
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    lab[window] = to_lab(colours[window])
    skin, hair = _skin(colours, lines), None
    upper = where.copy()
    upper[max(int(lines.brow), int(rows[0]) + 1) :] = False
    if kinds is not None and np.isin(kinds[upper], (HAIR, HEADGEAR)).mean() < TOLD:
        kinds = None
    hatless = kinds is not None and (kinds[upper] == HEADGEAR).mean() < HAT
    if kinds is not None:
        skin, hair, kinds = _read_kinds(colours, lab, np.where(where, kinds, 0), skin)
    paint, last = _crown(colours, where, rows, lines, kinds, skin, hair)
    tail = _carry_down(paint, last)
    of_hair = lab_close_to(lab, tail, 13) | lab_close_to(lab, paint.hair, 13)
    _read_flanks(paint, colours, where, rows, tail, of_hair)
    both = np.max(paint.covered, axis=0) > 0.5
    end = paint.top + np.flatnonzero(both)[-1] if both.any() else lines.brow
    paint.nape = max(float(end), lines.chin - 0.04 * lines.height)
    if not paint.bald:
        if lines.brim is None and not hatless:
            _hair_under_a_hat(paint, colours, where, rows, lab, tail, last)
        elif lines.brim is not None:
            _below_a_brim(paint, colours, where, rows)
        paint.strands = _strands(paint, colours, where)
    paint.neck = _neck(paint, colours, where, rows)
    return paint


def _skin(colours: np.ndarray, lines: HeadLines) -> np.ndarray:
    """(3,) the colour of the cheeks."""
    low, high = int(lines.eyes + 0.12 * lines.height), int(lines.eyes + 0.26 * lines.height)
    reach = 0.45 * lines.half
    cheeks = colours[low : high + 1, max(int(lines.middle - reach), 0) : int(lines.middle + reach) + 1].reshape(-1, 3)
    return np.median(cheeks, axis=0) if len(cheeks) else np.array([220.0, 180.0, 160.0])


def _read_kinds(
    colours: np.ndarray, lab: np.ndarray, kinds: np.ndarray, skin: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """(3,) the colours of the face and of the hair, None where that is of no other, and (H, W) kinds in which only what
    has the commonest colour of the flanks' hair is hair: readers call goggles and the skin of a pate hair, too.
    """
    face, hair = colours[kinds == FACE], kinds == HAIR
    if len(face) > 50:
        skin = commonest(face, 30)[0]
    outer = np.zeros_like(hair)
    for r in np.flatnonzero(kinds.any(1)):
        outer[r, np.concatenate(_outer(np.flatnonzero(kinds[r])))] = True
    beside = hair & outer
    main = None
    dressed = beside & ~lab_close_to(lab, skin, BARE)
    if dressed.sum() > max(DRESSED * beside.sum(), 50):
        main = commonest(colours[dressed], 30)[0]
        kinds = np.where(hair & ~lab_close_to(lab, main, 20), 0, kinds)
    return skin, main, kinds


def _crown(
    colours: np.ndarray,
    where: np.ndarray,
    rows: np.ndarray,
    lines: HeadLines,
    kinds: np.ndarray | None,
    skin: np.ndarray,
    beside: np.ndarray | None,
) -> tuple[HeadPaint, int]:
    """The ring above the brow, and its last covered row. A bare forehead is covered by what lies above it, a bare crown
    by the hair beside it.
    """
    top, count = int(rows[0]), int(np.ptp(rows)) + 1
    ring, flank, known = np.zeros((count, 3), np.float32), np.zeros((2, count, 3), np.float32), np.zeros(count, bool)
    samples = np.zeros((count, SAMPLES, 3), np.float32)
    first = _first_of_skull(where, rows, lines)
    for r in rows[rows >= first]:
        line = np.flatnonzero(where[r])
        if len(line) >= 8:
            edge, outer = max(len(line) // 12, 1), max(len(line) // 8, 2)
            inner = line[np.abs(line - lines.middle) < CROWN * lines.half]
            inner = inner if len(inner) >= 8 else line[edge:-edge]
            inner = colours[r, inner if kinds is None else _dressed(line[edge:-edge], inner, kinds[r])]
            if not len(inner):
                continue
            ring[r - top] = np.median(inner, axis=0)
            samples[r - top] = inner[np.linspace(0, len(inner) - 1, SAMPLES).astype(int)]
            flank[0, r - top] = np.median(colours[r, line[:outer]], axis=0)
            flank[1, r - top] = np.median(colours[r, line[-outer:]], axis=0)
            known[r - top] = True
    uneven = unevenness(samples, ring)
    k, height = np.arange(count) - (first - top), lines.height
    ring = _without_gloss(ring, known, height)
    ring = _hooded(ring, flank, known & (k > 0.05 * height) & (k < 0.12 * height))
    above = (k + first < lines.brow) & known
    hat = above & (k > 0.06 * height)
    base = ring[hat] if hat.any() else ring[known]
    crown_rows = known & (k > 0.06 * height) & (k < 0.22 * height)
    crown = np.median(ring[crown_rows] if crown_rows.any() else base, axis=0)
    if beside is not None and close_to(crown[None], skin, BALD)[0]:
        crown = beside
    apart = float(np.linalg.norm(to_lab(crown) - to_lab(skin)))
    bald = apart < BALD
    to_skin, to_crown = (np.linalg.norm(to_lab(ring) - to_lab(colour), axis=1) for colour in (skin, crown))
    # A bare forehead, and the hairline's rows, which are mixtures of crown and skin.
    forehead = (to_skin < 1.3 * to_crown) & (to_skin < 22)
    forehead |= (to_skin + to_crown < MIXTURE * apart) & (to_crown > 0.2 * apart)
    forehead &= not bald
    dress = ring[hat & ~forehead] if (hat & ~forehead).any() else base
    hair, _ = commonest(dress, 30)
    use = known & above & ~forehead
    rounded = calmed(ring, uneven, use, 0.075 * height)
    if rounded is None:
        rounded = np.repeat(hair[None], count, 0).astype(np.float32)
    return HeadPaint(lines, top, skin, hair, bald, rounded), int(np.flatnonzero(use)[-1]) if use.any() else 0


def _dressed(line: np.ndarray, inner: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """The columns of a row that show what goes around the head: its hair, or what covers that. Hair goes around beside
    goggles, under the cups of headphones and behind a face. Empty where only the face shows. line: the row's columns;
    inner: those around its middle; kinds: (W,) of KINDS.
    """
    for wanted in ((HAIR,), (HEADGEAR,), (0,)):
        found = line[np.isin(kinds[line], wanted)]
        if len(found) > SHOWN * len(line):
            within = np.intersect1d(found, inner)
            return within if len(within) > SHOWN * len(line) else found
    return line[:0]


def _first_of_skull(where: np.ndarray, rows: np.ndarray, lines: HeadLines) -> int:
    """The first row of (H, W) bool that covers the head's middle; without one, its first row."""
    reach = max(TOP * lines.half, 2)
    columns = slice(max(int(lines.middle - reach), 0), int(lines.middle + reach) + 1)
    covered = where[rows, columns].mean(1) > COVERS
    return int(rows[covered.argmax()])


def _hooded(ring: np.ndarray, flank: np.ndarray, crown: np.ndarray) -> np.ndarray:
    """A hood frames the face: what the very crown and both flanks of a row show goes round, not what lies between."""
    if not crown.any():
        return ring
    cloth = np.median(ring[crown], axis=0)
    framed = close_to(flank[0], cloth, 10) & close_to(flank[1], cloth, 10)
    return np.where(framed[:, None], flank.mean(0), ring).astype(np.float32)


def _without_gloss(ring: np.ndarray, known: np.ndarray, height: float) -> np.ndarray:
    """Rows that a highlight lightens take the colour that the rows around them have."""
    if not known.any():
        return ring
    around = ramp(ring, known, 0.30 * height)
    if around is None:
        return ring
    lighter = known & (to_lab(ring)[:, 0] > to_lab(around)[:, 0] + GLOSS)
    return np.where(lighter[:, None], around, ring).astype(np.float32)


def _carry_down(paint: HeadPaint, last: int) -> np.ndarray:
    """Carries the ring on from above the hairline, whose rows are mixtures; returns the colour carried."""
    height = paint.lines.height
    carry = max(last - int(0.05 * height), 0)
    tail = np.median(paint.ring[max(carry - int(0.10 * height), 0) : carry + 1], axis=0)
    if close_to(tail[None], paint.hair, 26)[0]:
        tail = 0.5 * tail + 0.5 * paint.hair
    paint.ring[carry:] = tail
    return tail


def _outer(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The outer 30 % of a row on either side."""
    count = max(int(0.30 * len(line)), 2)
    return line[:count], line[-count:]


def _read_flanks(
    paint: HeadPaint, colours: np.ndarray, where: np.ndarray, rows: np.ndarray, tail: np.ndarray, of_hair: np.ndarray
) -> None:
    """Hair goes on down a side while the side shows it; once it has ended it does not begin again."""
    count, height = len(paint.ring), paint.lines.height
    found, hairy = np.zeros((2, count, 3), np.float32), np.zeros((2, count), bool)
    for r in rows:
        line = np.flatnonzero(where[r])
        for side, columns in enumerate(_outer(line)) if len(line) >= 8 else ():
            like = columns[of_hair[r, columns]]
            if len(like) > max(0.12 * len(columns), 2):
                hairy[side, r - paint.top] = True
                found[side, r - paint.top] = np.median(colours[r, like], axis=0)
    gap = max(int(0.08 * height), 3) | 1
    for side in range(2):
        goes_on = ndimage.median_filter(hairy[side].astype(np.uint8), size=gap, mode="nearest") > 0
        padded = np.pad(goes_on, 3 * gap, mode="edge")
        goes_on = ndimage.binary_closing(padded, iterations=int(1.5 * gap))[3 * gap : -3 * gap]
        goes_on[: max(int(paint.lines.brow - paint.top), 0)] = True
        goes_on = np.logical_and.accumulate(goes_on)
        flank = ramp(found[side], hairy[side], 0.16 * height)
        flank = np.repeat(tail[None], count, 0) if flank is None else flank
        flank = ndimage.gaussian_filter1d(0.6 * flank + 0.4 * tail, 0.02 * height, axis=0)
        paint.sides.append(flank.astype(np.float32))
        paint.covered.append(ndimage.gaussian_filter1d(goes_on.astype(np.float32), 1.5))


def _hair_under_a_hat(
    paint: HeadPaint,
    colours: np.ndarray,
    where: np.ndarray,
    rows: np.ndarray,
    lab: np.ndarray,
    tail: np.ndarray,
    last: int,
) -> None:
    """What shows beside the face and is neither hat nor skin is the hair below the hat."""
    lines, others, like, total = paint.lines, [], 0, 0
    of_hat = lab_close_to(lab, tail, 16) | lab_close_to(lab, paint.hair, 16)
    of_skin = lab_close_to(lab, paint.skin, 14)
    for r in rows[(rows > lines.brow - 0.02 * lines.height) & (rows < lines.eyes + 0.12 * lines.height)]:
        line = np.flatnonzero(where[r])
        if len(line) < 12:
            continue
        left, right = _outer(line)
        columns = np.r_[left[2:], right[:-2]]
        hat = of_hat[r, columns]
        like, total = like + int(hat.sum()), total + len(columns)
        others.append(colours[r, columns[~hat & ~of_skin[r, columns]]])
    other = np.concatenate(others) if others else np.zeros((0, 3))
    if len(other) <= 0.03 * total or like >= 0.5 * len(other):
        return
    hair, share = commonest(other, 26)
    if share <= 0.4:
        return
    carry = max(last - int(0.05 * lines.height), 0)
    weight = smooth(np.arange(len(paint.ring)), carry + 0.02 * lines.height, carry + 0.10 * lines.height)[:, None]
    paint.ring = (paint.ring * (1 - weight) + hair * weight).astype(np.float32)
    paint.sides = [(side * (1 - weight) + hair * weight).astype(np.float32) for side in paint.sides]


def _below_a_brim(paint: HeadPaint, colours: np.ndarray, where: np.ndarray, rows: np.ndarray) -> None:
    """A hat ends at its brim all round: below it there is what shows beside the face, hair or bare skin."""
    lines = paint.lines
    assert lines.brim is not None
    low = lines.brim + 0.03 * lines.height
    flanks = [
        colours[r, np.concatenate(_outer(np.flatnonzero(where[r])))]
        for r in rows[(rows > low) & (rows < max(lines.eyes + 0.12 * lines.height, low + 3))]
        if where[r].sum() >= 12
    ]
    if not flanks:
        return
    beside = np.concatenate(flanks)
    other = beside[~close_to(beside, paint.skin, 14) & ~close_to(beside, paint.hair, 14)]
    around = commonest(other, 26)[0] if len(other) > UNDER * len(beside) else paint.skin
    k = np.arange(len(paint.ring)) + paint.top
    weight = smooth(k, lines.brim, lines.brim + 0.02 * lines.height)[:, None]
    paint.ring = (paint.ring * (1 - weight) + around * weight).astype(np.float32)
    paint.sides = [(side * (1 - weight) + around * weight).astype(np.float32) for side in paint.sides]


def _neck(paint: HeadPaint, colours: np.ndarray, where: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Below the chin each row in the colour of its outer quarters: collar or skin, but not hair."""
    lines, count = paint.lines, len(paint.ring)
    found, known = np.zeros((count, 3), np.float32), np.zeros(count, bool)
    for r in rows[rows > lines.chin + 0.02 * lines.height]:
        line = np.flatnonzero(where[r])
        if len(line) >= 8:
            quarter = max(len(line) // 4, 2)
            found[r - paint.top] = np.median(colours[r, np.r_[line[:quarter], line[-quarter:]]], axis=0)
            known[r - paint.top] = True
    if not paint.bald:
        known &= ~close_to(found, paint.hair, 12)
    rounded = ramp(found, known, 0.03 * lines.height)
    if rounded is not None:
        return rounded
    low, high = int(lines.chin + 0.03 * lines.height), int(lines.chin + 0.10 * lines.height)
    reach = 0.2 * lines.half
    throat = colours[low : high + 1, max(int(lines.middle - reach), 0) : int(lines.middle + reach) + 1].reshape(-1, 3)
    neck = np.median(throat, axis=0) if len(throat) else paint.skin
    if close_to(neck[None], paint.skin, 25)[0]:
        neck = 0.5 * neck + 0.5 * paint.skin
    return np.repeat(neck[None], count, 0)


def _strands(paint: HeadPaint, colours: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(360,) by azimuth: how the fringe's lightness varies from column to column, mirrored round the head."""
    lines = paint.lines
    low = int(paint.top + 0.18 * lines.height)
    rows = slice(low, max(int(lines.brow - 0.06 * lines.height), int(paint.top + 0.25 * lines.height)))
    light = colours[rows] @ LUMINANCE
    of_hair = where[rows] & close_to(colours[rows], paint.hair, 18)
    columns = np.flatnonzero(of_hair.sum(0) > 0.4 * max(len(of_hair), 1))
    if len(columns) <= 30:
        return np.zeros(360, np.float32)
    profile = np.array([np.median(light[of_hair[:, c], c]) for c in columns])
    profile = np.clip(profile - ndimage.gaussian_filter1d(profile, 0.05 * len(columns)), -STRAND, STRAND)
    quarter = np.interp(np.linspace(0, len(profile) - 1, 90), np.arange(len(profile)), profile)
    return np.concatenate([quarter, quarter[::-1]] * 2).astype(np.float32)
