# SPDX-License-Identifier: GPL-3.0-or-later
"""A figure that leans, or whose picture was taken askew: its joints are looked for upright and turned back."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .silhouette import SilhouetteJoints, detect_joints
from .trunk import symmetry_axis

MOST, STEP = 8.0, 1.0  # degrees to either side that are tried
ROWS = 160  # of the mask in which the tilt is measured
SURE = 0.75  # symmetry that a second look must find: more tries are more chances to see a person in a thing
LEAST_GAIN = 0.02  # of symmetry (0..1), below which a figure counts as upright


def detect_upright(mask: np.ndarray) -> SilhouetteJoints:
    """`detect_joints` of a mask (H, W) bool, and where that finds no person, of the same turned until it is most
    symmetrical.

    Joints are in pixels of the mask as given. Raises ValueError if the mask is empty.
    """
    found = detect_joints(mask)
    if found.humanoid:
        return found
    degrees = tilt(mask)
    if not degrees:
        return found
    turned = ndimage.rotate(mask.astype(np.uint8), degrees, order=0, reshape=True) > 0
    better = detect_joints(turned)
    if not better.humanoid or better.confidence["symmetry"] < SURE:
        return found
    angle = np.radians(degrees)
    back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle, centre = ((np.array(shape[::-1]) - 1) / 2 for shape in (mask.shape, turned.shape))
    better.joints = {
        name: tuple((back @ (np.array(point) - centre) + middle).tolist()) for name, point in better.joints.items()
    }
    return better


def tilt(mask: np.ndarray) -> float:
    """Degrees, counterclockwise, by which the figure is to be turned for the most symmetrical silhouette; 0 where
    that gains little.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    small = ndimage.zoom(box.astype(np.float32), ROWS / len(box), order=1)
    angles = np.arange(-MOST, MOST + STEP, STEP)

    def symmetry(degrees: float) -> float:
        return symmetry_axis(ndimage.distance_transform_edt(np.pad(ndimage.rotate(small, degrees, order=1) > 0.5, 2)))[
            1
        ]

    scores = np.array([symmetry(degrees) for degrees in angles])
    best = int(scores.argmax())
    return float(angles[best]) if scores[best] - scores[len(angles) // 2] >= LEAST_GAIN else 0.0
