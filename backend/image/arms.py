# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands, armpits and arm lines of a standing figure's silhouette (shared reference, preview engine 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.signal import find_peaks
from scipy.spatial import ConvexHull, QhullError, cKDTree
from skimage.graph import MCP_Geometric
from skimage.measure import find_contours

from .trunk import run_at

FAR = 1e5


@dataclass
class Tip:
    """A point of the outline far from the body's axis along the body: perhaps a hand.

    x, y: pixels. reach: geodesic distance from the axis. armpit, above: outline points below and above the root.
    depth: of the concavity under it. thickness: median width of the limb over its length.
    """

    x: float
    y: float
    reach: float
    armpit: np.ndarray
    above: np.ndarray
    depth: float
    thickness: float

    @property
    def width_to_length(self) -> float:
        """Width of the cut at the root over the length from there to the tip, 2 at most."""
        root = (self.armpit + self.above) / 2
        cut = float(np.hypot(*(self.armpit - self.above)))
        return min(cut / max(float(np.hypot(self.x - root[0], self.y - root[1])), 1.0), 2.0)


def outline(mask: np.ndarray) -> np.ndarray:
    """(N, 2) x, y of the outer contour, clockwise in the picture, starting at its highest point."""
    contour = max(find_contours(np.pad(mask, 1).astype(np.float32), 0.5), key=len)[:-1, ::-1] - 1.0
    area = np.dot(contour[:, 0], np.roll(contour[:, 1], -1)) - np.dot(contour[:, 1], np.roll(contour[:, 0], -1))
    if area < 0:
        contour = contour[::-1]
    return np.roll(contour, -int(np.argmin(contour[:, 1])), axis=0)


def geodesic_from_axis(mask: np.ndarray, axis: float) -> np.ndarray:
    """(H, W) distance in pixels inside the mask from its pixels on the axis; inf where there is no way."""
    column = round(axis)
    starts = [(int(y), x) for x in (column, column + 1) if 0 <= x < mask.shape[1] for y in np.flatnonzero(mask[:, x])]
    if not starts:
        return np.full(mask.shape, np.inf)
    costs = np.where(mask, 1.0, -1.0)
    distance, _ = MCP_Geometric(costs).find_costs(starts)
    return np.asarray(distance)


def open_pockets(mask: np.ndarray, axis: float, height: float) -> np.ndarray:
    """The mask with the gap between an arm and the body opened where the hand touches the thigh: cut by the shortest
    way down and out.
    """
    holes, count = ndimage.label(~mask)
    if count <= 1:
        return mask
    outside = np.argwhere(holes == holes[0, 0])
    opened = mask.copy()
    for index, box in enumerate(ndimage.find_objects(holes), start=1):
        hole = np.argwhere(holes[box] == index) + [box[0].start, box[1].start]
        lateral = abs(hole[:, 1].mean() - axis) > 0.05 * height
        if index == holes[0, 0] or not lateral or len(hole) < 0.0008 * height**2:
            continue
        bottom = hole[:, 0].max()
        below = outside[(outside[:, 0] > bottom - 0.02 * height) & ((outside[:, 1] - axis) * (hole[0, 1] - axis) > 0)]
        lower = hole[hole[:, 0] > bottom - 0.35 * np.ptp(hole[:, 0]) - 1]
        if len(below) == 0:
            continue
        gaps, nearest = cKDTree(below).query(lower)
        start, end = lower[int(np.argmin(gaps))], below[nearest[int(np.argmin(gaps))]]
        if gaps.min() > 0.12 * height:
            continue
        for share in np.linspace(0.0, 1.0, int(2 * gaps.min()) + 2):
            y, x = np.round(start + share * (end - start)).astype(int)
            opened[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = False
    return opened


def find_tips(mask: np.ndarray, distance: np.ndarray, axis: float, top: float, height: float) -> dict[str, list[Tip]]:
    """Hand candidates of each side ("left" is the character's: right in the picture), none lower than .93 of the
    height.
    """
    contour = outline(mask)
    geodesic = geodesic_from_axis(mask, axis)
    inside = np.clip(np.round(contour).astype(int), 0, [mask.shape[1] - 1, mask.shape[0] - 1])
    values = _value_near(geodesic, inside)
    found: dict[str, list[Tip]] = {"left": [], "right": []}
    bottom = top + height
    # Clockwise from the top: first the picture's right, which is the character's left, then the other way round.
    for side, path, value in (("left", contour, values), ("right", contour[::-1], values[::-1])):
        sign = 1.0 if side == "left" else -1.0
        low = path[:, 1] > bottom - 0.02 * height
        stop = int(np.argmax(low)) if low.any() else len(path)
        half, reach = path[:stop], value[:stop]
        if len(half) < 8:
            continue
        peaks, _ = find_peaks(np.concatenate([[0.0], reach, [0.0]]), prominence=0.02 * height, plateau_size=1)
        for peak in peaks - 1:
            x, y = half[peak]
            if reach[peak] < 0.06 * height or y > bottom - 0.07 * height or (x - axis) * sign <= 0.03 * height:
                continue
            tip = _describe(half, reach, int(peak), distance, height, axis, sign)
            if tip is not None:
                found[side].append(tip)
    return found


def _value_near(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The largest finite value of `field` around each (x, y): outline points lie between inside and outside."""
    best = np.zeros(len(points))
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            x = np.clip(points[:, 0] + dx, 0, field.shape[1] - 1)
            y = np.clip(points[:, 1] + dy, 0, field.shape[0] - 1)
            value = field[y, x]
            best = np.maximum(best, np.where(np.isfinite(value), value, 0.0))
    return best


def _describe(
    path: np.ndarray, reach: np.ndarray, peak: int, distance: np.ndarray, height: float, axis: float, sign: float
) -> Tip | None:
    """The concavity below the tip and the cut that separates the limb from the body.

    path, reach: outline from the top of the figure to its soles on one side, and its geodesic distance from the axis.
    """
    below = path[peak:]
    # The gap between a thumb and the fingers is a slot too, but not as deep as the armpit.
    pits = [
        pit for pit in (_slot(below, height), _first_concavity((below - [axis, 0]) * [sign, 1], 0.015 * height)) if pit
    ]
    if not pits:
        return None
    index, depth = max(pits, key=lambda pit: pit[1])
    armpit = below[index]
    above_path = path[: peak + 1]
    gaps = np.hypot(above_path[:, 0] - armpit[0], above_path[:, 1] - armpit[1])
    # The cut ends on the body's side of the limb, not at its tip.
    near = reach[: peak + 1] < max(0.65 * reach[peak], reach[: peak + 1].min() + 1.0)
    above = above_path[int(np.argmin(np.where(near, gaps, np.inf)))]
    root = (armpit + above) / 2
    steps = np.linspace(0.15, 0.75, 9)[:, None]
    line = path[peak] + (root - path[peak]) * steps
    ix = np.clip(np.round(line).astype(int), 0, [distance.shape[1] - 1, distance.shape[0] - 1])
    thickness = float(2 * np.median(distance[ix[:, 1], ix[:, 0]]))
    return Tip(float(path[peak][0]), float(path[peak][1]), float(reach[peak]), armpit, above, depth, thickness)


def _slot(path: np.ndarray, height: float) -> tuple[int, float] | None:
    """(index, depth) of the end of a narrow gap between a hanging arm and the body: the path comes back close to
    where it starts.
    """
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    chord = np.hypot(*(path - path[0]).T)
    depth = (steps - chord) / 2
    back = (chord < 0.12 * height) & (steps > 0.15 * height) & (depth > 0.04 * height)
    if not back.any():
        return None
    end = int(np.argmax(np.where(back, depth, 0.0)))
    return int(np.argmax(chord[: end + 1])), float(depth[end])


def _first_concavity(path: np.ndarray, least: float) -> tuple[int, float] | None:
    """(index, depth) of the first concavity of an open path that is at least `least` and .4 of the deepest one.

    The path is (N, 2): x outwards from the axis, y down, from a hand to a foot. Depth is measured from the lid that
    the outer side of the path's convex hull puts on it.
    """
    if len(path) < 4:
        return None
    try:
        # Two far points on the inner side, one above and one beside the foot, keep the inner points off the hull.
        hull = ConvexHull(
            np.vstack([path, [path[-1, 0] - FAR, path[-1, 1]], [path[:, 0].min() - 1.0, path[0, 1] - FAR]])
        )
    except QhullError:
        return None
    corners = np.unique(np.concatenate([[0], hull.vertices[hull.vertices < len(path)], [len(path) - 1]]))
    pits = []
    for a, b in pairwise(corners):
        if b - a < 3:
            continue
        lid = path[b] - path[a]
        length = np.hypot(*lid)
        if length < 1e-6:
            continue
        offset = path[a:b] - path[a]
        depths = np.abs(lid[0] * offset[:, 1] - lid[1] * offset[:, 0]) / length
        deepest = int(np.argmax(depths))
        pits.append((a + deepest, float(depths[deepest])))
    if not pits:
        return None
    limit = max(least, 0.4 * max(depth for _, depth in pits))
    return next(((index, depth) for index, depth in pits if depth >= limit), None)


def choose_pair(
    tips: dict[str, list[Tip]], mask: np.ndarray, axis: float, top: float, height: float
) -> tuple[Tip | None, Tip | None]:
    """The pair that looks most like two hands: far from the body, low (hat brims and ears are high), alike, slim,
    with armpits.
    """
    best: tuple[Tip | None, Tip | None] = (None, None)
    best_score = 0.0
    for left in tips["left"]:
        for right in tips["right"]:
            score = _pair_score(left, right, axis, top, height) * _body_below(left, right, mask, axis, height)
            if score > best_score:
                best, best_score = (left, right), score
    return best


def _body_below(left: Tip, right: Tip, mask: np.ndarray, axis: float, height: float) -> float:
    """1 where the body under the armpits is as wide as between them; little where they are the sides of a neck, under
    a hat's brim.
    """
    row = round(max(left.armpit[1], right.armpit[1]) + 0.015 * height)
    widths = []
    for y in range(row, min(row + int(0.16 * height), mask.shape[0])):
        run = run_at(mask[y], axis, 0.04 * height)
        widths.append(run[1] - run[0] if run else 0)
    if not widths or widths[0] == 0:
        return 1.0
    return min(1.0, 1.4 * widths[0] / max(widths)) ** 5


def _pair_score(left: Tip, right: Tip, axis: float, top: float, height: float) -> float:
    apart = np.hypot((left.x + right.x) / 2 - axis, (left.y - right.y) / 2) / height
    similarity = float(np.exp(-((apart / 0.12) ** 2))) * min(left.reach, right.reach) / max(left.reach, right.reach)
    score = similarity * min(left.reach, right.reach) / height
    for tip in (left, right):
        low = max((tip.y - top) / height, 0.0)
        fall = float(np.clip((0.95 - low) / 0.13, 0.05, 1.0))  # hems of coats and capes are the lowest tips of all
        slim = 1.0 / (1.0 + (tip.thickness / max(tip.reach, 1.0)) ** 2) / np.hypot(1.0, tip.width_to_length)
        score *= (low**0.75) * fall * slim * min(1.0, tip.depth / (0.09 * height)) ** 0.5
    return score


def arm_line(mask: np.ndarray, distance: np.ndarray, tip: Tip, root: np.ndarray) -> np.ndarray:
    """(N, 2) x, y from `root` to the hand's tip along the middle of the arm: least-cost path with cost 1 / (D +
    .5)^1.5.
    """
    margin = 12
    x0 = int(max(min(tip.x, root[0]) - margin, 0))
    y0 = int(max(min(tip.y, root[1]) - margin - 0.1 * mask.shape[0], 0))
    x1 = int(min(max(tip.x, root[0]) + margin, mask.shape[1] - 1)) + 1
    y1 = int(min(max(tip.y, root[1]) + margin + 0.1 * mask.shape[0], mask.shape[0] - 1)) + 1
    inside = mask[y0:y1, x0:x1]
    costs = np.where(inside, 1.0 / (distance[y0:y1, x0:x1] + 0.5) ** 1.5, -1.0)
    ends = []
    for x, y in ((root[0], root[1]), (tip.x, tip.y)):
        rows, columns = np.nonzero(inside)
        nearest = int(np.argmin((columns + x0 - x) ** 2 + (rows + y0 - y) ** 2))
        ends.append((int(rows[nearest]), int(columns[nearest])))
    search = MCP_Geometric(costs)
    reached, _ = search.find_costs([ends[0]], [ends[1]])
    if not np.isfinite(reached[ends[1]]):
        return np.array([root, [tip.x, tip.y]], float)
    path = np.array(search.traceback(ends[1]), float)[:, ::-1] + [x0, y0]
    path[0] = root
    return path


def along(path: np.ndarray, fraction: float) -> np.ndarray:
    """(2,) the point at `fraction` of the path's length."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    target = fraction * lengths[-1]
    return np.array([np.interp(target, lengths, path[:, 0]), np.interp(target, lengths, path[:, 1])])
