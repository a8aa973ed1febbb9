# SPDX-License-Identifier: GPL-3.0-or-later
"""Separating one figure from a transparent or plain background (shared reference, preview engine 3.1).

A plain background is a second-order polynomial of the picture coordinates per CIE Lab channel, fitted robustly to the
picture's border; what is connected to the border and close to that colour is background. Colour distances below are
Euclidean in Lab (CIE76).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.morphology import convex_hull_image

from ..errors import BackendError

RING = 0.015  # width of the border ring, part of the shorter side
MIN_INLIERS = 0.75
MAX_RESIDUAL = 12.0
CROSS = ndimage.generate_binary_structure(2, 1)
PLAIN_HINT = "Use a transparent or single-colour background, or cut the character out first."


@dataclass
class Figure:
    """mask: (H, W) bool, the figure. alpha: (H, W) uint8, its soft edge, 0 away from it.

    contact: side of the picture -> length in pixels along which the figure touches it.
    second: pixels of the second largest separate thing over those of the figure.
    low_contrast: part of the outline whose colour is that of the background (0 for transparent pictures).
    loose: (H, W) bool, things beside the figure that may be parts of it (a forearm that the drawing does not join to
    its sleeve), or None. rest: like second, without the loose parts.
    """

    mask: np.ndarray
    alpha: np.ndarray
    contact: dict[str, int] = field(default_factory=dict)
    second: float = 0.0
    low_contrast: float = 0.0
    loose: np.ndarray | None = None
    rest: float = 0.0


def find_figure(rgba: np.ndarray) -> Figure:
    """The figure in (H, W, 4) uint8. Raises BackendError `background` (not plain) or `not_humanoid` (nothing there)."""
    alpha = rgba[..., 3]
    low_contrast = 0.0
    raw, distance = foreground(rgba)
    soft = alpha if distance is None else np.where(raw, 255, 0).astype(np.uint8)
    figure, second, loose, rest = _largest(raw)
    figure = _fill_specks(figure)
    if distance is not None:
        low_contrast = _low_contrast(figure, distance)
        soft = _soft_edge(figure)
    else:
        near = ndimage.binary_dilation(figure, iterations=2)
        soft = np.where(figure, np.maximum(soft, 128), np.where(near, np.minimum(soft, 127), 0)).astype(np.uint8)
    return Figure(figure, soft, _contact(figure), second, low_contrast, loose, rest)


def foreground(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W) bool of everything in (H, W, 4) uint8 that is no background, and its Lab distance to the background,
    None for a cut-out. Raises BackendError `background`.
    """
    alpha = rgba[..., 3]
    return (alpha > 127, None) if is_cut_out(alpha) else _against_plain_background(rgba)


def joined(figure: Figure, rgba: np.ndarray) -> tuple[Figure, np.ndarray]:
    """The figure with its loose parts bridged to it, and (H, W, 4) `rgba` with the bridges painted in the nearest
    colours of the figure.
    """
    mask = figure.mask.copy()
    labels, count = ndimage.label(figure.loose if figure.loose is not None else np.zeros_like(mask), np.ones((3, 3)))
    to_figure = ndimage.distance_transform_edt(~figure.mask)
    for index in range(1, count + 1):
        part = labels == index
        gap, thick = float(to_figure[part].min()), 2 * float(ndimage.distance_transform_edt(part).max())
        reach = gap + 0.3 * thick
        ends = part & (to_figure <= reach)
        ends |= figure.mask & (ndimage.distance_transform_edt(~part) <= reach)
        mask |= part | convex_hull_image(ends)
    bridge = mask & ~figure.mask & (labels == 0)
    # From inside the outline's ink, which would make the bridge one dark patch.
    ink = max(2, round(0.006 * np.ptp(np.flatnonzero(mask.any(axis=1)))))
    known = ndimage.binary_erosion(mask & ~bridge, CROSS, iterations=ink)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    painted = rgba.copy()
    painted[bridge, :3] = rgba[..., :3][tuple(nearest[:, bridge])]
    alpha = np.where(labels > 0, np.maximum(_soft_edge(mask), figure.alpha), figure.alpha)
    alpha[bridge] = 255
    return Figure(mask, alpha, _contact(mask), figure.rest, figure.low_contrast, rest=figure.rest), painted


def _contact(figure: np.ndarray) -> dict[str, int]:
    sides = {"top": figure[0], "bottom": figure[-1], "left": figure[:, 0], "right": figure[:, -1]}
    return {side: int(row.sum()) for side, row in sides.items()}


def is_cut_out(alpha: np.ndarray) -> bool:
    """True if the alpha channel holds a cut-out figure rather than a whole opaque picture."""
    return bool((alpha < 16).mean() > 0.02 and (alpha > 240).mean() > 0.01)


def _largest(mask: np.ndarray) -> tuple[np.ndarray, float, np.ndarray | None, float]:
    """(figure, area of the second largest thing over the figure's, its loose parts, the second's share
    without them).
    """
    opened = ndimage.binary_opening(mask, CROSS)
    labels, count = ndimage.label(opened, np.ones((3, 3)))
    if count == 0:
        raise BackendError(
            "not_humanoid", "There is no figure in the picture.", "Use a picture with one character in it."
        )
    areas = np.bincount(labels.ravel())[1:]
    order = np.argsort(-areas, kind="stable")
    second = float(areas[order[1]] / areas[order[0]]) if count > 1 else 0.0
    figure = labels == order[0] + 1
    loose, rest = _loose_parts(labels, areas, order), second
    if loose is not None:
        belongs = np.zeros(count + 1, bool)
        belongs[np.unique(labels[loose])] = True
        rest = max((float(areas[k] / areas[order[0]]) for k in order[1:] if not belongs[k + 1]), default=0.0)
    # The opening rounded fine tips off: give back what touches the figure.
    return ndimage.binary_dilation(figure, np.ones((3, 3)), mask=mask), second, loose, rest


def _loose_parts(labels: np.ndarray, areas: np.ndarray, order: np.ndarray) -> np.ndarray | None:
    """Things within 4.5 % of the height of the figure that are .8 to 12 % of its area, or stand over or under it as a
    head on a body.
    """
    boxes = ndimage.find_objects(labels)
    figure = labels == order[0] + 1
    distance: np.ndarray | None = None
    near = []
    for index in order[1:]:
        share = areas[index] / areas[order[0]]
        (rows, columns), (own_rows, own_columns) = boxes[index], boxes[order[0]]
        tall = max(rows.stop, own_rows.stop) - min(rows.start, own_rows.start)
        overlap = min(rows.stop, own_rows.stop) - max(rows.start, own_rows.start)
        beside = abs(columns.start + columns.stop - own_columns.start - own_columns.stop) / 2
        stacked = overlap < 0.15 * min(rows.stop - rows.start, own_rows.stop - own_rows.start) and beside < 0.08 * tall
        if share < 0.008 or (share > 0.12 and not stacked):
            continue
        if distance is None:
            distance = ndimage.distance_transform_edt(~figure)
        if distance[boxes[index]][labels[boxes[index]] == index + 1].min() <= 0.045 * tall:
            near.append(index + 1)
    return np.isin(labels, near) if near else None


def _fill_specks(figure: np.ndarray) -> np.ndarray:
    holes, count = ndimage.label(~figure, CROSS)
    if count == 0:
        return figure
    areas = np.bincount(holes.ravel())
    small = areas < 0.0004 * figure.sum()
    small[0] = False
    return figure | small[holes]


def _against_plain_background(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mask, Lab distance to the fitted background), each (H, W)."""
    # Half-transparent pixels of a picture that is no cut-out are shown on white.
    weight = rgba[..., 3:].astype(np.float32) / 255.0
    lab = rgb2lab(rgba[..., :3].astype(np.float32) / 255.0 * weight + (1.0 - weight)).astype(np.float32)
    background, residual = _fit_background(lab)
    difference = lab - background
    distance = np.sqrt((difference**2).sum(axis=2))
    near, far = _thresholds(residual)
    sure = distance < near
    outside = _connected_to_border(sure)
    # JPEG ringing and blocks around the figure: allowed, but only a few pixels deep, so that pale parts are not eaten.
    outside = ndimage.binary_dilation(outside, CROSS, iterations=4, mask=distance < far)
    outside = _take_shadow(outside, lab, difference, far)
    outside |= _pockets(sure, outside)
    return ~outside, distance


def _thresholds(residual: float) -> tuple[float, float]:
    return max(3.5, 4.0 * residual), max(9.0, 5.0 * residual)


def _fit_background(lab: np.ndarray) -> tuple[np.ndarray, float]:
    """The background (H, W, 3) and the median Lab distance of the border's pixels to it."""
    height, width = lab.shape[:2]
    ring = max(2, round(RING * min(height, width)))
    border = np.zeros((height, width), bool)
    border[:ring] = border[-ring:] = border[:, :ring] = border[:, -ring:] = True
    rows, columns = np.nonzero(border)
    terms = _terms(rows / height - 0.5, columns / width - 0.5)
    colours = lab[rows, columns].astype(np.float64)
    # Start from the commonest colour, so that a subject that touches the border does not pull the first fit.
    coarse = np.round(colours / 6.0).astype(np.int64)
    keys, counts = np.unique(coarse, axis=0, return_counts=True)
    centre = keys[np.argmax(counts)] * 6.0
    inliers = np.sqrt(((colours - centre) ** 2).sum(1)) < 30.0
    for _ in range(6):
        coefficients, *_ = np.linalg.lstsq(terms[inliers], colours[inliers], rcond=None)
        error = np.sqrt(((terms @ coefficients - colours) ** 2).sum(1))
        median = float(np.median(error[inliers]))
        keep = error < max(2.5 * median, 4.0)
        if keep.sum() < 0.3 * len(keep):
            break
        inliers = keep
    share = float((error < max(4.0 * median, 6.0)).mean())
    if share < MIN_INLIERS or median > MAX_RESIDUAL:
        raise BackendError("background", "The background of the picture is not plain.", PLAIN_HINT)
    y = np.linspace(-0.5, 0.5, height, endpoint=False)[:, None]
    x = np.linspace(-0.5, 0.5, width, endpoint=False)[None, :]
    fitted = np.empty_like(lab)
    for channel in range(3):
        c = coefficients[:, channel]
        fitted[..., channel] = (c[0] + c[1] * y + c[3] * y * y) + (c[2] + c[4] * y) * x + c[5] * x * x
    return fitted, median


def _terms(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(y), y, x, y * y, x * y, x * x], axis=1)


def _connected_to_border(candidates: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(candidates, CROSS)
    keep = np.zeros(count + 1, bool)
    keep[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    keep[0] = False
    return keep[labels]


def _take_shadow(outside: np.ndarray, lab: np.ndarray, difference: np.ndarray, far: float) -> np.ndarray:
    """Adds the drop shadow under the feet to the background: background-hued, darker, low in the figure, and without
    an edge of its own towards the background (or a flat lens of one tone, as vector art has it).
    """
    figure = ~outside
    rows = np.flatnonzero(figure.any(axis=1))
    if len(rows) == 0:
        return outside
    top, bottom = rows[0], rows[-1]
    low = np.zeros_like(figure)
    low[int(bottom - 0.22 * (bottom - top)) :] = True
    chroma = np.hypot(difference[..., 1], difference[..., 2])
    tinted = (
        low
        & figure
        & (difference[..., 0] < -1.0)
        & (difference[..., 0] > -65.0)
        & (chroma < 7.0 + 0.12 * np.abs(difference[..., 0]))
    )
    if not tinted.any():
        return outside
    start = int(bottom - 0.22 * (bottom - top)) - 4
    smooth = np.zeros_like(lab[..., 0])
    part = ndimage.gaussian_filter(lab[max(start, 0) :], (0.8, 0.8, 0))
    steps = np.sqrt(sum(ndimage.sobel(part, axis=axis) ** 2 for axis in (0, 1)).sum(axis=2)) / 8.0
    smooth[max(start, 0) :] = steps
    soft = tinted & (smooth < 3.0)
    grown = ndimage.binary_propagation(ndimage.binary_dilation(outside, CROSS) & soft, CROSS, mask=soft)
    grown |= _flat_lenses(tinted & ~grown, outside, lab, bottom - top)
    return outside | ndimage.binary_dilation(grown, CROSS, iterations=2, mask=tinted)


def _flat_lenses(candidates: np.ndarray, outside: np.ndarray, lab: np.ndarray, height: int) -> np.ndarray:
    """Regions of one tone that are wide, flat and at the very bottom: hard-edged shadows."""
    found = np.zeros_like(candidates)
    labels, _ = ndimage.label(ndimage.binary_opening(candidates, CROSS), CROSS)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        region = labels[box] == index
        tall, wide = region.shape
        if wide < 0.15 * height or tall > 0.14 * height or wide < 2.2 * tall:
            continue
        tones = lab[box][region]
        uniform = np.abs(tones - np.median(tones, axis=0)).mean() < 2.5
        if uniform and (ndimage.binary_dilation(labels == index, CROSS, iterations=3) & outside).any():
            found[box] |= region
    return found


def _pockets(sure: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Enclosed background: between the legs, between a hand on the body and the arm.

    White eyes and shirts look the same, so above the middle of the figure a pocket has to be large and off the
    figure's middle.
    """
    rows, columns = np.nonzero(~outside)
    if len(rows) == 0:
        return outside
    top, height = rows.min(), rows.max() - rows.min() + 1
    middle = float(np.median(columns))
    labels, _ = ndimage.label(sure & ~outside, CROSS)
    found = np.zeros_like(sure)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        region = labels[box] == index
        area = region.sum() / height**2
        y = (box[0].start + box[0].stop) / 2 - top
        x = (box[1].start + box[1].stop) / 2 - middle
        low = y > 0.5 * height
        if area > (0.0012 if low else 0.008) and (low or abs(x) > 0.07 * height):
            found[box] |= region
    return ndimage.binary_dilation(found, CROSS, iterations=1, mask=~outside) if found.any() else found


def _low_contrast(figure: np.ndarray, distance: np.ndarray) -> float:
    """Part of the outline whose pixels just inside have the background's colour."""
    inner = ndimage.binary_erosion(figure, CROSS, iterations=3)
    band = inner & ~ndimage.binary_erosion(inner, CROSS, iterations=2)
    return float((distance[band] < 8.0).mean()) if band.any() else 0.0


def _soft_edge(figure: np.ndarray) -> np.ndarray:
    """Alpha that follows the mask with a one-pixel ramp; on the mask it is at least 128, off it below."""
    ramp = ndimage.uniform_filter(figure.astype(np.float32), 3) * 255.0
    return np.where(figure, np.maximum(ramp, 128.0), np.minimum(ramp, 127.0)).astype(np.uint8)
