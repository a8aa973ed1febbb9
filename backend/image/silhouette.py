# SPDX-License-Identifier: GPL-3.0-or-later
"""Joints of a standing figure from its silhouette alone (shared reference, preview engine 3.2): no network, no random
numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage
from skimage.transform import resize

from .arms import Tip, along, arm_line, choose_pair, find_tips, open_pockets
from .gate import MAX_ARM_ANGLE, Evidence, is_humanoid
from .trunk import Legs, Neck, find_legs, find_neck, symmetry_axis

JOINTS = ("hips", "neck", "head") + tuple(
    side + part
    for side in ("left", "right")
    for part in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
)
SIDES = (("left", 1.0), ("right", -1.0))
WORK_HEIGHT = 400


@dataclass
class SilhouetteJoints:
    """joints: the 15 marker joints and `headTop`, pixels (x right, y down) of the mask given; left is the character's.

    confidence, 0..1: symmetry (mirrored overlap), leftArm and rightArm (0.5 and over: the arm stands away from the
    body), legs, neck, cover (part of the upper body's rows that lie on the axis). Lengths over the figure's height:
    armpit (depth of the shallower one), headRatio. Degrees below horizontal: leftAngle, rightAngle (shoulder to
    fingertip).
    flags: no_neck, skirt, legs_closed, weak_left_arm, weak_right_arm, no_left_arm, no_right_arm, steep_arms.
    humanoid: see gate.is_humanoid.
    """

    joints: dict[str, tuple[float, float]]
    confidence: dict[str, float]
    flags: list[str] = field(default_factory=list)
    humanoid: bool = False


@dataclass
class _Body:
    """What the parts of the search share; pixels of the working mask."""

    mask: np.ndarray
    distance: np.ndarray
    axis: float
    top: int
    height: float
    neck: Neck
    legs: Legs

    @property
    def neck_to_sole(self) -> float:
        return self.top + self.height - self.neck.y

    @property
    def head_ratio(self) -> float:
        return (self.neck.y - self.top) / self.height

    @property
    def slide(self) -> float:
        """0 for realistic proportions, 1 for a head of half the height."""
        return float(np.clip((self.head_ratio - 0.15) / 0.35, 0.0, 1.0))


def detect_joints(mask: np.ndarray) -> SilhouetteJoints:
    """Joints of the figure in `mask` (H, W) bool, front view, arms 0 to 60 degrees below horizontal.

    Always gives all joints, estimated from usual proportions where the silhouette hides them; `humanoid` says whether
    to believe them. Raises ValueError if the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        raise ValueError("the mask is empty")
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = WORK_HEIGHT / box.shape[0]
    size = (WORK_HEIGHT, max(8, round(box.shape[1] * scale)))
    blurred = scale < 1
    small = resize(box.astype(np.float32), size, order=1, anti_aliasing=blurred, mode="constant") >= 0.5
    result = _detect(_one_piece(np.pad(small, 10)))
    factor = np.array([box.shape[1] / size[1], 1 / scale])

    def back(point: tuple[float, float]) -> tuple[float, float]:
        x, y = (np.array(point) - 10 + 0.5) * factor - 0.5
        return float(x + columns[0]), float(y + rows[0])

    result.joints = {name: back(point) for name, point in result.joints.items()}
    return result


def _one_piece(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if count <= 1:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def _detect(mask: np.ndarray) -> SilhouetteJoints:
    distance = ndimage.distance_transform_edt(mask)
    rows = np.flatnonzero(mask.any(axis=1))
    top, height = int(rows[0]), float(rows[-1] - rows[0] + 1)
    axis, symmetry = symmetry_axis(distance)
    legs = find_legs(mask, axis, height, top)
    mask = open_pockets(mask, axis, height)
    distance = ndimage.distance_transform_edt(mask)
    left, right = choose_pair(find_tips(mask, distance, axis, top, height), mask, axis, top, height)
    pair = {"left": left, "right": right}
    found = [tip for tip in (left, right) if tip is not None]
    rooted = [tip for tip in found if tip.width_to_length < 1.4]
    shoulder_top = float(np.mean([tip.above[1] for tip in rooted])) if rooted else None
    neck = find_neck(mask, axis, top, height, shoulder_top)
    body = _Body(mask, distance, axis, top, height, neck, legs)
    result = SilhouetteJoints(
        {}, {"symmetry": symmetry, "headRatio": body.head_ratio, "neck": float(np.clip(2 * (1 - neck.ratio), 0, 1))}
    )
    if neck.ratio > 0.9:
        result.flags.append("no_neck")
    _place_legs(body, result)
    _place_head(body, result)
    for side, sign in SIDES:
        _place_arm(body, side, sign, pair[side], result)
    result.confidence["cover"] = _cover(body, result.joints["hips"][1])
    evidence = Evidence.of(left, right, axis, top, height, symmetry, legs.split, neck.ratio, result.confidence)
    result.confidence["armpit"] = evidence.armpit
    result.humanoid = is_humanoid(evidence)
    if found and evidence.angle > MAX_ARM_ANGLE:
        result.flags.append("steep_arms")
    return result


def _cover(body: _Body, hips: float) -> float:
    """Part of the rows from the head to the hips that are covered at the axis: two people side by side have a gap
    there.
    """
    x, reach = round(body.axis), max(1, int(0.02 * body.height))
    rows = body.mask[body.top + int(0.04 * body.height) : int(hips), max(x - reach, 0) : x + reach + 1]
    return float(rows.any(axis=1).mean()) if len(rows) else 0.0


def _place_head(body: _Body, result: SilhouetteJoints) -> None:
    neck, span = body.neck, body.neck_to_sole
    x = 0.5 * (neck.x + body.axis)
    result.joints["neck"] = (x, neck.y + 0.025 * span)
    result.joints["head"] = (0.5 * (neck.head_x + x), neck.y - 0.04 * span)
    result.joints["headTop"] = (neck.head_x, float(body.top))


def _place_legs(body: _Body, result: SilhouetteJoints) -> None:
    """Heights below are parts of neck to sole, above the sole; children and chibis (large head ratio) have shorter
    legs.
    """
    legs, bottom, span = body.legs, body.top + body.height, body.neck_to_sole
    age = min(body.head_ratio, 0.55) - 0.15
    hips, upper = 0.66 - 0.72 * age, 0.64 - 0.6 * age  # where clothes hide the crotch
    confidence = 0.3
    if legs.crotch is None:
        result.flags.append("legs_closed")
    else:
        crotch = (bottom - legs.crotch) / span
        if crotch + 0.085 < hips - 0.1:
            result.flags.append("skirt")
            hips = 0.8 * hips + 0.2 * (crotch + 0.085)
            confidence = 0.5
        else:
            hips, upper = crotch + 0.085, crotch + 0.07
            confidence = 1.0
    result.joints["hips"] = (body.axis, bottom - hips * span)
    result.confidence["legs"] = confidence
    for side, sign in SIDES:
        line = legs.lines[side]
        foot_y = min(legs.soles[side], bottom) - (0.08 + 0.06 * body.slide) * span
        upper_y = bottom - upper * span
        knee_y = 0.5 * (upper_y + foot_y)
        usual_x = body.axis + sign * 0.06 * body.height
        upper_x = 0.6 * (line[0] + line[1] * upper_y) + 0.4 * usual_x
        result.joints[side + "UpperLeg"] = (float(upper_x), upper_y)
        result.joints[side + "LowerLeg"] = (float(line[0] + line[1] * knee_y), knee_y)
        result.joints[side + "Foot"] = (float(line[0] + line[1] * foot_y), foot_y)


def _place_arm(body: _Body, side: str, sign: float, tip: Tip | None, result: SilhouetteJoints) -> None:
    span, height = body.neck_to_sole, body.height
    prior = np.array([body.axis + sign * 0.085 * height, body.neck.y + 0.08 * span])
    if tip is None:
        result.flags.append(f"no_{side}_arm")
        result.confidence[side + "Arm"] = 0.0
        result.confidence[side + "Angle"] = 90.0
        down = [prior + [sign * 0.02 * height, fraction * 0.45 * span] for fraction in (0.0, 0.45, 0.8)]
        for part, point in zip(("UpperArm", "LowerArm", "Hand"), down, strict=True):
            result.joints[side + part] = (float(point[0]), float(point[1]))
        return
    root = (tip.armpit + tip.above) / 2
    end = np.array([tip.x, tip.y])
    # An arm that is wider than long where it leaves the body is only a hand that sticks out: its line starts at the
    # usual shoulder.
    trust = float(np.clip((1.4 - tip.width_to_length) / 0.5, 0.0, 1.0))
    straight = prior + np.linspace(0, 1, 20)[:, None] * (end - prior)
    if trust > 0:
        path = arm_line(body.mask, body.distance, tip, root)
        shoulder = 0.5 * (_up_the_arm(path, prior, body.axis, sign, height) + prior)
        line = np.vstack([shoulder[None], path])
    slide = body.slide
    for part, fraction in (("UpperArm", 0.0), ("LowerArm", 0.415 - 0.095 * slide), ("Hand", 0.775 - 0.145 * slide)):
        point = along(straight, fraction)
        if trust > 0:
            point = trust * along(line, fraction) + (1 - trust) * point
        result.joints[side + part] = (float(point[0]), float(point[1]))
    result.confidence[side + "Angle"] = float(
        np.degrees(np.arctan2(tip.y - prior[1], max((tip.x - prior[0]) * sign, 0.0)))
    )
    confidence = float(np.clip((tip.depth / height - 0.03) / 0.08, 0, 1) * np.clip(2.0 - tip.width_to_length, 0, 1))
    result.confidence[side + "Arm"] = confidence
    if confidence < 0.5:
        result.flags.append(f"weak_{side}_arm")


def _up_the_arm(path: np.ndarray, prior: np.ndarray, axis: float, sign: float, height: float) -> np.ndarray:
    """The root of the arm; where clothes hide the armpit the visible root is too low, and the arm's line is followed
    up to the shoulder.
    """
    root, outer = along(path, 0.05), along(path, 0.5)
    direction = root - outer
    rise = root[1] - prior[1]
    if rise <= 0 or direction[1] >= -1e-6:
        return root
    most = max((root[0] - axis) * sign - 0.06 * height, 0.0) / max(-direction[0] * sign, 1e-6)
    return np.asarray(root + direction * min(rise / -direction[1], most))
