# SPDX-License-Identifier: GPL-3.0-or-later
"""The line that a drawing has along its outline: how wide it is, its colour, and the picture without it.

A contour belongs to a view, not to the figure: it is taken away here and given back as an outline that every view has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# Of the figure's height: the inside that the line is compared with, and the widest line looked for.
REACH, WIDEST = 0.014, 0.010
DARKER, SHARE = 12.0, 0.42  # of 255; part of the outline that must be darker than the inside for line art
SURE = 2.5  # pixels from the outline where the background no longer shows through
# Of the height: deeper inside, a mask that is soft doubts the figure's outline; no background shows through there.
SOFT = 0.008
LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)


@dataclass
class Cleaned:
    """front: (H, W, 3) uint8, what the front shows; colours: (H, W, 3) float32 without the line; both carried on
    outside the figure. sure: (H, W) bool, pixels that were not filled in. stroke: width of the line in pixels, 0
    without one; ink: (3,) uint8, its colour.
    """

    front: np.ndarray
    colours: np.ndarray
    sure: np.ndarray
    stroke: float
    ink: np.ndarray


def stroke_width(rgb: np.ndarray, mask: np.ndarray) -> float:
    """Pixels of dark line along the outline of (H, W) bool `mask`, 0 if the picture (H, W, 3) is not line art."""
    depth = ndimage.distance_transform_edt(mask)
    slope_row, slope_column = np.gradient(ndimage.gaussian_filter(depth, 1.5))
    light = rgb.astype(np.float32) @ LUMINANCE
    length = np.maximum(np.hypot(slope_row, slope_column), 1e-3)
    tall = float(np.ptp(np.flatnonzero(mask.any(1)))) + 1
    width = 0.0
    for k in range(2, int(WIDEST * tall) + 1):
        row, column = np.nonzero((depth > k - 1) & (depth <= k))
        if len(row) < 50:
            break
        step = (REACH * tall - k) / length[row, column]
        at = [row + slope_row[row, column] * step, column + slope_column[row, column] * step]
        inner = ndimage.map_coordinates(light, at, order=1, mode="nearest")
        if np.mean(light[row, column] < inner - DARKER) > SHARE:
            width = float(k)
        elif k > 3 and width < k - 1:
            break
    return width


def cleaned(rgba: np.ndarray, mask: np.ndarray) -> Cleaned:
    """rgba: (H, W, 4) uint8."""
    rgb = rgba[..., :3]
    depth = ndimage.distance_transform_edt(mask)
    stroke = stroke_width(rgb, mask)
    tall = float(np.ptp(np.flatnonzero(mask.any(1)))) + 1
    solid = mask & (depth > SURE) & ((rgba[..., 3] > 250) | (depth > SOFT * tall))
    sure = solid & (depth > stroke + 1.5) if stroke else solid
    # Fingers and tips thinner than the line keep their middle.
    sure |= mask & (depth >= ndimage.maximum_filter(depth, size=5)) & (depth > 1.5)
    colours = extended(rgb, sure if sure.any() else mask).astype(np.float32)
    soft = ndimage.gaussian_filter(colours, (2.0, 2.0, 0))
    weight = np.clip((stroke + 3 - depth) / 2, 0, 1)[..., None].astype(np.float32)
    colours = colours * (1 - weight) + soft * weight
    ink = np.zeros(3, np.uint8)
    if not stroke:
        return Cleaned(extended(rgb, solid if solid.any() else mask), colours, sure, 0.0, ink)
    line = mask & (rgba[..., 3] > 250) & (depth > 1) & (depth <= stroke)
    light = rgb.astype(np.float32) @ LUMINANCE
    dark = line & (light < (colours @ LUMINANCE) - DARKER)
    if dark.any():
        ink = np.median(rgb[dark], axis=0).round().astype(np.uint8)
    return Cleaned(colours.round().astype(np.uint8), colours, sure, stroke, ink)


def extended(colours: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """Colours carried outwards from the sure inside of the figure, so that no background shows at its edge."""
    rows, columns = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    return np.ascontiguousarray(colours[rows, columns])
