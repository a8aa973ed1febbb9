# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixels of a picture are of an arm or a leg: a map of the parts and the limb's bones, each where it is sure.

A map of the parts is soft at its borders and has specks anywhere; bones know nothing of sleeves. A pixel is the limb's
where both together speak for it, along the edges of the picture, in one piece with the bones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

ARM_PARTS, LEG_PARTS = ("UpperArm", "Forearm", "Hand"), ("Thigh", "Shin", "Foot")
ARM_JOINTS, LEG_JOINTS = ("UpperArm", "LowerArm", "Hand"), ("UpperLeg", "LowerLeg", "Foot")
SIDES = ("left", "right")
HEADS = ("face", "hair", "headgear", "head")
# What a pixel's label adds to how near it is to the bones: 0 is as far as REACH radii.
REACH, OWN, OTHER, HEAD = 1.25, 1.2, -0.55, -1.1
FAR = 3.0  # radii: beyond, no label makes a pixel the limb's
THIN, THICK, USUAL = 0.16, 0.46, 0.27  # of the first bone's length: the limb's radius
HAND = 0.5, 1.25  # of the forearm: how far a hand reaches beyond the wrist; its radius over the forearm's
EDGES = 0.02  # of the height: how far borders look for an edge of the picture
PIECE = 0.12  # of the largest: a smaller piece is a speck
SURE = 0.5  # of a limb's bones where the map has it
SAMPLES = 24  # along the bones
HIDDEN = 0.4  # of a bone, at least, is shown; TUBE: radii of one that is not
TUBE = 0.9


@dataclass
class Limb:
    """cells: (H, W) bool. joints: (3, 2) pixels, root, middle, end. near: (H, W) distance to the bones in radii.
    piece: (H, W) int8, 0 for the first bone, 1 from the second on. radius: pixels. found: 0..1, how much of the bones
    lies where the map has the limb; below SURE, nothing but what the map has is of the limb. left_behind: (H, W) bool,
    what would stay of it where it was.
    """

    cells: np.ndarray
    joints: np.ndarray
    near: np.ndarray
    piece: np.ndarray
    radius: float
    found: float
    left_behind: np.ndarray | None = None

    def padded(self, pad: int) -> Limb:
        """In a picture with so many more pixels around it."""
        return Limb(
            np.pad(self.cells, pad),
            self.joints + pad,
            np.pad(self.near, pad, constant_values=np.inf),
            np.pad(self.piece, pad),
            self.radius,
            self.found,
            None if self.left_behind is None else np.pad(self.left_behind, pad),
        )

    def cells_of(self, piece: int, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) bool: a bone's pixels, and those that show its colours. A bone that is hidden is a tube, coloured as
        the rest of the limb, or without one as what lies on it.
        """
        cells, (a, b) = self.cells & (self.piece == piece), self.joints[piece : piece + 2]
        if _at(cells, _samples(a + 0.2 * (b - a), b)).mean() >= HIDDEN:
            return cells, cells
        tube = (self.near < TUBE) & (self.piece == piece)
        return tube | cells, self.cells if self.cells.any() else tube & mask


def labelled(labels: np.ndarray, names: tuple[str, ...], wanted: list[str]) -> np.ndarray:
    """(H, W) bool."""
    return np.isin(labels, [names.index(name) for name in wanted if name in names])


def find_limb(
    mask: np.ndarray, grey: np.ndarray, own: np.ndarray, head: np.ndarray, joints: np.ndarray, height: float
) -> Limb:
    """own, head: (H, W) bool, what the map says is of the limb and of the head. joints: (3, 2). grey: (H, W) float32,
    0..1. height: the figure's, pixels.
    """
    tip = joints[2] + HAND[0] * (joints[2] - joints[1])
    first = max(float(np.hypot(*(joints[1] - joints[0]))), 0.03 * height)
    radius = _radius(own, np.vstack([joints, tip]), first)
    window = _window([*joints, tip], FAR * radius, mask.shape)
    corner = np.array([window[1].start, window[0].start])
    limb = Limb(
        np.zeros(mask.shape, bool),
        joints,
        np.full(mask.shape, np.float32(np.inf)),
        np.zeros(mask.shape, np.int8),
        radius,
        _support(own, joints, radius),
    )
    near, piece = _distance(mask[window].shape, [point - corner for point in (*joints, tip)], radius)
    limb.near[window], limb.piece[window] = near, piece
    own, head, inside = own[window], head[window], mask[window]
    if limb.found < SURE:
        cells = own & inside & (near < FAR)
    else:
        score = REACH - near + np.where(own, OWN, np.where(head, HEAD, OTHER))
        score = np.where(near > FAR, -2.0, np.clip(score, -2.0, 2.0)).astype(np.float32)
        cells = (_along_edges(score, grey[window], inside, max(round(EDGES * height), 2)) > 0) & inside & (near < FAR)
    limb.cells[window] = ndimage.binary_fill_holes(_pieces(cells, near < 1)) & inside
    return limb


def _window(points: list[np.ndarray], reach: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    low = np.maximum(np.floor(np.min(points, axis=0) - reach).astype(int), 0)
    high = np.ceil(np.max(points, axis=0) + reach).astype(int) + 1
    return slice(min(low[1], shape[0] - 1), max(high[1], 1)), slice(min(low[0], shape[1] - 1), max(high[0], 1))


def _support(own: np.ndarray, joints: np.ndarray, radius: float) -> float:
    """0..1: how much of the bones, but for the limb's root, lies where the map has the limb."""
    root = joints[0] + 0.3 * (joints[1] - joints[0])
    line = _samples(root, joints[1], joints[2])
    steps = 0.4 * radius * np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])
    return float(np.any([_at(own, line + step) for step in steps], axis=0).mean())


def _radius(own: np.ndarray, points: np.ndarray, first: float) -> float:
    """Half the limb's width by the map, at the deepest place near each of some points along the bones."""
    low = np.maximum(np.floor(points.min(0) - first).astype(int), 0)
    high = np.ceil(points.max(0) + first).astype(int) + 1
    window = own[low[1] : high[1], low[0] : high[0]]
    if not window.any():
        return USUAL * first
    depth = ndimage.distance_transform_edt(np.pad(window, 1))[1:-1, 1:-1]
    deepest = ndimage.maximum_filter(depth, size=max(round(0.5 * first), 1))
    found = _at(deepest, _samples(*points[:3]) - low)
    found = found[found > 0]
    return USUAL * first if len(found) < SAMPLES // 3 else float(np.clip(np.median(found), THIN * first, THICK * first))


def _samples(*points: np.ndarray) -> np.ndarray:
    """(N, 2) evenly along a chain."""
    lengths = np.cumsum([0.0, *(np.hypot(*(b - a)) for a, b in zip(points, points[1:], strict=False))])
    at = np.linspace(0, lengths[-1], SAMPLES)
    return np.stack([np.interp(at, lengths, [p[k] for p in points]) for k in (0, 1)], -1)


def _at(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values at (N, 2) pixels, 0 outside."""
    column, row = np.round(points).astype(int).T
    inside = (row >= 0) & (column >= 0) & (row < values.shape[0]) & (column < values.shape[1])
    found = np.zeros(len(points), values.dtype)
    found[inside] = values[row[inside], column[inside]]
    return found


def _distance(shape: tuple[int, ...], points: list[np.ndarray], radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the chain in radii, and which bone is nearest: 0 the first, 1 any other. The hand is wider."""
    row, column = np.indices(shape, np.float32)
    best, piece = np.full(shape, np.inf, np.float32), np.zeros(shape, np.int8)
    for k, (a, b) in enumerate(zip(points, points[1:], strict=False)):
        way = (b - a).astype(np.float32)
        t = ((column - a[0]) * way[0] + (row - a[1]) * way[1]) / max(float(way @ way), 1e-6)
        t = np.clip(t, 0, 1)
        away = np.hypot(column - a[0] - t * way[0], row - a[1] - t * way[1])
        away /= radius * (HAND[1] if k == 2 else 1.0)
        nearer = away < best
        best, piece = np.where(nearer, away, best), np.where(nearer, np.int8(k > 0), piece)
    return best, piece


def _along_edges(score: np.ndarray, grey: np.ndarray, mask: np.ndarray, reach: int) -> np.ndarray:
    """The score with its borders moved to edges of the picture near by: a guided filter (He and others, 2010)."""
    size, weight = 2 * reach + 1, mask.astype(np.float32)
    share = np.maximum(ndimage.uniform_filter(weight, size), 1e-3)

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values * weight, size) / share

    guide, wanted = mean(grey), mean(score)
    slope = (mean(grey * score) - guide * wanted) / (mean(grey * grey) - guide * guide + 2e-3)
    return np.asarray(mean(slope) * grey + mean(wanted - slope * guide))


def _pieces(cells: np.ndarray, core: np.ndarray) -> np.ndarray:
    """What hangs together with the bones, without specks."""
    names, count = ndimage.label(cells)
    if count < 2:
        return cells
    size = np.bincount(names.ravel(), minlength=count + 1)
    held = np.bincount(names[core], minlength=count + 1)
    size[0] = held[0] = 0
    return np.asarray(np.isin(names, np.flatnonzero((size > PIECE * size.max()) & (held > 0))))


def without_specks(labels: np.ndarray, count: int) -> np.ndarray:
    """(H, W) labels, -1 outside: pieces of a label that are small beside its largest take what lies around them."""
    keep = labels >= 0
    for k in range(count):
        pieces, found = ndimage.label(labels == k)
        if found > 1:
            size = np.bincount(pieces.ravel())
            size[0] = 0
            keep &= ~((pieces > 0) & (size < PIECE * size.max())[pieces])
    nearest = ndimage.distance_transform_edt(~keep, return_distances=False, return_indices=True)
    return np.where(labels >= 0, labels[tuple(nearest)], -1)
