# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the sides and the back on the front's figure: their silhouettes and their colours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..image.views import View
from .flanks import close_to
from .strokes import cleaned, stroke_width
from .thickness import Frame

SKIN = 16.0  # Lab: how far a hand's colours lie from its median
MOSTLY = 0.6  # of what is seen beside a hand; with more of its colour, the hand can't be told from the body
SLACK = 0.7  # cells that the hull leaves around a side's silhouette


@dataclass
class Profile:
    """A side picture, the figure's front to the left, and the frame it fits. zero: its column of z = 0."""

    view: View
    frame: Frame
    top: float
    zero: float

    def extent(self, row: int, mask: np.ndarray | None = None) -> tuple[float, float, float, bool] | None:
        """z in cells of front and back of the silhouette in a row of the grid, of the end of its frontmost run, and
        whether there are others behind it. mask: another silhouette of the picture's size.
        """
        mask = self.view.mask if mask is None else mask
        y = round(row * self.frame.pixels + self.frame.origin[1] - self.top)
        if not 0 <= y < len(mask) or not mask[y].any():
            return None
        line = np.flatnonzero(mask[y])
        gaps = np.flatnonzero(np.diff(line) > max(2, 0.4 * self.frame.pixels))
        first = line[gaps[0]] if len(gaps) else line[-1]
        front, back, end = (self._z(x) for x in (line[0] - 0.5, line[-1] + 0.5, first + 0.5))
        return front, back, end, bool(len(gaps))

    def bulk(self, radius: float) -> np.ndarray:
        """The silhouette without what is thinner than this many cells to either side: plaits, tails, a nose."""
        reach = max(radius * self.frame.pixels, 1.0)
        core = ndimage.distance_transform_edt(np.pad(self.view.mask, 1)) > reach
        return np.asarray(ndimage.distance_transform_edt(~core)[1:-1, 1:-1] <= reach)

    def _z(self, column: float) -> float:
        return (self.zero - column) / self.frame.pixels

    def distance(self, levels: np.ndarray, rows: int) -> np.ndarray:
        """(L, R): signed distance in cells to the silhouette, positive inside, at levels of z and rows of the grid."""
        pad = 8
        mask = np.pad(self.view.mask, pad)
        signed = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
        y = np.arange(rows) * self.frame.pixels + self.frame.origin[1] - self.top + pad
        x = self.zero - levels * self.frame.pixels + pad
        at = [np.broadcast_to(y[None], (len(x), rows)), np.broadcast_to(x[:, None], (len(x), rows))]
        return ndimage.map_coordinates(signed, at, order=1, mode="nearest") / self.frame.pixels

    def colour(self, rows: np.ndarray, z: np.ndarray) -> np.ndarray:
        """(N, 3) at rows (pixels of the picture) and z (metres)."""
        column = self.zero - z / self.frame.cell * self.frame.pixels
        return _sample(self.view.colours, rows - self.top, column)


@dataclass
class Behind:
    """A back picture. left, top, width: of the figure in the front picture, pixels."""

    view: View
    left: float
    top: float
    width: int

    def colour(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 3) at (N, 2) pixels of the front picture."""
        scale = (self.view.mask.shape[1] - 1) / max(self.width - 1, 1)
        column = (self.width - 1 - (pixels[:, 0] - self.left)) * scale
        return _sample(self.view.colours, pixels[:, 1] - self.top, column)


@dataclass
class Views:
    """left: also stands for the right side where that is missing, and the other way round. arms: whether arms are where
    the pictures show them.
    """

    left: Profile | None = None
    right: Profile | None = None
    back: Behind | None = None
    arms: bool = True

    @property
    def profiles(self) -> list[Profile]:
        return [profile for profile in (self.left, self.right) if profile]

    def side(self, points: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(N, 3) colours that the side pictures show at (N, 3) points and rows of the picture."""
        first = self.left or self.right
        assert first is not None
        shown = first.colour(rows, points[:, 2])
        if self.left and self.right:
            right = points[:, 0] < 0
            shown[right] = self.right.colour(rows[right], points[right, 2])
        return shown


def place_views(
    views: dict[str, View], corner: tuple[float, float], width: int, frame: Frame, arms: bool = True
) -> Views:
    """The pictures on the front's figure, whose box is `width` pixels wide and has its left top at `corner`. A right
    side is turned over. arms: whether arms are where the pictures show them.
    """
    views = {side: _without_line(view) for side, view in views.items()}
    placed = Views(arms=arms)
    for side in ("left", "right"):
        if side in views:
            view = views[side] if side == "left" else views[side].mirrored()
            setattr(placed, side, Profile(view, frame, corner[1], view.mask.shape[1] / 2))
    if "back" in views:
        placed.back = Behind(views["back"], *corner, width)
    return placed


def without_hand(views: Views, colour: np.ndarray, span: tuple[float, float], margin: float) -> Views:
    """The side pictures with what is around instead of the hand. colour: (3,) of the hand; span: its first and last
    row; margin: as far as it may be out of it; all in pixels of the front picture. A body of the hand's colour stays.
    """
    changed = {}
    for side in ("left", "right"):
        profile = getattr(views, side)
        if profile is None:
            continue
        view = profile.view
        first, last, end = (
            int(np.clip(row - profile.top, 0, len(view.mask)))
            for row in (span[0] - margin, span[1] + margin, 2 * span[1] - span[0] + margin)
        )
        mask, colours = view.mask[first:end], view.colours[first:end]
        hand = ndimage.binary_opening(mask & close_to(colours, colour, SKIN)) if mask.size else mask
        labels, _ = ndimage.label(hand)
        # Fingers may reach lower than in the front picture; what only begins there is something else.
        hand &= np.isin(labels, np.unique(labels[: last - first]))
        if not hand.any() or hand.sum() > MOSTLY * mask.sum():
            continue
        hand = ndimage.binary_dilation(hand, iterations=max(round(0.2 * margin), 2))
        # From the same row rather than from above or below.
        nearest = ndimage.distance_transform_edt(
            hand | ~mask, sampling=(3, 1), return_distances=False, return_indices=True
        )
        filled = view.colours.copy()
        filled[first:end] = np.where((hand & mask)[..., None], colours[tuple(nearest)], colours)
        changed[side] = replace(profile, view=replace(view, colours=filled))
    return replace(views, **changed)


def _without_line(view: View) -> View:
    """A drawing's contour belongs to its own view: from others it would be a stripe down the figure's side."""
    pad = 4  # the figure ends where the picture does
    mask = np.pad(view.mask, pad)
    colours = np.pad(view.colours, ((pad, pad), (pad, pad), (0, 0)), mode="edge").clip(0, 255).astype(np.uint8)
    if not stroke_width(colours, mask):
        return view
    shown = cleaned(np.dstack([colours, np.where(mask, 255, 0).astype(np.uint8)]), mask)
    return replace(view, colours=shown.colours[pad:-pad, pad:-pad])


def hull(views: Views, levels: np.ndarray, rows: int) -> np.ndarray | None:
    """(L, R) field that is negative outside all side silhouettes, in the units of thickness squared."""
    if not views.profiles:
        return None
    distance = np.min([profile.distance(levels, rows) for profile in views.profiles], axis=0)
    return np.asarray(4 * (distance + SLACK))


def _sample(colours: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    at = [rows, columns]
    channels = [ndimage.map_coordinates(colours[..., k], at, order=1, mode="nearest") for k in range(3)]
    return np.stack(channels, -1)
