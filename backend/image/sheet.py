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
from .views import looks_left, overlap, symmetry

IGNORED = "ignore"
SMALLEST = 0.06  # of the largest thing's area: else a caption or a prop
JOINED = 0.006  # of the sheet's longer side: gaps within one figure
FULL = 0.88  # of the usual height: what is lower is a portrait or a detail
FLAT_END = 0.55  # of a figure's width in its last rows: cut off, as busts are
NARROW = 0.72  # of the front's width: a side; a three-quarter view is wider
NARROWEST = 0.5  # only a side is so narrow
ONE_LEG, NARROWER = 0.7, 0.98  # a side whose legs hide each other, in so many of the shins' rows, may be this wide
NO_FEET, FEW_FEET = 0.55, 0.75  # of the best feet on the sheet: a portrait's, and a portrait's with
LARGE_HEAD, HUGE_HEAD = 1.3, 1.6  # times the smallest head's share of its figure; the second is a portrait's
FIRST = 0.02  # what a place further left counts for the front, which most sheets begin with
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
    """Each figure as a cut-out PNG in `folder`, all of one size and on one ground, so that heights can be compared."""
    folder.mkdir(parents=True, exist_ok=True)
    tall = max((figure.mask.shape[0] for figure in figures), default=0)
    wide = max((figure.mask.shape[1] for figure in figures), default=0)
    pad = max(round(PADDING * tall), 8)
    written = []
    for number, figure in enumerate(figures, 1):
        height, width = figure.mask.shape
        canvas = np.zeros((tall + 2 * pad, wide + 2 * pad, 4), np.uint8)
        top, left = pad + tall - height, pad + (wide - width) // 2
        canvas[top : top + height, left : left + width] = figure.rgba
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
    spread = max(figure.mask.shape[1] for figure in whole)
    broad = [figure for figure in whole if figure.mask.shape[1] > NARROW * spread]
    front = max(broad, key=lambda figure: _frontal(figure, seen[id(figure)]) - FIRST * whole.index(figure))
    front.view = "front"
    _find_back(front, [figure for figure in broad if figure is not front], seen)
    rest = [figure for figure in whole if figure.view == IGNORED]
    sides = [figure for figure in rest if _is_side(figure.mask, front.mask, seen[id(figure)])]
    sides = sides or [figure for figure in rest if _is_profile(figure.mask, seen[id(figure)])]
    for figure in rest:
        figure.why = "three_quarter"
    for figure in sorted(sides, key=lambda figure: figure.mask.shape[1]):
        side = "right" if _looks_left(figure.mask, seen[id(figure)]) is False else "left"
        if any(other.view == side for other in figures):
            figure.why = "repeated"
        else:
            figure.view, figure.why = side, ""


def _frontal(figure: SheetFigure, facing: Facing) -> float:
    """Grows with a silhouette like its mirror image, and with a face in the middle of the head."""
    turned = abs(facing.aside) if facing.face > LOST else 0.0
    return 3 * symmetry(figure.mask) + 2 * (facing.face - turned)


def _looks_left(mask: np.ndarray, facing: Facing) -> bool | None:
    """By the outline, else by where the face is in the head."""
    left = looks_left(mask)
    return facing.furthest < 0 if left is None and abs(facing.furthest) > ASIDE else left


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
    """All but portraits and details: as tall as most of the tall ones, and not cut off at the bottom."""
    if not figures:
        return []
    feet, head = max(facing.feet for facing in seen.values()), min(facing.head for facing in seen.values())
    standing = [len(figure.mask) for figure in figures if not _cut_off(figure.mask)]
    tallest = max(standing or [len(figure.mask) for figure in figures])
    whole = []
    for figure in figures:
        facing = seen[id(figure)]
        cut = facing.head > HUGE_HEAD * head
        cut |= facing.feet < (FEW_FEET if facing.head > LARGE_HEAD * head else NO_FEET) * feet
        if figure.mask.shape[0] >= FULL * tallest and (len(figures) == 1 or not (cut or _cut_off(figure.mask))):
            whole.append(figure)
        else:
            figure.why = "portrait"
    return whole


def _cut_off(mask: np.ndarray) -> bool:
    """Whether the figure ends in a broad straight line, as busts do and feet do not."""
    last = mask[-max(len(mask) // 100, 2) :].any(0).sum()
    return bool(last > FLAT_END * mask.shape[1] and mask.shape[1] > 0.5 * len(mask))


def _find_back(front: SheetFigure, others: list[SheetFigure], seen: dict[int, Facing]) -> None:
    """The broad figure without a face whose silhouette, mirrored, is the front's."""
    height, width = front.mask.shape
    fits = []
    even = symmetry(front.mask) - TURNED
    for figure in others:
        if seen[id(figure)].face > FRONTAL or symmetry(figure.mask) < even:
            continue
        resized = Image.fromarray(figure.mask).resize((width, height))
        fit = max(overlap(front.mask, np.asarray(resized)[:, ::-1], shift) for shift in range(-8, 9, 2))
        if fit >= BACK_FITS:
            fits.append((fit - seen[id(figure)].face, figure))
    if fits:
        best = max(fits, key=lambda pair: pair[0])[1]
        best.view = "back"
        for _, figure in fits:
            figure.why = "" if figure is best else "repeated"
