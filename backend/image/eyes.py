# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair of eyes in a view of the head: spots that differ from what is around them, and what speaks for two of them
being eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .head import HEIGHT, HeadView

SCALES = (2.0, 3.2, 5.0, 8.0)  # working pixels
PER_SCALE = 16
GRID = np.linspace(-1.0, 1.0, 13)
PATCH = 0.26  # half side of an eye's patch in distances between the eyes
FEATURES = (
    "spot",
    "even",
    "mirror",
    "tilt",
    "height",
    "spacing",
    "offset",
    "cheeks calm",
    "bridge calm",
    "skin alike",
    "darker",
    "contrast",
    "face mirror",
    "outlier",
)


@dataclass
class Spots:
    """points: (N, 2) x, y working pixels; strength: (N,) Lab difference to the surroundings; radius: (N,) working
    pixels.
    """

    points: np.ndarray
    strength: np.ndarray
    radius: np.ndarray


def find_spots(view: HeadView) -> Spots:
    """Local maxima of the colour difference between two Gaussian means, over four sizes, inside the head."""
    deep = ndimage.distance_transform_edt(np.pad(view.inside > 0.5, 1))[1:-1, 1:-1]
    bottom = int(min(view.top + 1.1 * HEIGHT, view.lab.shape[0]))
    found: list[tuple[float, float, float, float]] = []
    for scale in SCALES:
        response = np.sqrt(((view.blurred(scale) - view.blurred(2.2 * scale)) ** 2).sum(axis=2))
        response[deep < 3] = 0
        response[bottom:] = 0
        peaks = (response == ndimage.maximum_filter(response, size=2 * int(scale) + 1)) & (response > 2.0)
        rows, columns = np.nonzero(peaks)
        order = np.argsort(-response[rows, columns], kind="stable")[:PER_SCALE]
        found += [(float(response[rows[k], columns[k]]), float(columns[k]), float(rows[k]), scale) for k in order]
    kept: list[tuple[float, float, float, float]] = []
    for spot in sorted(found, reverse=True):
        if all(np.hypot(spot[1] - other[1], spot[2] - other[2]) > 4.0 for other in kept):
            kept.append(spot)
    table = np.array(kept).reshape(-1, 4)
    return Spots(table[:, 1:3], table[:, 0], 1.4 * table[:, 3])


def candidate_pairs(spots: Spots, view: HeadView) -> np.ndarray:
    """(P, 2) indices of spots: the left one in the picture first."""
    if len(spots.points) < 2:
        return np.zeros((0, 2), int)
    first, second = np.nonzero(spots.points[:, None, 0] < spots.points[None, :, 0])
    gap = (spots.points[second] - spots.points[first]) / HEIGHT
    middle = (spots.points[second] + spots.points[first]) / 2
    y = (middle[:, 1] - view.top) / HEIGHT
    good = (gap[:, 0] > 0.12) & (gap[:, 0] < 0.62) & (np.abs(gap[:, 1]) < 0.22 * gap[:, 0])
    good &= (y > 0.25) & (y < 0.97) & (np.abs(middle[:, 0] - view.centre) < 0.25 * HEIGHT)
    ratio = spots.radius[first] / spots.radius[second]
    good &= (ratio > 0.4) & (ratio < 2.5)
    return np.column_stack([first[good], second[good]])


class Sampler:
    """Colours of the view at any points, at a fine and a coarse blur."""

    def __init__(self, view: HeadView) -> None:
        self.view = view
        self.fine, self.coarse = view.blurred(1.2), view.blurred(2.5)
        gradient = [ndimage.gaussian_gradient_magnitude(view.lab[..., channel], 1.2) for channel in range(3)]
        self.edges = ndimage.gaussian_filter(np.sqrt(np.sum(np.square(gradient), axis=0)), 3.0)

    def at(self, field: np.ndarray, points: np.ndarray) -> np.ndarray:
        """(..., 2) x, y to (..., channels)."""
        field = field if field.ndim == 3 else field[..., None]
        where = [points[..., 1], points[..., 0]]
        return np.stack(
            [ndimage.map_coordinates(field[..., k], where, order=1, mode="nearest") for k in range(field.shape[2])],
            axis=-1,
        )

    def patches(self, centres: np.ndarray, across: np.ndarray, half: np.ndarray) -> np.ndarray:
        """(P, n, n, 3) around `centres` (P, 2); `across` (P, 2): the unit direction of the columns; half: (P,) or (P,
        1) half side.
        """
        down = np.column_stack([-across[:, 1], across[:, 0]])
        x, y = np.meshgrid(GRID, GRID)
        half = np.reshape(half, (-1, 1, 1, 1))
        grid = x[None, ..., None] * across[:, None, None] + y[None, ..., None] * down[:, None, None]
        return self.at(self.fine, centres[:, None, None] + grid * half)


def mirrored_likeness(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(P,) normalised cross-correlation, -1..1, of (P, n, n, 3) patches, the right one mirrored."""
    a, b = left, right[:, :, ::-1]
    a = a - a.mean(axis=(1, 2), keepdims=True)
    b = b - b.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((a**2).sum(axis=(1, 2, 3)) * (b**2).sum(axis=(1, 2, 3)))
    return np.asarray((a * b).sum(axis=(1, 2, 3)) / np.maximum(norm, 1e-6))


def describe(sampler: Sampler, a: np.ndarray, b: np.ndarray, strength: np.ndarray, loudest: float) -> np.ndarray:
    """(P, len(FEATURES)) of eyes at a and b, (P, 2) each, with (P, 2) spot strengths; `loudest` is the head's
    strongest spot.
    """
    view = sampler.view
    gap = b - a
    d = np.maximum(np.hypot(gap[:, 0], gap[:, 1]), 1e-6)
    across = gap / d[:, None]
    down = np.column_stack([-across[:, 1], across[:, 0]])
    middle = (a + b) / 2
    left, right = (sampler.patches(eye, across, PATCH * d) for eye in (a, b))
    half_left, half_right = (
        sampler.patches(middle + side * 0.5 * gap + 0.15 * d[:, None] * down, across, 0.5 * d) for side in (-1, 1)
    )
    cheek_a, cheek_b = (eye + 0.5 * d[:, None] * down for eye in (a, b))
    bridge = middle + 0.08 * d[:, None] * down
    colours = [sampler.at(sampler.coarse, place) for place in (cheek_a, cheek_b, bridge)]
    edges = [sampler.at(sampler.edges, place)[:, 0] for place in (cheek_a, cheek_b, bridge)]
    loud = np.minimum(sampler.at(sampler.edges, a)[:, 0], sampler.at(sampler.edges, b)[:, 0]) + 0.5
    eye_colour = [patch[:, 4:9, 4:9].mean(axis=(1, 2)) for patch in (left, right)]
    skin = np.median(np.stack(colours), axis=0)
    contrast = np.minimum(
        *[np.linalg.norm(patch - skin[:, None, None], axis=3).max(axis=(1, 2)) for patch in (left, right)]
    )
    weak = strength.min(axis=1)
    return np.column_stack(
        [
            np.log(weak / 10.0),
            np.log(weak / strength.max(axis=1)),
            mirrored_likeness(left, right),
            np.abs(gap[:, 1]) / d * 5.0,
            -(((middle[:, 1] - view.top) / HEIGHT - 0.63) ** 2) * 40.0,
            -(np.log(d / (0.33 * HEIGHT)) ** 2) * 8.0,
            -(((middle[:, 0] - view.centre) / HEIGHT) ** 2) * 80.0,
            np.clip(np.log((edges[0] + edges[1]) / 2 / loud + 0.05), -3, 1),
            np.clip(np.log(edges[2] / loud + 0.05), -3, 1),
            -np.clip(np.maximum(*[np.linalg.norm(c - skin, axis=1) for c in colours[:2]]) / 20.0, 0, 2)
            - np.clip(np.linalg.norm(colours[2] - skin, axis=1) / 20.0, 0, 2),
            np.clip(np.minimum(*[skin[:, 0] - c[:, 0] for c in eye_colour]) / 30.0, -1, 1.5),
            np.clip(contrast / 40.0, 0, 2),
            mirrored_likeness(half_left, half_right),
            np.log(np.maximum(strength.max(axis=1), 1.0) / max(loudest, 1.0)),
        ]
    )
