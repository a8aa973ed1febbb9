# SPDX-License-Identifier: GPL-3.0-or-later
"""Limbs drawn elsewhere: what moves as one, its pixels where they go, and a bridge where it would hang in the air."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from .fill import window
from .left_out import largest_piece

LOOSE = 0.1  # of an arm: more of it in the air is joined to the trunk
OPAQUE, RIM = 250, 3.0  # alpha, and pixels from the outline, from which on no background shows through
LINK = 0.6  # of an arm's radius: half of a bridge from the trunk to it


@dataclass
class Bone:
    """What is moved as one: its cells, the pixels that tell their colours, the point it turns about and its end, where
    the former goes, and the (2, 2) map of ways from it. radius: of the joint's disc, pixels.
    """

    cells: np.ndarray
    shown: np.ndarray
    pivot: np.ndarray
    end: np.ndarray
    goal: np.ndarray
    matrix: np.ndarray
    radius: float
    part: int

    def moved(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) pixels -> where they go."""
        return (points - self.pivot) @ self.matrix.T + self.goal

    def source(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) pixels -> where they came from."""
        return (points - self.goal) @ np.linalg.inv(self.matrix).T + self.pivot


def without_rim(rgba: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixels of the outline through which the background shows take the colour of what is next to them: where they go,
    they may lie before the figure.
    """
    here, out = window(mask, 2), rgba.copy()
    inside, source = mask[here], rgba[here]
    depth = ndimage.distance_transform_edt(inside)
    solid = inside & (depth > 1) & ((source[..., 3] > OPAQUE) | (depth > RIM))
    rows, columns = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    out[here][inside, :3] = source[rows[inside], columns[inside], :3]
    return out


def draw(bone: Bone, source: np.ndarray, rgba: np.ndarray, mask: np.ndarray, parts: np.ndarray) -> None:
    """Puts a bone's pixels of the picture `source` where they go in rgba, mask and parts."""
    row, column = np.nonzero(bone.cells)
    if not len(row):
        return
    corners = bone.moved(np.array([(x, y) for x in (column.min(), column.max()) for y in (row.min(), row.max())]))
    low = np.minimum(corners.min(0), bone.goal - bone.radius).astype(int) - 2
    high = np.maximum(corners.max(0), bone.goal + bone.radius).astype(int) + 3
    low, high = np.maximum(low, 0), np.minimum(high, mask.shape[::-1])
    here = slice(low[1], high[1]), slice(low[0], high[0])
    y, x = np.mgrid[here]
    points = np.stack([x, y], -1).astype(float)
    # What shows the colours, with room for the disc around the joint.
    shown_row, shown_column = np.nonzero(bone.shown | bone.cells)
    first = np.array([shown_row.min(), shown_column.min()])
    last = np.array([shown_row.max(), shown_column.max()]) + 1
    around = slice(first[0], last[0]), slice(first[1], last[1])
    from_ = bone.source(points)
    at = np.stack([from_[..., 1] - first[0], from_[..., 0] - first[1]])
    moved = ndimage.map_coordinates(bone.cells[around].astype(np.float32), at, order=1) > 0.5
    disc = (np.hypot(*np.moveaxis(points - bone.goal, -1, 0)) < bone.radius) & ~mask[here]
    drawn = moved | disc
    nearest = ndimage.distance_transform_edt(~bone.shown[around], return_distances=False, return_indices=True)
    colours = source[around][tuple(nearest)]
    for k in range(3):
        values = ndimage.map_coordinates(colours[..., k].astype(np.float32), at[:, drawn], order=1, mode="nearest")
        rgba[here][drawn, k] = values.round()
    parts[here][drawn] = bone.part
    mask[here][drawn] = True


def join(bones: list[Bone], neck: np.ndarray, rgba: np.ndarray, mask: np.ndarray, parts: np.ndarray) -> None:
    """Bridges the way from neck to wrist where part of an arm hangs in the air: drawn trunks may be slimmer than
    shoulders, and hair may hide the elbow.
    """
    body, first = largest_piece(mask), bones[0]
    arm = mask & (parts == first.part)
    if (arm & ~body).sum() <= LOOSE * arm.sum():
        return
    y, x = np.indices(mask.shape)
    points, chain = np.stack([x, y], -1), (neck, first.goal, bones[1].goal, bones[1].moved(bones[1].end))
    away = np.min([_to_line(points, a, b) for a, b in pairwise(chain)], axis=0)
    bridge = (away < LINK * first.radius) & ~mask
    nearest = ndimage.distance_transform_edt(~arm, return_distances=False, return_indices=True)
    rgba[bridge] = rgba[tuple(nearest)][bridge]
    parts[bridge] = first.part
    mask |= bridge


def _to_line(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(...) distances of (..., 2) points to the line from a to b."""
    along = np.clip((points - a) @ (b - a) / max(float((b - a) @ (b - a)), 1e-6), 0, 1)
    return np.asarray(np.hypot(*np.moveaxis(points - a - along[..., None] * (b - a), -1, 0)))
