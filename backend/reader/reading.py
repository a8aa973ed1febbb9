# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reader found in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Joint(NamedTuple):
    """Pixels of the picture, x right, y down; depth in the same pixels towards the viewer, zero at the hips."""

    x: float
    y: float
    depth: float
    confidence: float


class FacePart(NamedTuple):
    """Centre and half sizes in pixels of the picture. state: drawn, none or hidden; where it is not drawn, the place is
    an estimate.
    """

    x: float
    y: float
    half_width: float
    half_height: float
    state: str
    confidence: float


@dataclass(frozen=True)
class Reading:
    """joints: JOINTS, headTop and chin; face: leftEye, rightEye and mouth.

    parts (H, W) uint8 index into PARTS; mask (H, W) float32, share of the figure in each pixel; front and back (H, W)
    float32: depth of the nearest and the farthest surface in pixels towards the viewer, zero at the hips, NaN outside
    the figure. yaw in degrees, positive: turned to the picture's right, 180 from behind. humanoids: probability of
    none, one and several. box: left, top, right, bottom of the figure, pixels.
    """

    joints: dict[str, Joint]
    face: dict[str, FacePart]
    parts: np.ndarray
    mask: np.ndarray
    front: np.ndarray
    back: np.ndarray
    yaw: float
    humanoids: dict[str, float]
    box: tuple[float, float, float, float]
