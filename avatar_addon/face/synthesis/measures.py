# SPDX-License-Identifier: GPL-3.0-or-later
"""A face's landmarks as measures, in a frame of its own: u to the character's left, v up, d depth (larger is
deeper).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...errors import AvatarError
from ...landmarks import REQUIRED, FaceLandmarks

# Shares of the distance between the eyes, for markers without a size, and limits for those that have one.
EYE_HALF_WIDTH, EYE_HALF_WIDTH_RANGE = 0.23, (0.08, 0.4)
EYE_HALF_HEIGHT_OF_WIDTH, EYE_HALF_HEIGHT_RANGE = 0.55, (0.3, 1.5)
EYE_HALF_HEIGHT_MOST = 0.3
MOUTH_WIDTH, MOUTH_WIDTH_RANGE = 0.6, (0.2, 1.2)
# From the mouth to the chin, as a share of the way from the eyes to the mouth; limits in mouth widths.
CHIN, CHIN_RANGE = 0.62, (0.72, 1.3)
CHIN_MARKED_RANGE = (0.5, 2.0)  # of a jaw marker
# The brow above the lid in eye distances, its limits, and where it is in the band of skin that moves with it (0 at
# the lid, 1 at its end).
BROW, BROW_RANGE, BROW_AT = 0.217, (0.06, 0.6), 0.35
LID = 1.05  # half heights of the eye from its middle to the lid that the brow is above
ROLL_MOST = math.radians(25)
SIDES = ("Left", "Right")


@dataclass(frozen=True)
class Eye:
    """An upright ellipse in the face plane. side: Left or Right, the character's; brow: its height above the lid;
    inward: the sign of u towards the nose."""

    side: str
    u: float
    v: float
    half_width: float
    half_height: float
    brow: float

    @property
    def inward(self) -> float:
        return -1.0 if self.side == "Left" else 1.0


@dataclass(frozen=True)
class Face:
    """Measures in metres; the frame's origin is the mouth marker.

    turn: (3, 3) rows are the directions of u, v and d in Blender's axes; width: of the mouth; spacing: of the eyes;
    chin: mouth to chin.
    """

    origin: np.ndarray
    turn: np.ndarray
    width: float
    spacing: float
    chin: float
    eyes: tuple[Eye, Eye]

    def to_face(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) points of Blender's axes as (u, v, d)."""
        return (np.asarray(points, np.float64) - self.origin) @ self.turn.T

    def to_blender(self, points: np.ndarray) -> np.ndarray:
        return points @ self.turn + self.origin


def measure_face(landmarks: FaceLandmarks) -> Face:
    """The measures of a face, Blender's axes. Raises AvatarError where no face can be like that."""
    left, right, mouth = (_place(landmarks, name) for name in REQUIRED)
    parts = [landmarks.parts["leftEye"], landmarks.parts["rightEye"]]
    if left[0] < right[0]:  # the markers were mixed up; which is left is a matter of where it is
        left, right, parts = right, left, parts[::-1]
    across = left - right
    roll = float(np.clip(math.atan2(across[2], across[0]), -ROLL_MOST, ROLL_MOST))
    turn = np.array([[math.cos(roll), 0, math.sin(roll)], [-math.sin(roll), 0, math.cos(roll)], [0.0, 1.0, 0.0]])
    spacing = float(abs(across @ turn[0]))
    height = float((turn[1] @ (left + right)) / 2 - turn[1] @ mouth)
    if spacing < 1e-4 or height < 0.2 * spacing:
        raise AvatarError(
            "The mouth marker must be below two eye markers that are side by side; move the face markers.",
            "face_markers",
        )
    width = _within(2 * landmarks.parts["mouth"].half_width or MOUTH_WIDTH * spacing, MOUTH_WIDTH_RANGE, spacing)
    eyes = []
    for side, centre, part in zip(SIDES, (left, right), parts, strict=True):
        u, v, _ = turn @ (centre - mouth)
        half_width = _within(part.half_width or EYE_HALF_WIDTH * spacing, EYE_HALF_WIDTH_RANGE, spacing)
        half_height = _within(
            part.half_height or EYE_HALF_HEIGHT_OF_WIDTH * half_width, EYE_HALF_HEIGHT_RANGE, half_width
        )
        half_height = min(half_height, EYE_HALF_HEIGHT_MOST * spacing)
        brow = _height(landmarks, side.lower() + "Brow", turn, mouth)
        above = BROW * spacing if brow is None else _within(brow - v - LID * half_height, BROW_RANGE, spacing)
        eyes.append(Eye(side, float(u), float(v), half_width, half_height, above))
    jaw = _height(landmarks, "jaw", turn, mouth)
    chin = _within(CHIN * height, CHIN_RANGE, width) if jaw is None else _within(-jaw, CHIN_MARKED_RANGE, width)
    return Face(mouth, turn, width, spacing, chin, (eyes[0], eyes[1]))


def usual_places(landmarks: FaceLandmarks) -> dict[str, np.ndarray]:
    """Where the optional markers are meant to be while they are not placed: leftBrow, rightBrow and jaw, in Blender's
    axes.

    Raises AvatarError as measure_face does.
    """
    face = measure_face(FaceLandmarks({name: landmarks.parts[name] for name in REQUIRED if name in landmarks.parts}))
    places = {"jaw": face.to_blender(np.array([[0.0, -face.chin, 0.0]]))[0]}
    for eye in face.eyes:
        depth = face.to_face(np.array([landmarks.parts[eye.side.lower() + "Eye"].center]))[0, 2]
        places[eye.side.lower() + "Brow"] = face.to_blender(
            np.array([[eye.u, eye.v + LID * eye.half_height + eye.brow, depth]])
        )[0]
    return places


def _height(landmarks: FaceLandmarks, name: str, turn: np.ndarray, mouth: np.ndarray) -> float | None:
    """v of an optional landmark."""
    if name not in landmarks.parts:
        return None
    return float(turn[1] @ (_place(landmarks, name) - mouth))


def _place(landmarks: FaceLandmarks, name: str) -> np.ndarray:
    if not landmarks.is_placed(name):
        raise AvatarError("A face marker is missing; place both eyes and the mouth first.", "face_markers")
    return np.array(landmarks.parts[name].center, np.float64)


def _within(value: float, limits: tuple[float, float], unit: float) -> float:
    return float(min(max(value, limits[0] * unit), limits[1] * unit))
