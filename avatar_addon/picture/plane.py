# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture as a plane with markers on it: where they are, usual places, mirroring. Pure; the objects are in
markers.py.

On the plane: metres, x to the right of the picture (the character's left), y up; x = 0 is the body's axis, y = 0 the
picture's bottom. In the picture: pixels of the upright picture, x right, y down. Points are (x, y).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..landmarks import PARTS, REQUIRED, FaceLandmarks, Landmark

HEIGHT = 1.8  # metres of the picture on the plane
MIDDLE = ("hips", "neck", "head")
LIMBS = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
JOINTS = (*MIDDLE, *(side + limb for side in ("left", "right") for limb in LIMBS))
FACE = REQUIRED
LABELS = {"hips": "Hips", "neck": "Neck", "head": "Head"} | {name: PARTS[name].label for name in FACE} | {
    side + part: f"{side.title()} {name}"
    for side in ("left", "right")
    for part, name in {
        "UpperArm": "Shoulder", "LowerArm": "Elbow", "Hand": "Wrist",
        "UpperLeg": "Hip", "LowerLeg": "Knee", "Foot": "Ankle",
    }.items()
}  # fmt: skip
LINES = (
    ("hips", "neck"), ("neck", "head"),
    *((side + a, side + b) for side in ("left", "right") for a, b in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"))),
    *((side + a, side + b) for side in ("left", "right") for a, b in (("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))),
    *(("neck", side + "UpperArm") for side in ("left", "right")),
    *(("hips", side + "UpperLeg") for side in ("left", "right")),
)  # fmt: skip
# An adult in A-pose: shares of the figure's height, from its middle to the left and from its top down.
USUAL = {
    "hips": (0.0, 0.49), "neck": (0.0, 0.18), "head": (0.0, 0.145), "mouth": (0.0, 0.112),
    "UpperArm": (0.095, 0.205), "LowerArm": (0.2, 0.3), "Hand": (0.295, 0.395),
    "UpperLeg": (0.055, 0.52), "LowerLeg": (0.065, 0.73), "Foot": (0.075, 0.945), "Eye": (0.022, 0.075),
}  # fmt: skip
FIGURE = 0.92  # of the picture's height, where nothing is known of it
# Of the distance between the eyes, for those without a size.
EYE_SIZE, MOUTH_WIDTH, MOUTH_FLATNESS = (0.24, 0.15), 0.6, 0.3

SURE = 0.5  # of a marker

Points = dict[str, np.ndarray]


@dataclass(frozen=True)
class Plane:
    """size: the picture's (width, height) in pixels; axis: pixels from its left border to the body's axis."""

    size: tuple[float, float]
    axis: float

    @property
    def pixel(self) -> float:
        """Metres."""
        return HEIGHT / self.size[1]

    def to_plane(self, point: Any) -> np.ndarray:
        x, y = np.asarray(point, float)
        return np.array([(x - self.axis) * self.pixel, (self.size[1] - y) * self.pixel])

    def to_pixels(self, point: Any) -> np.ndarray:
        """Inside the picture: a marker that was dragged over its border counts as on it."""
        x, y = np.asarray(point, float)[:2]
        found = np.array([x / self.pixel + self.axis, self.size[1] - y / self.pixel])
        return np.clip(found, 0, self.size)


def axis_of(points: Mapping[str, Any]) -> float:
    """x of the body's axis, of points in the picture or on the plane."""
    return float(np.mean([np.asarray(points[name], float)[0] for name in MIDDLE]))


def unsure(result: Mapping[str, Any]) -> list[str]:
    """The markers that `analyse` is not sure of: estimates, for the user to check first."""
    joints, face = result.get("joint_confidence") or {}, (result.get("face") or {}).get("confidence") or {}
    chances = joints | {name: face.get("mouth" if name == "mouth" else "eyes", 0.0) for name in FACE}
    return [name for name in (*JOINTS, *FACE) if chances.get(name, 1.0) < SURE]


def usual_markers(size: tuple[float, float]) -> Points:
    """Every marker of an adult in A-pose that fills the picture; pixels."""
    width, height = size
    tall = FIGURE * min(height, width / 0.7)
    top, middle = (height - tall) / 2, width / 2
    out = {}
    for name in (*JOINTS, *FACE):
        side = -1 if name.startswith("right") else 1
        x, y = USUAL[name.removeprefix("left").removeprefix("right")]
        out[name] = np.array([middle + side * x * tall, top + y * tall])
    return out


def pre_filled(result: Mapping[str, Any]) -> Points:
    """Every marker where the backend's `analyse` has it, else where it usually is; pixels."""
    points = usual_markers(result["size"])
    face = FaceLandmarks.from_dict(result.get("face") or {}).parts
    found = dict(result.get("joints") or {}) | {name: mark.center for name, mark in face.items()}
    return points | {name: np.asarray(point, float) for name, point in found.items() if name in points}


def sizes(result: Mapping[str, Any], points: Mapping[str, Any]) -> Points:
    """Half width and half height of the face's markers, pixels."""
    face = FaceLandmarks.from_dict(result.get("face") or {}).parts
    apart = max(float(np.linalg.norm(np.subtract(points["leftEye"], points["rightEye"]))), 4.0)
    out = {}
    for name in ("leftEye", "rightEye"):
        eye = face.get(name, Landmark(()))
        out[name] = np.array([eye.half_width or EYE_SIZE[0] * apart, eye.half_height or EYE_SIZE[1] * apart])
    half = face.get("mouth", Landmark(())).half_width or MOUTH_WIDTH * apart / 2
    return out | {"mouth": np.array([half, half * MOUTH_FLATNESS])}


def other_side(name: str) -> str | None:
    """leftHand -> rightHand and back; None in the middle."""
    if name.startswith("left"):
        return "right" + name[4:]
    return "left" + name[5:] if name.startswith("right") else None


def side_of(name: str) -> str:
    """left, right, or "" in the middle."""
    return name[: len(name) - len(name.removeprefix("left").removeprefix("right"))]


def mirrored(points: Mapping[str, Any]) -> Points:
    """Where the right markers have to be to mirror the left ones about the body's axis; of points on the plane or in
    the picture.
    """
    twice = 2 * axis_of(points)
    found = {}
    for name, point in points.items():
        if name.startswith("left"):
            x, y = np.asarray(point, float)[:2]
            found["right" + name[4:]] = np.array([twice - x, y])
    return found


def to_markers(plane: Plane, points: Mapping[str, Any], scaled: Mapping[str, Any]) -> dict[str, Any]:
    """The request's markers (docs/architecture.md). points: on the plane; scaled: half sizes in metres of what the
    user has sized.

    Eyes whose names were exchanged by dragging get the right ones again.
    """
    at = {name: [round(float(value), 2) for value in plane.to_pixels(point)] for name, point in points.items()}
    face: dict[str, Any] = {}
    names = {name: name for name in FACE}
    if at["leftEye"][0] < at["rightEye"][0]:
        names |= {"leftEye": "rightEye", "rightEye": "leftEye"}
    for name in FACE:
        placed = names[name]
        if placed not in scaled:
            face[name] = at[placed]
            continue
        wide, tall = (round(float(value) / plane.pixel, 2) for value in scaled[placed])
        face[name] = {"center": at[placed]} | (
            {"width": 2 * wide} if name == "mouth" else {"half_width": wide, "half_height": tall}
        )
    return {"joints": {name: at[name] for name in JOINTS}, "face": face}
