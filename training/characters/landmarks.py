# SPDX-License-Identifier: GPL-3.0-or-later
"""The points a reader learns, by the same geometric rules for every rig.

Rigs differ in where they put a shoulder and an ankle; people who mark pictures go by what they see. So the shoulder
lies on the upper arm's axis just inside the armpit, and the ankle on the shin's axis where the instep begins.
"""

from __future__ import annotations

import numpy as np

from .character import PART, Character
from .raster import rasterise

SIDES = ("left", "right")
LIMBS = tuple(
    side + bone for side in SIDES for bone in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
)
JOINTS = ("hips", "neck", "head", *LIMBS)
FACE_POINTS = ("headTop", "chin", "leftEye", "rightEye", "mouth")
GRID = 192  # pixels along the longer side of the views that are measured
INSIDE_ARMPIT = 1.0  # the shoulder lies this many arm radii inside the armpit
INSTEP = 0.25  # share of the foot's reach at which the shin becomes the foot
LOWEST_ANKLE = 0.16  # of the knee's height above the sole: a person's, for feet that are mere stumps
SIDEWAYS = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # the character's forward to the picture's right


def landmarks(character: Character) -> dict[str, tuple[np.ndarray, int]]:
    """Name to ((3,) point in bind pose, index of the joint it moves with): JOINTS and FACE_POINTS, less those that
    the character has not got. hips: between the hip joints; neck: base of the neck.
    """
    out: dict[str, tuple[np.ndarray, int]] = {}
    for name in LIMBS:
        index = character.joint(name)
        if index is not None:
            out[name] = character.joints[index].astype(float), index
    for side in SIDES:
        _shoulder(character, side, out)
        _ankle(character, side, out)
    _trunk(character, out)
    head = character.joint("head")
    if head is not None:
        face = character.face
        points = (face.head_top, face.chin, face.left_eye.centre, face.right_eye.centre, face.mouth.centre)
        out |= {
            name: (point, head) for name, point in zip(FACE_POINTS, points, strict=True) if np.isfinite(point).all()
        }
    return out


def _trunk(character: Character, out: dict[str, tuple[np.ndarray, int]]) -> None:
    hips, head, neck = (character.joint(name) for name in ("hips", "head", "neck"))
    if hips is not None and "leftUpperLeg" in out and "rightUpperLeg" in out:
        out["hips"] = (out["leftUpperLeg"][0] + out["rightUpperLeg"][0]) / 2, hips
    if head is None:
        return
    out["head"] = character.joints[head].astype(float), head
    if neck is not None:
        out["neck"] = character.joints[neck].astype(float), neck
    else:
        # The base of a neck that the rig has not got moves with what carries the head.
        parent = int(character.parents[head])
        out["neck"] = character.joints[head].astype(float), parent if parent >= 0 else head


def _mask(character: Character, parts: list[str], turn: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Silhouette (GRID, GRID) of these parts after a turn, its middle (2,) and the pixels per metre."""
    picked = character.triangles[np.isin(character.parts, [PART[part] for part in parts])]
    if not len(picked):
        return None
    vertices = character.vertices @ turn.T
    used = vertices[np.unique(picked)]
    low, high = used.min(0), used.max(0)
    centre, scale = ((low + high) / 2)[:2], GRID / (float((high - low)[:2].max()) * 1.02 + 1e-6)
    ids, _, _ = rasterise(vertices, picked, (centre[0], centre[1]), scale, (GRID, GRID))
    return ids >= 0, centre, scale


def _shoulder(character: Character, side: str, out: dict[str, tuple[np.ndarray, int]]) -> None:
    if side + "UpperArm" not in out or side + "LowerArm" not in out:
        return
    start, elbow = out[side + "UpperArm"][0], out[side + "LowerArm"][0]
    found = _mask(character, ["torso", side + "UpperArm", side + "Forearm"], np.eye(3))
    length = float(np.linalg.norm((elbow - start)[:2]))
    if found is None or length < 1e-4:
        return
    mask, centre, scale = found
    along = (elbow - start)[:2] / length
    down = np.array([along[1], -along[0]])
    down *= -np.sign(down[1]) or 1
    shares = np.linspace(0, 0.8, 33)
    reach = np.arange(0, length * 1.2, 0.5 / scale)
    points = start[:2] + shares[:, None, None] * length * along + reach[None, :, None] * down
    columns = np.round((points[..., 0] - centre[0]) * scale + GRID / 2 - 0.5).astype(int)
    rows = np.round((centre[1] - points[..., 1]) * scale + GRID / 2 - 0.5).astype(int)
    inside = (columns >= 0) & (columns < GRID) & (rows >= 0) & (rows < GRID)
    solid = inside & mask[np.clip(rows, 0, GRID - 1), np.clip(columns, 0, GRID - 1)]
    depth = np.where(solid.all(1), len(reach), solid.argmin(1)) * 0.5 / scale
    radius = float(np.median(depth[shares > 0.45]))
    if not 0 < radius < 0.6 * length:
        return
    free = np.flatnonzero(depth < 1.5 * radius)
    if len(free):
        share = np.clip(shares[free[0]] - INSIDE_ARMPIT * radius / length, 0, 0.35)
        out[side + "UpperArm"] = start + share * (elbow - start), out[side + "UpperArm"][1]


def _ankle(character: Character, side: str, out: dict[str, tuple[np.ndarray, int]]) -> None:
    if side + "LowerLeg" not in out or side + "Foot" not in out:
        return
    knee, foot = out[side + "LowerLeg"][0], out[side + "Foot"][0]
    found = _mask(character, [side + "Shin", side + "Foot"], SIDEWAYS)
    if found is None or knee[1] - foot[1] < 1e-4:
        return
    mask, centre, scale = found
    full = np.flatnonzero(mask.any(1))
    heights = centre[1] - (full + 0.5 - GRID / 2) / scale
    fronts = centre[0] + (GRID - np.argmax(mask[full, ::-1], axis=1) - GRID / 2) / scale
    sole, rise = float(heights.min()), float(knee[1] - heights.min())
    shin = (heights < knee[1] - 0.15 * rise) & (heights > sole + 0.4 * rise)
    front, toe = float(np.median(fronts[shin])) if shin.any() else float("inf"), float(fronts.max())
    height = sole + LOWEST_ANKLE * rise
    if toe - front > 0.15 * rise:
        rows = np.flatnonzero((fronts > front + INSTEP * (toe - front)) & (heights < knee[1]))
        height = max(float(heights[rows[0]]), sole + 0.5 * LOWEST_ANKLE * rise)
    share = np.clip((knee[1] - height) / (knee[1] - foot[1]), 0.6, 1.0)
    out[side + "Foot"] = knee + share * (foot - knee), out[side + "Foot"][1]
