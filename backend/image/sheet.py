# SPDX-License-Identifier: GPL-3.0-or-later
"""A turnaround or model sheet cut into its figures, and which side of the character each of them shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from .facing import ASIDE, FRONTAL, LOST, Facing, face_viewer
from .load import load_picture
from .mask import foreground
from .save import save_png
from .views import faces_left, looks_left, overlap, symmetry

IGNORED = "ignore"
SMALLEST = 0.06  # of the largest thing's area: else a caption or a prop
JOINED = 0.006  # of the sheet's longer side: gaps within one figure
FULL = 0.6  # of the usual height: what is lower is a detail, or the character once more, small
FLAT_END = 0.55  # of a figure's width in its last rows: cut off, as busts are
FEET, LEGS = 0.75, 0.15  # how surely they are seen and their share of the area: a portrait has less of both, and
BROAD_END = 0.3  # of its height, its last rows, which feet are not; or
NO_FEET = 0.42  # hardly any feet
NARROW = 0.72  # of the front's width: a side; a three-quarter view is wider
NARROWEST = 0.5  # only a side is so narrow
ONE_LEG, NARROWER = 0.7, 0.98  # a side whose legs hide each other, in so many of the shins' rows, may be this wide
FIRST = 0.02  # what a place further left counts for the front, which most sheets begin with
TURN = 60.0  # degrees of yaw that count as much against the front as an overlap of 1 counts for it
BEHIND = 140.0  # degrees of yaw
BLIND = 0.4  # of Facing.eyes: a front has more of them, dots included
UNEVEN = 0.9  # overlap of a profile with its mirror image at most
TURNED = 0.08  # so much less like its mirror image than the front is a figure seen at an angle, which the back is not
BACK_FITS = 0.80  # of the silhouettes of front and mirrored back
PADDING = 0.04  # of the height, around a figure that is written


@dataclass
class SheetFigure:
    """box: left, top, right, bottom in pixels of the upright sheet. view: front, left, back, right (the character's
    own) or ignore. why: portrait, three_quarter, repeated or "" for the views that are used. rgba: (H, W, 4) uint8,
    the figure cut out; mask: (H, W) bool.
    """

    box: tuple[int, int, int, int]
    view: str
    why: str
    rgba: np.ndarray
    mask: np.ndarray


def cut_sheet(path: Path) -> list[SheetFigure]:
    """The figures of the sheet at `path` from left to right. One figure alone is the front.

    Raises BackendError as `load_picture` does, and `background` where figures and background cannot be told apart.
    """
    rgba = load_picture(path).rgba
    figures = [_cut(rgba, labels, index) for labels, index in _pieces(rgba)]
    _recognise(figures)
    return figures


def write_figures(figures: list[SheetFigure], folder: Path) -> list[Path]:
    """Each figure as a cut-out PNG in `folder`, with a border that goes with its own height: some sheets have one
    figure larger than the others, and each is brought to the front's height where it is used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, figure in enumerate(figures, 1):
        pad = max(round(PADDING * len(figure.mask)), 8)
        canvas = np.pad(figure.rgba, ((pad, pad), (pad, pad), (0, 0)))
        written.append(folder / f"figure_{number}.png")
        save_png(Image.fromarray(canvas), written[-1])
    return written


def sheet_result(path: Path, folder: Path) -> dict[str, Any]:
    """The worker's answer to `cut_sheet`: the figures of the sheet at `path`, each written into `folder`.

    Raises BackendError as `cut_sheet` does.
    """
    figures = cut_sheet(path)
    return {
        "figures": [
            {"box": list(figure.box), "view": figure.view, "why": figure.why, "picture": str(picture)}
            for figure, picture in zip(figures, write_figures(figures, folder), strict=True)
        ]
    }


def _pieces(rgba: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """(labels, index) of the figures, from left to right."""
    shown, _ = foreground(rgba)
    reach = max(round(JOINED * max(shown.shape)), 1)
    labels, count = ndimage.label(ndimage.binary_dilation(shown, iterations=reach), np.ones((3, 3)))
    labels = np.where(shown, labels, 0)
    if not count:
        return []
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = ndimage.find_objects(labels)
    large = [k for k in range(count) if areas[k] >= SMALLEST * areas.max()]
    return [(labels, k + 1) for k in sorted(large, key=lambda k: boxes[k][1].start)]


def _cut(rgba: np.ndarray, labels: np.ndarray, index: int) -> SheetFigure:
    mask = labels == index
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    cut = mask[window]
    alpha = np.where(cut, np.maximum(rgba[window][..., 3], 128), 0).astype(np.uint8)
    box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    return SheetFigure(box, IGNORED, "", np.dstack([rgba[window][..., :3], alpha]), cut)


def _recognise(figures: list[SheetFigure]) -> None:
    seen = {id(figure): face_viewer(figure.rgba) for figure in figures}
    whole = _whole_figures(figures, seen)
    if not whole:
        return
    spread = max(_width(figure) for figure in whole)
    broad = [figure for figure in whole if _width(figure) > NARROW * spread]
    broad = [figure for figure in broad if not seen[id(figure)].is_profile] or broad
    front = max(broad, key=lambda figure: _frontal(figure, seen[id(figure)]) - FIRST * whole.index(figure))
    front.view = "front"
    _find_back(front, [figure for figure in whole if figure is not front], seen)
    rest = [figure for figure in whole if figure.view == IGNORED]
    sides = [figure for figure in rest if seen[id(figure)].is_profile]
    sides = sides or [figure for figure in rest if _is_side(figure.mask, front.mask, seen[id(figure)])]
    sides = sides or [figure for figure in rest if _is_profile(figure.mask, seen[id(figure)])]
    for figure in rest:
        figure.why = figure.why or "three_quarter"
    for figure in sorted(sides, key=lambda figure: abs(abs(seen[id(figure)].yaw) - 90)):
        side = "right" if faces_left(figure.mask, seen[id(figure)]) is False else "left"
        if any(other.view == side for other in figures):
            figure.why = "repeated"
        else:
            figure.view, figure.why = side, ""


def _width(figure: SheetFigure) -> float:
    """Over the figure's height: some sheets draw one larger than the other."""
    return figure.mask.shape[1] / len(figure.mask)


def _frontal(figure: SheetFigure, facing: Facing) -> float:
    """Grows with a silhouette like its mirror image, and with a face in the middle of the head that looks ahead."""
    turned = facing.face * abs(facing.aside)
    return 3 * symmetry(figure.mask) + 2 * (facing.eyes - turned) - abs(facing.yaw) / TURN


def _is_profile(mask: np.ndarray, facing: Facing) -> bool:
    """What a character in a cape or with a large head is told by, whose side is as wide as its front."""
    turned = abs(facing.furthest) > ASIDE and facing.face < LOST
    return turned and symmetry(mask) < UNEVEN and looks_left(mask) is not None


def _is_side(mask: np.ndarray, front: np.ndarray, facing: Facing) -> bool:
    """Narrow, or with legs of which one hides the other while the front shows two; a face is a profile's."""
    if facing.face > FRONTAL and abs(facing.furthest) < ASIDE:
        return False
    width = mask.shape[1] / len(mask) / (front.shape[1] / len(front))
    if _one_leg(front) > 1 - ONE_LEG:
        return width < NARROW
    return width < (NARROWER if _one_leg(mask) > ONE_LEG else NARROWEST)


def _one_leg(mask: np.ndarray) -> float:
    """Part of the shins' rows that have one run."""
    shins = mask[int(0.80 * len(mask)) : int(0.92 * len(mask))]
    starts = np.diff(np.pad(shins, ((0, 0), (1, 0))).astype(np.int8), axis=1) > 0
    return float((starts.sum(1) == 1).mean()) if len(shins) else 1.0


def _whole_figures(figures: list[SheetFigure], seen: dict[int, Facing]) -> list[SheetFigure]:
    """All but portraits, which show no legs, and details."""
    if len(figures) == 1:
        return figures
    standing = [figure for figure in figures if not _is_portrait(figure, seen[id(figure)])]
    tallest = max((len(figure.mask) for figure in standing), default=0)
    for figure in figures:
        if figure not in standing or len(figure.mask) < FULL * tallest:
            figure.why = "portrait"
    return [figure for figure in figures if not figure.why]


def _is_portrait(figure: SheetFigure, facing: Facing) -> bool:
    few = facing.legs < LEGS and facing.feet < FEET and _end(figure.mask) > BROAD_END * len(figure.mask)
    return facing.feet < NO_FEET or few or (facing.legs < LEGS and _cut_off(figure.mask))


def _cut_off(mask: np.ndarray) -> bool:
    """Whether the figure ends in a broad straight line, as busts do and feet do not."""
    return _end(mask) > FLAT_END * mask.shape[1] and mask.shape[1] > 0.5 * len(mask)


def _end(mask: np.ndarray) -> int:
    """Pixels that the last rows are wide, without gaps."""
    return int(mask[-max(len(mask) // 100, 2) :].any(0).sum())


def _find_back(front: SheetFigure, others: list[SheetFigure], seen: dict[int, Facing]) -> None:
    """The figure without eyes that the reader sees from behind, or whose silhouette, mirrored, is the front's."""
    height, width = front.mask.shape
    fits = []
    even = symmetry(front.mask) - TURNED
    for figure in others:
        facing = seen[id(figure)]
        behind = abs(facing.yaw) > BEHIND
        if facing.is_profile or facing.face > FRONTAL or (facing.eyes > BLIND and not behind):
            continue
        resized = Image.fromarray(figure.mask).resize((width, height))
        fit = max(overlap(front.mask, np.asarray(resized)[:, ::-1], shift) for shift in range(-8, 9, 2))
        if behind or (fit >= BACK_FITS and symmetry(figure.mask) >= even):
            fits.append((fit - facing.eyes + behind, figure))
    if fits:
        best = max(fits, key=lambda pair: pair[0])[1]
        best.view = "back"
        for _, figure in fits:
            figure.why = "" if figure is best else "repeated"
