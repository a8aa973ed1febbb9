# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of one character from further sides: cut out, brought to the front's height, and checked against it.

Left and right are the character's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.color import rgb2lab

from ..errors import BackendError
from .facing import ASIDE, FRONTAL, Facing, face_viewer
from .load import load_picture
from .mask import find_figure

TITLES = {"left": "left side", "back": "back", "right": "right side"}
MIN_HEIGHT = 128
REVIEWED = 512  # pixels, height at which pictures are compared
SAME_HEIGHT = 0.03  # of figures in pictures of one size
EXPLAINED = 0.95  # of a silhouette by the one of the picture that faces it
DRAWN_APART = 0.012  # of the height: so far apart two drawings of one outline may lie
EVEN = 0.95  # overlap of a silhouette with its mirror image from which on it is no profile
SAMPLED = 4000  # pixels of a figure, for its colours
LIKE, KNOWN = 15.0, 0.002  # Lab distance of a colour that a figure also has, in this share of its pixels
FOREIGN = 0.3  # share of a figure's pixels whose colour the other picture does not have: another character's
CLEAR = 0.012  # of the height: how far a nose or toes must reach to tell where a figure looks


@dataclass
class View:
    """A figure as tall as the front's, cropped to its box. colours: (H, W, 3) float32, carried on outside of it; mask:
    (H, W) bool. share: the figure's height over the whole picture's; size: (width, height) of that.
    """

    colours: np.ndarray
    mask: np.ndarray
    share: float
    size: tuple[int, int]

    @property
    def rgba(self) -> np.ndarray:
        """(H, W, 4) uint8, the figure cut out."""
        return np.dstack([np.clip(self.colours, 0, 255), 255.0 * self.mask]).astype(np.uint8)

    def mirrored(self) -> View:
        return View(self.colours[:, ::-1], self.mask[:, ::-1], self.share, self.size)


def load_view(path: Path, side: str, tall: int) -> View:
    """`tall`: pixels of the front's figure. Raises BackendError as `load_picture` and `find_figure` do, and
    too_small, with the side named in the message.
    """
    loaded = load_picture(path)
    try:
        figure = find_figure(loaded.rgba)
    except BackendError as error:
        raise BackendError(error.code, f"The {TITLES[side]} picture: {error.message}", error.hint) from error
    rows = np.flatnonzero(figure.mask.any(1))
    height = int(np.ptp(rows)) + 1
    if height < MIN_HEIGHT:
        message = f"The figure in the {TITLES[side]} picture is only {height} pixels tall."
        raise BackendError("too_small", message, f"At least {MIN_HEIGHT} are needed.")
    return view_of(loaded.rgba, figure.mask, tall)


def view_of(rgba: np.ndarray, mask: np.ndarray, tall: int) -> View:
    """rgba (H, W, 4) uint8 and the figure in it (H, W) bool, brought to `tall` pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    cut = mask[window]
    solid = ndimage.binary_erosion(np.pad(cut, 2), iterations=2)[2:-2, 2:-2] & (rgba[window][..., 3] > 250)
    source = solid if solid.any() else cut
    nearest = ndimage.distance_transform_edt(~source, return_distances=False, return_indices=True)
    colours = np.ascontiguousarray(rgba[window][..., :3][tuple(nearest)])
    size = max(round(cut.shape[1] * tall / cut.shape[0]), 1), tall
    colours = np.asarray(Image.fromarray(colours).resize(size, Image.Resampling.LANCZOS), np.float32)
    scaled = np.asarray(Image.fromarray(cut.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)) > 127
    return View(colours, scaled, cut.shape[0] / len(mask), (mask.shape[1], mask.shape[0]))


def looks_left(mask: np.ndarray) -> bool | None:
    """Where a figure seen from the side looks in its picture, by where toes and nose point; None where they do not
    tell.
    """
    rows = np.flatnonzero(mask.any(1))
    top, tall = rows[0], int(np.ptp(rows)) + 1
    reach = [_toes(mask, top, tall), _nose(mask, top, tall)]
    sides = [np.sign(value) for value in reach if abs(value) > CLEAR * tall]
    if not sides or min(sides) != max(sides):
        return None if len(sides) != 2 else bool(max(reach, key=abs) < 0)
    return bool(sides[0] < 0)


def faces_left(mask: np.ndarray, facing: Facing) -> bool | None:
    """As `looks_left`, with what the reader sees: most of outline, yaw and the face's place in the head; of two that
    differ, the yaw.
    """
    outline, signs = looks_left(mask), []
    if outline is not None:
        signs.append(-1.0 if outline else 1.0)
    if abs(facing.furthest) > ASIDE:
        signs.append(float(np.sign(facing.furthest)))
    if facing.is_profile:
        signs.append(1.5 * float(np.sign(facing.yaw)))
    return sum(signs) < 0 if signs and sum(signs) else None


def _ends(mask: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last column of the rows between, where there are any."""
    part = mask[low : max(high, low + 1)]
    part = part[part.any(1)]
    return part.argmax(1), part.shape[1] - 1 - part[:, ::-1].argmax(1)


def _toes(mask: np.ndarray, top: int, tall: int) -> float:
    """How much further the soles reach beyond the shins to the right than to the left, pixels."""
    shin, sole = (
        _ends(mask, top + int(0.86 * tall), top + int(0.90 * tall)),
        _ends(mask, top + int(0.955 * tall), top + tall),
    )
    if not len(shin[0]) or not len(sole[0]):
        return 0.0
    return float((np.max(sole[1]) - np.median(shin[1])) - (np.median(shin[0]) - np.min(sole[0])))


def _nose(mask: np.ndarray, top: int, tall: int) -> float:
    """How much rougher the right outline of the head is than the left: a face has a nose, the back of a head is
    round. Pixels.
    """
    first, last = _ends(mask, top + int(0.04 * tall), top + int(0.13 * tall))
    if len(first) < 5:
        return 0.0

    def rough(line: np.ndarray) -> float:
        y = np.arange(len(line))
        return float(np.abs(line - np.polyval(np.polyfit(y, line, 2), y)).max())

    return rough(last) - rough(first)


def check_views(front: View, views: dict[str, View]) -> list[dict[str, str]]:
    """What the user should know of the pictures before they are used.

    Raises BackendError `views` where a picture is of another height, or a side shows the other side.
    """
    for side, view in views.items():
        if view.size == front.size and abs(view.share / front.share - 1) > SAME_HEIGHT:
            message = (
                f"The figure in the {TITLES[side]} picture is {100 * view.share / front.share:.0f} % as tall"
                " as in the front picture."
            )
            hint = "Use pictures of the same size in which the figure has the same height, or leave this one out."
            raise BackendError("views", message, hint)
    seen = {side: face_viewer(view.rgba) for side, view in views.items()}
    wrong = {side: shows_other_side(side, view.mask, seen[side]) for side, view in views.items()}
    for side, other in (("left", "right"), ("right", "left")):
        if side in views and not wrong[side] and faces_left(views[side].mask, seen[side]) is (side == "right"):
            message = f"The {TITLES[side]} picture looks like the {TITLES[other]}."
            raise BackendError("views", message, f"Swap the sides, or mirror the {TITLES[side]} picture.")
    messages = [message for message in wrong.values() if message]
    right = {side: view for side, view in views.items() if not wrong[side]}
    others = [side for side, view in right.items() if foreign_colours(front, view) > FOREIGN]
    for side in others:
        message = f"The {TITLES[side]} picture has other colours than the front picture; it may show another character."
        messages.append(message)
    for pair, share in explained(front.mask, {s: v for s, v in right.items() if s not in others}).items():
        if share < EXPLAINED:
            message = (
                f"The outlines of the {pair[0]} and {pair[1]} pictures differ by {100 * (1 - share):.0f} %, so that"
                " colours may lie in the wrong place. Use pictures of the same pose, or leave one of them out."
            )
            messages.append(message)
    return [{"code": "views", "message": message} for message in messages]


def shows_other_side(side: str, mask: np.ndarray, facing: Facing) -> str:
    """A sentence where the picture of `side` shows the front or, in place of a profile, the back; else ""."""
    message = ""
    if side == "back":
        if facing.face >= FRONTAL:
            message = "The back picture shows a face; check which side it shows."
    elif facing.is_front:
        message = f"The {TITLES[side]} picture shows the character from the front."
    elif facing.face < FRONTAL and symmetry(mask) > EVEN:
        message = f"The {TITLES[side]} picture shows the character from the front or from behind."
    return message


def symmetry(mask: np.ndarray) -> float:
    """0..1: overlap of a silhouette with its mirror image, about the best of the axes near its middle."""
    return max(overlap(mask, mask[:, ::-1], shift) for shift in range(-12, 13, 2))


def overlap(a: np.ndarray, b: np.ndarray, shift: int) -> float:
    """Intersection over union of two (H, W) silhouettes, `b` moved to the right by `shift` pixels, at most 16."""
    moved = np.roll(np.pad(b, ((0, 0), (16, 16))), shift, 1)
    fixed = np.pad(a, ((0, 0), (16, 16)))
    return float((moved & fixed).sum() / max((moved | fixed).sum(), 1))


def foreign_colours(a: View, b: View) -> float:
    """0..1: share of one figure's pixels whose colour the other one has hardly anywhere; the larger of the two."""
    first, second = (_sampled(view) for view in (a, b))
    return max(_unlike(first, second), _unlike(second, first))


def _sampled(view: View) -> np.ndarray:
    """(N, 3) Lab, about SAMPLED pixels of the figure."""
    step = max(int(np.sqrt(view.mask.sum() / SAMPLED)), 1)
    return rgb2lab(view.rgba[::step, ::step, :3][view.mask[::step, ::step]])


def _unlike(colours: np.ndarray, known: np.ndarray) -> float:
    cells, counts = np.unique(np.round(known / 4).astype(int), axis=0, return_counts=True)
    cells = cells[counts >= max(KNOWN * len(known), 2)]
    return float((cKDTree(4.0 * cells).query(colours)[0] > LIKE).mean()) if len(cells) else 0.0


def review(picture: Path, pictures: dict[str, Path]) -> dict[str, Any]:
    """message: one sentence on what does not fit, "" where all does; swap: whether left and right are the wrong way
    round. Raises BackendError as `load_view` does.
    """
    loaded = load_picture(picture)
    front = view_of(loaded.rgba, find_figure(loaded.rgba).mask, REVIEWED)
    views = {side: load_view(path, side, REVIEWED) for side, path in sorted(pictures.items())}
    try:
        found = check_views(front, views)
    except BackendError as error:
        swap = any(
            faces_left(view.mask, face_viewer(view.rgba)) is (side == "right")
            for side, view in views.items()
            if side != "back"
        )
        return {"message": f"{error.message} {error.hint}", "swap": swap}
    return {"message": " ".join(warning["message"] for warning in found), "swap": False}


def explained(front: np.ndarray, views: dict[str, View]) -> dict[tuple[str, str], float]:
    """For each pair of pictures that face each other, which part of either silhouette lies within the other one, give
    or take what drawings of one figure differ by; the smaller of the two parts. A back is compared mirrored, as is a
    right side with a left one.
    """
    pairs = {}
    if "back" in views:
        pairs["front", "back"] = (front, views["back"].mask[:, ::-1])
    if {"left", "right"} <= views.keys():
        pairs["left side", "right side"] = (views["left"].mask, views["right"].mask[:, ::-1])
    return {names: _within_each_other(*masks) for names, masks in pairs.items()}


def _within_each_other(a: np.ndarray, b: np.ndarray) -> float:
    leeway = DRAWN_APART * len(a)
    reach = int(2 * leeway) + 1
    height, width = len(a), max(a.shape[1], b.shape[1]) + 4 * reach
    first, second = (np.zeros((height, width), bool) for _ in range(2))
    for canvas, mask in ((first, a), (second, b[:height])):
        left = (width - mask.shape[1]) // 2
        canvas[: len(mask), left : left + mask.shape[1]] = mask
    near, close = (ndimage.distance_transform_edt(~mask) <= leeway for mask in (first, second))
    best = 0.0
    for shift in range(-reach, reach + 1, max(reach // 6, 1)):
        ours = (first & np.roll(close, shift, 1)).sum() / max(int(first.sum()), 1)
        theirs = (np.roll(second, shift, 1) & near).sum() / max(int(second.sum()), 1)
        best = max(best, float(min(ours, theirs)))
    return best
