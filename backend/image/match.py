# SPDX-License-Identifier: GPL-3.0-or-later
"""How well the front of a mesh matches the picture that it was made from, for choosing among candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree
from skimage.color import rgb2lab

from .analysis import analyse

SIZE = 192  # pixels of the longer side of what is compared
TOLERANCE = 0.02  # of it: how far apart two outlines may run


def match_front(picture: Path, render: Path, markers: dict[str, Any] | None = None) -> dict[str, float]:
    """{match, outline, colour}: match from 0 to 1 is outline less a fiftieth of colour.

    render: an RGBA picture of the mesh from the front, transparent around it. outline: intersection over union of both
    figures, each in its own bounding box; colour: mean distance in CIE Lab where both are. Raises BackendError as
    `analyse`.
    """
    found = analyse(picture, markers, draft=True)
    given = _figure(found.rgba[..., :3], found.mask)
    shown = np.asarray(Image.open(render).convert("RGBA"))
    made = _figure(shown[..., :3], shown[..., 3] > 127)
    both = given[1] & made[1]
    outline = float(both.sum() / max((given[1] | made[1]).sum(), 1))
    colour = _colour_distance(given, made)
    return {"match": max(0.0, outline - colour / 50), "outline": outline, "colour": colour}


def _figure(rgb: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The figure's box at SIZE: colours (SIZE, SIZE, 3) and mask (SIZE, SIZE), feet and middle at the same place."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    canvas, inside = np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), bool)
    if not len(rows):
        return canvas, inside
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    scale = SIZE / max(box[2] - box[0], box[3] - box[1])
    size = (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))
    left = (SIZE - size[0]) // 2
    place = (slice(SIZE - size[1], SIZE), slice(left, left + size[0]))
    canvas[place] = np.asarray(Image.fromarray(rgb).crop(box).resize(size, Image.Resampling.BOX))
    inside[place] = np.asarray(Image.fromarray(mask).crop(box).resize(size, Image.Resampling.NEAREST))
    return canvas, inside


def _colour_distance(given: tuple[np.ndarray, np.ndarray], made: tuple[np.ndarray, np.ndarray]) -> float:
    """Mean over the picture's figure of the least distance to a colour of the mesh close by."""
    here, there = np.argwhere(given[1]), np.argwhere(made[1])
    if not len(here) or not len(there):
        return 100.0
    lab_given, lab_made = rgb2lab(given[0]), rgb2lab(made[0])
    _, near = cKDTree(there).query(here, k=min(9, len(there)), distance_upper_bound=TOLERANCE * SIZE + 1)
    near = near.reshape(len(here), -1)
    known = near < len(there)
    spots = there[np.minimum(near, len(there) - 1)]
    apart = np.linalg.norm(lab_made[spots[..., 0], spots[..., 1]] - lab_given[here[:, 0], here[:, 1]][:, None], axis=2)
    apart = np.where(known, apart, np.inf).min(1)
    return float(apart[np.isfinite(apart)].mean()) if np.isfinite(apart).any() else 100.0
