# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the sides and the back, used: a side's silhouette fits the depth, and all give their colours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..image.views import View
from .body import ARMS
from .cape import Cape
from .solid import Depth
from .thickness import Frame

STRETCH = 0.35, 3.0  # limits of what a row's depth is multiplied by
SLACK = 0.7  # cells that the hull leaves around a side's silhouette


@dataclass
class Profile:
    """A side picture, the figure's front to the left, and the frame it fits. zero: its column of z = 0."""

    view: View
    frame: Frame
    top: float
    zero: float

    def extent(self, row: int) -> tuple[float, float, float, bool] | None:
        """z in cells of front and back of the silhouette in a row of the grid, of the end of its frontmost run, and
        whether there are others behind it.
        """
        y = round(row * self.frame.pixels + self.frame.origin[1] - self.top)
        if not 0 <= y < len(self.view.mask) or not self.view.mask[y].any():
            return None
        line = np.flatnonzero(self.view.mask[y])
        gaps = np.flatnonzero(np.diff(line) > max(2, 0.4 * self.frame.pixels))
        first = line[gaps[0]] if len(gaps) else line[-1]
        front, back, end = (self._z(x) for x in (line[0] - 0.5, line[-1] + 0.5, first + 0.5))
        return front, back, end, bool(len(gaps))

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
    placed = Views(arms=arms)
    for side in ("left", "right"):
        if side in views:
            view = views[side] if side == "left" else views[side].mirrored()
            setattr(placed, side, Profile(view, frame, corner[1], view.mask.shape[1] / 2))
    if "back" in views:
        placed.back = Behind(views["back"], *corner, width)
    return placed


def fit_sides(depth: Depth, views: Views) -> Depth:
    """The depth changed so that each row reaches as far forward and back as the side pictures have it."""
    for profile in views.profiles:
        _place_zero(depth, profile)
    return _fit(depth, views.profiles) if views.profiles else depth


def _core(depth: Depth) -> np.ndarray:
    """(R, C): the body without arms and cape."""
    return (depth.inside > 0) & ~np.isin(depth.parts, ARMS)


def _own_extents(depth: Depth) -> np.ndarray:
    """(R, 2): z of the frontmost and rearmost point of the body's core per row, NaN where there is none."""
    core, thick = _core(depth), depth.thick
    front = np.where(core, depth.centre + thick, -np.inf).max(1)
    back = np.where(core, depth.centre - thick, np.inf).min(1)
    out = np.stack([front, back], 1)
    out[~core.any(1)] = np.nan
    return out


def _place_zero(depth: Depth, profile: Profile) -> None:
    """The middles of picture and body agree over the trunk."""
    own, rows = _own_extents(depth), len(depth.inside)
    start, off = int(depth.body.shoulder), []
    for r in range(start, min(int(start + 0.3 * rows), rows)):
        extent = profile.extent(r)
        if extent and np.isfinite(own[r, 0]):
            off.append((extent[0] + (extent[1] if depth.cape is None else extent[2])) / 2 - own[r].mean())
    if off:
        profile.zero -= float(np.median(off)) * profile.frame.pixels


def _wanted(depth: Depth, profiles: list[Profile], own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R, 2) extents of the body's core and (R,) z of the rearmost point of all, mean of the pictures, NaN unknown."""
    rows = len(depth.inside)
    wanted, outer = np.full((len(profiles), rows, 2), np.nan), np.full((len(profiles), rows), np.nan)
    for k, profile in enumerate(profiles):
        for r in range(rows):
            extent = profile.extent(r)
            if extent is None or not np.isfinite(own[r, 0]):
                continue
            front, back, end, several = extent
            wanted[k, r], outer[k, r] = (front, back), back
            if depth.cape is not None and depth.cape.region[r].any():
                wanted[k, r, 1] = end if several else max(own[r, 1], back + 2 * depth.cape.thick)
    known = np.isfinite(outer)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known[..., None], wanted, 0).sum(0) / count[:, None]
    rear = np.where(known, outer, 0).sum(0) / count
    some = known.any(0)
    return np.where(some[:, None], mean, np.nan), np.where(some, rear, np.nan)


def _fit(depth: Depth, profiles: list[Profile]) -> Depth:
    own = _own_extents(depth)
    wanted, outer = _wanted(depth, profiles, own)
    known = np.flatnonzero(np.isfinite(wanted[:, 0]))
    if not len(known):
        return depth
    stretch = (wanted[known, 0] - wanted[known, 1]) / np.maximum(own[known, 0] - own[known, 1], 0.5)
    stretch = np.clip(stretch, *STRETCH)
    shift = wanted[known].mean(1) - stretch * own[known].mean(1)
    every = np.arange(len(own))
    stretch, shift = (ndimage.gaussian_filter1d(np.interp(every, known, v), 0.7) for v in (stretch, shift))
    figure = depth.inside > 0
    arm = figure & np.isin(depth.parts, ARMS)
    apart = np.clip(ndimage.gaussian_filter(arm.astype(float), 2.0), 0, 1) * arm
    calm = ndimage.gaussian_filter1d(shift, 3)
    by = stretch[:, None] * (1 - apart) + apart
    centre = depth.centre * by + shift[:, None] * (1 - apart) + calm[:, None] * apart
    square = depth.square * np.where(depth.square > 0, by**2, by)
    cape = depth.cape
    return replace(depth, centre=centre, square=square, cape=_hang(cape, outer) if cape is not None else None)


def _hang(cape: Cape, outer: np.ndarray) -> Cape:
    """The sheet moved to where the side pictures show what is rearmost."""
    rows = np.flatnonzero(cape.region.any(1) & np.isfinite(outer))
    if not len(rows):
        return cape
    at = np.interp(np.arange(len(outer)), rows, outer[rows]) + cape.thick
    shift = ndimage.gaussian_filter1d(at, 1.0) - cape.centre.min(1)
    return replace(cape, centre=cape.centre + shift[:, None])


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
