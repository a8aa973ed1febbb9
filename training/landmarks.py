# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a character's key points are in the bind pose, by the same rules for all rigs.

Rigs disagree about ankles (many of them put the bone on the ground) and shoulders (many put it well inside the chest),
so these two come from the body's geometry; a hip is marked where the thigh leaves the trunk, a little below its joint.
All other joints are where the rig's bones start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.reader.layout import FACE, KEYPOINTS, LIMBS, SIDES
from training.characters.character import PART, Character

# The ankle is where trouser meets shoe: at least this share of the knee's height and of the body's height.
ANKLE_OF_KNEE = 0.28
ANKLE_OF_HEIGHT = 0.055
HIP_OF_THIGH = 0.1  # how far below its joint a hip is marked
# How much further than a bare arm the body reaches down where the armpit begins.
ARMPIT = 1.4


@dataclass(frozen=True)
class Landmarks:
    """joints (K,) int: the joint that each of KEYPOINTS moves with, -1 where the character has no such point; places
    (K, 3) in the bind pose.
    """

    joints: np.ndarray
    places: np.ndarray

    def posed(self, matrices: np.ndarray) -> np.ndarray:
        """(K, 3) places after `matrices` (J, 4, 4); NaN where there is none."""
        out = np.full((len(self.joints), 3), np.nan)
        known = self.joints >= 0
        moves = matrices[self.joints[known]]
        out[known] = np.einsum("kij,kj->ki", moves[:, :3, :3], self.places[known]) + moves[:, :3, 3]
        return out


def find_landmarks(character: Character) -> Landmarks:
    """Key points of `character`; hidden or missing eyes and mouths get their estimate where there is one."""
    points: dict[str, tuple[int, np.ndarray]] = {}
    joints = np.asarray(character.joints, float)
    for name in LIMBS:
        joint = character.joint(name)
        if joint is not None:
            points[name] = (joint, joints[joint])
    for side in SIDES:
        _shoulder(character, side, points)
        _ankle(character, side, points)
        _hip(side, points)
    _middle(character, points, joints)
    _face(character, points, joints)
    index = np.full(len(KEYPOINTS), -1)
    places = np.full((len(KEYPOINTS), 3), np.nan)
    for k, name in enumerate(KEYPOINTS):
        if name in points and np.isfinite(points[name][1]).all():
            index[k], places[k] = points[name]
    return Landmarks(index, places)


def _middle(character: Character, points: dict, joints: np.ndarray) -> None:
    """hips: the middle of the hip joints, moved by the bone above them; neck: the base of the neck."""
    left, right, hips = (character.joint(n) for n in ("leftUpperLeg", "rightUpperLeg", "hips"))
    if left is not None and right is not None:
        above = hips if hips is not None else max(int(character.parents[left]), 0)
        points["hips"] = (above, (points["leftUpperLeg"][1] + points["rightUpperLeg"][1]) / 2)
    head, neck = character.joint("head"), character.joint("neck")
    if head is None:
        return
    points["head"] = (head, joints[head])
    if neck is not None:
        points["neck"] = (neck, joints[neck])
    else:
        points["neck"] = (max(int(character.parents[head]), 0), joints[head])


def _face(character: Character, points: dict, joints: np.ndarray) -> None:
    head = character.joint("head")
    if head is None:
        return
    face = character.face
    points["headTop"] = (head, np.asarray(face.head_top, float))
    points["chin"] = (head, np.asarray(face.chin, float))
    for name, feature in zip(FACE, (face.left_eye, face.right_eye, face.mouth), strict=True):
        points[name] = (head, np.asarray(feature.centre, float))


def _hip(side: str, points: dict) -> None:
    hip, knee = points.get(side + "UpperLeg"), points.get(side + "LowerLeg")
    if hip is not None and knee is not None:
        points[side + "UpperLeg"] = (hip[0], hip[1] + HIP_OF_THIGH * (knee[1] - hip[1]))


def _ankle(character: Character, side: str, points: dict) -> None:
    """Up the shin from the rig's ankle to where a shoe ends."""
    knee, foot = points.get(side + "LowerLeg"), points.get(side + "Foot")
    if knee is None or foot is None:
        return
    low, high = foot[1], knee[1]
    ground = float(character.vertices[:, 1].min())
    height = float(np.ptp(character.vertices[:, 1]))
    level = ground + max(low[1] - ground, ANKLE_OF_KNEE * (high[1] - ground), ANKLE_OF_HEIGHT * height)
    level = min(level, ground + 0.6 * (high[1] - ground))
    if high[1] - low[1] > 1e-6 and level > low[1]:
        share = (level - low[1]) / (high[1] - low[1])
        points[side + "Foot"] = (knee[0], low + min(share, 0.8) * (high - low))


def _shoulder(character: Character, side: str, points: dict) -> None:
    """Out along the upper arm to above the armpit; the point stays with the body when the arm turns."""
    shoulder, elbow = points.get(side + "UpperArm"), points.get(side + "LowerArm")
    if shoulder is None or elbow is None:
        return
    start, along = shoulder[1], elbow[1] - shoulder[1]
    length = float(np.linalg.norm(along))
    if length < 1e-6:
        return
    along = along / length
    sign = 1.0 if side == "left" else -1.0
    down = np.array([along[1] * sign, -along[0] * sign, 0.0])  # across the arm in the body's plane, to the feet
    down = down / max(np.linalg.norm(down), 1e-9)
    arm = [PART[side + "UpperArm"], PART[side + "Forearm"], PART["torso"]]
    corners = character.vertices[character.triangles[np.isin(character.parts, arm)]].astype(float)
    if not len(corners):
        return
    # Corners and points between them, so that large triangles count along their whole length.
    samples = np.concatenate([corners.reshape(-1, 3), *(0.5 * (corners + np.roll(corners, 1, 1))), corners.mean(1)])
    offset = samples - start
    # u: how far out, in upper arms, also where the arm slants; s: how far below the arm's axis.
    u = offset[:, 0] / (along[0] * length) if abs(along[0]) > 0.2 else offset @ along / length
    s = offset @ down / length
    bare = s[(u > 0.45) & (u < 0.95) & (s > 0)]
    if not len(bare):
        return
    thick = min(float(np.quantile(bare, 0.9)), 0.6)
    flank = u[(s > ARMPIT * thick) & (s < 3 * ARMPIT * thick) & (u > -0.3) & (u < 0.5)]
    edge = float(flank.max()) if len(flank) else 0.0
    share = float(np.clip(edge - 0.1 * thick, 0.0, 0.25))
    parent = int(character.parents[shoulder[0]])
    points[side + "UpperArm"] = (parent if parent >= 0 else shoulder[0], start + share * length * along)
