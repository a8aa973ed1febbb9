# SPDX-License-Identifier: GPL-3.0-or-later
"""The head cut out of a picture and brought to one size, for the search of the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab

Joints = dict[str, tuple[float, float]]

HEIGHT = 160  # working pixels from the top of the head to the neck
ABOVE, BELOW, ASIDE = 0.04, 0.3, 0.9  # margins of the view in heights of the head


@dataclass
class HeadView:
    """lab: (h, w, 3) float32 CIE Lab; inside: (h, w) float32 coverage by the figure. Working pixels.

    top: row of the head's top, chin: row of the head's joint, centre: column of the neck, all in working pixels; the
    neck is HEIGHT below the top.
    origin: (x, y) of the view's corner in the picture; scale: working pixels per pixel of the picture.
    """

    lab: np.ndarray
    inside: np.ndarray
    top: float
    chin: float
    centre: float
    origin: tuple[float, float]
    scale: float

    def to_picture(self, point: np.ndarray) -> list[float]:
        """[x, y] in pixels of the picture (pixel centres are integers)."""
        return [
            float((value + 0.5) / self.scale - 0.5 + start) for value, start in zip(point, self.origin, strict=True)
        ]

    def blurred(self, sigma: float) -> np.ndarray:
        """(h, w, 3) Lab, Gaussian mean over the pixels of the figure alone."""
        weight = ndimage.gaussian_filter(self.inside, sigma, mode="constant")[..., None] + 1e-4
        return np.asarray(
            ndimage.gaussian_filter(self.lab * self.inside[..., None], (sigma, sigma, 0), mode="constant") / weight
        )


def view_of_head(rgba: np.ndarray, mask: np.ndarray, joints: Joints) -> HeadView | None:
    """The head of the figure in (H, W, 4) uint8, by its joints neck, head and headTop (pixels); None where there is
    none to be seen.
    """
    neck_x, neck_y = joints["neck"]
    column = int(np.clip(round(joints["head"][0]), 0, mask.shape[1] - 1))
    rows = np.flatnonzero(mask[:, max(column - 2, 0) : column + 3].any(axis=1))
    if "headTop" in joints:
        top = float(joints["headTop"][1])
    elif len(rows):
        top = float(rows[0])
    else:
        return None
    height = neck_y - top
    if height < 12:
        return None
    x0, x1 = (int(np.clip(neck_x + side * ASIDE * height, 0, mask.shape[1])) for side in (-1, 1))
    y0, y1 = (int(np.clip(y, 0, mask.shape[0])) for y in (top - ABOVE * height, neck_y + BELOW * height))
    if x1 - x0 < 12 or y1 - y0 < 12:
        return None
    scale = HEIGHT / height
    size = (max(8, round((x1 - x0) * scale)), max(8, round((y1 - y0) * scale)))
    colours = Image.fromarray(np.ascontiguousarray(_without_fringe(rgba[y0:y1, x0:x1, :3], mask[y0:y1, x0:x1])))
    cover = Image.fromarray(mask[y0:y1, x0:x1].astype(np.uint8) * 255)
    lab = rgb2lab(
        np.asarray(colours.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC))
        / np.float32(255)
    )
    inside = (
        np.asarray(cover.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR), np.float32)
        / 255
    )
    return HeadView(
        lab.astype(np.float32),
        inside,
        (top - y0) * scale,
        (joints["head"][1] - y0) * scale,
        (neck_x - x0) * scale,
        (x0, y0),
        scale,
    )


def _without_fringe(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The figure's colours carried on outside of it, so that resizing mixes nothing in."""
    if mask.all() or not mask.any():
        return rgb
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return np.asarray(rgb[tuple(nearest)])
