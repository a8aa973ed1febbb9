# SPDX-License-Identifier: GPL-3.0-or-later
"""Arms and legs that touch the body or hide it are taken off the picture and put beside it, by a map of the parts.

The picture that comes out shows the same character with its arms away from the body and its legs apart, the trunk
filled in where it was hidden. All that follows, skin, texture and weights, then has limbs of their own, and a T-pose
tears nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import ndimage

from ..image.analysis import PictureAnalysis
from .thickness import PARTS

ARM_PARTS, LEG_PARTS = ("UpperArm", "Forearm", "Hand"), ("Thigh", "Shin", "Foot")
ARM_JOINTS, LEG_JOINTS = ("UpperArm", "LowerArm", "Hand"), ("UpperLeg", "LowerLeg", "Foot")
LIFTED = 45.0  # degrees below horizontal at which arms are put beside the body
STEEP = 62.0  # arms that hang lower, or bend, or touch the body, are lifted
BENT = 35.0  # degrees at the elbow
TOUCHING = 0.25  # of the outline of forearm and hand that lies against the rest of the figure
SPREAD = 5.0  # degrees by which legs that touch are turned out, each
CLOSED = 0.08  # of the rows from the lower thighs on without a gap between the legs
NEAR = 0.006  # of the height: half of a gap that the skin would close
PROPS = ("prop",)
HEADS = ("face", "hair", "headgear", "head")


@dataclass
class PartMap:
    """What a reader of pictures tells of one. labels: (H, W) index into `names` per pixel of PictureAnalysis.rgba:
    background, left and right UpperArm, Forearm, Hand, Thigh, Shin and Foot, prop, parts of the head (HEADS); all
    others are of the trunk. joints, face (as backend.image.face): in its pixels, in place of what the silhouette gave;
    any subset.
    """

    labels: np.ndarray
    names: tuple[str, ...]
    joints: dict[str, tuple[float, float]] = field(default_factory=dict)
    face: dict[str, Any] = field(default_factory=dict)


@dataclass
class Bone:
    """What is moved as one: its cells, the point it turns about, where that goes, and the turn (radians, clockwise as
    seen). radius: of the joint's disc, pixels.
    """

    cells: np.ndarray
    pivot: np.ndarray
    goal: np.ndarray
    turn: float
    radius: float

    def moved(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) pixels -> where they go."""
        return (points - self.pivot) @ _rotation(self.turn).T + self.goal

    def source(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) pixels -> where they came from."""
        return (points - self.goal) @ _rotation(-self.turn).T + self.pivot


@dataclass
class Unfolded:
    """picture: as `analyse` gives it, but larger where limbs needed room. parts: (H, W) index into PARTS per pixel, -1
    outside the figure. moved: names of the limbs that were put elsewhere. left_out: pixels of props that were left out.
    """

    picture: PictureAnalysis
    parts: np.ndarray
    moved: list[str]
    left_out: int


def unfold(picture: PictureAnalysis, given: PartMap) -> Unfolded:
    """Left is the character's. Props are left out. Limbs that stand off already stay where they are."""
    names = given.names
    picture = replace(picture, joints=picture.joints | given.joints, face=picture.face | given.face)
    labels, left_out = _without_props(picture, given.labels, names)
    pad = round(0.30 * np.ptp(np.flatnonzero(picture.mask.any(1))))
    canvas = _padded(picture, labels >= 0, pad)
    labels = np.pad(labels, pad, constant_values=-1)
    moved: list[str] = []
    bones: list[Bone] = []
    for side in ("left", "right"):
        limb = _arm(canvas, labels, names, side)
        if limb:
            moved.append(f"{side}Arm")
            bones += limb
    legs = _legs(canvas, labels, names)
    if legs:
        moved += ["leftLeg", "rightLeg"]
        bones += legs
    parts = np.where(labels >= 0, _coarse(names)[np.maximum(labels, 0)], -1)
    apart = {"arms"} if moved else set()
    apart |= {"legs"} if legs else set()
    canvas.warnings = [warning for warning in canvas.warnings if warning["code"] not in apart]
    if not bones:
        return Unfolded(_cropped(canvas, pad), _crop(parts, pad), [], left_out)
    picture, parts = _compose(canvas, parts, bones)
    return Unfolded(picture, parts, moved, left_out)


def _coarse(names: tuple[str, ...]) -> np.ndarray:
    """Index into PARTS for each of `names`."""
    found = []
    for name in names:
        limb = next(
            (
                f"{side}{whole}"
                for side in ("left", "right")
                for whole, pieces in (("Arm", ARM_PARTS), ("Leg", LEG_PARTS))
                if name in [side + piece for piece in pieces]
            ),
            "head" if name in HEADS else "torso",
        )
        found.append(PARTS.index(limb))
    return np.array(found)


def _of(labels: np.ndarray, names: tuple[str, ...], wanted: list[str]) -> np.ndarray:
    return np.isin(labels, [names.index(name) for name in wanted if name in names])


def _without_props(picture: PictureAnalysis, labels: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """Labels, -1 outside the figure; pixels of the figure that the map calls background take the nearest part. What a
    prop hid stays a hole unless the figure lies around it.
    """
    background = _of(labels, names, ["background"])
    props = _of(labels, names, list(PROPS)) & picture.mask
    known = picture.mask & ~background & ~props
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    whole = np.where(known, labels, labels[tuple(nearest)]).astype(int)
    kept = picture.mask & ~props
    kept = ndimage.binary_fill_holes(kept) & picture.mask
    return np.where(kept, whole, -1), int((picture.mask & ~kept).sum())


def _padded(picture: PictureAnalysis, kept: np.ndarray, pad: int) -> PictureAnalysis:
    rgba = np.pad(picture.rgba, ((pad, pad), (pad, pad), (0, 0)))
    mask = np.pad(kept, pad)
    rgba[..., 3] = np.where(mask, rgba[..., 3], 0)
    return _shifted(replace(picture, rgba=rgba, mask=mask), pad, pad)


def _shifted(picture: PictureAnalysis, x: float, y: float) -> PictureAnalysis:
    """Joints and face moved by so many pixels."""
    joints = {name: (point[0] + x, point[1] + y) for name, point in picture.joints.items()}
    face = {
        name: {**part, "center": [part["center"][0] + x, part["center"][1] + y]} if "center" in part else part
        for name, part in picture.face.items()
    }
    return replace(picture, joints=joints, face=face)


def _crop(values: np.ndarray, pad: int) -> np.ndarray:
    return values[pad:-pad, pad:-pad] if pad else values


def _cropped(picture: PictureAnalysis, pad: int) -> PictureAnalysis:
    cut = replace(picture, rgba=_crop(picture.rgba, pad), mask=_crop(picture.mask, pad))
    return _shifted(cut, -pad, -pad)


def _point(picture: PictureAnalysis, name: str) -> np.ndarray:
    return np.array(picture.joints[name], float)


def _angle(way: np.ndarray) -> float:
    """Radians, clockwise as seen, from the picture's right."""
    return float(np.arctan2(way[1], way[0]))


def _rotation(turn: float) -> np.ndarray:
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c, -s], [s, c]])


def _half_width(cells: np.ndarray, joint: np.ndarray) -> float:
    """Half the width of a limb near a joint: the deepest pixel near by."""
    depth = ndimage.distance_transform_edt(cells)
    y, x = np.nonzero(cells)
    if not len(x):
        return 0.0
    order = np.argsort(np.hypot(x - joint[0], y - joint[1]), kind="stable")[: max(len(x) // 4, 1)]
    return float(depth[y[order], x[order]].max())


def _arm(picture: PictureAnalysis, labels: np.ndarray, names: tuple[str, ...], side: str) -> list[Bone]:
    """The arm's bones put straight at LIFTED degrees, or none where it stands off already."""
    cells = [_of(labels, names, [side + part]) for part in ARM_PARTS]
    shoulder, elbow, wrist = (_point(picture, side + joint) for joint in ARM_JOINTS)
    outward = 1.0 if side == "left" else -1.0
    ways = [_angle((elbow - shoulder) * [outward, 1]), _angle((wrist - elbow) * [outward, 1])]
    steep = np.degrees(ways[0]) > STEEP or abs(np.degrees(ways[1] - ways[0])) > BENT
    if not cells[0].any() or not (steep or _touches(labels, cells[1] | cells[2])):
        return []
    goal_angle, bones, goal = np.radians(LIFTED), [], shoulder
    for k, (pivot, way) in enumerate(((shoulder, ways[0]), (elbow, ways[1]))):
        moving = cells[0] if k == 0 else cells[1] | cells[2]
        turn = outward * (goal_angle - way)
        bones.append(Bone(moving, pivot, goal, turn, _half_width(cells[k], pivot)))
        goal = bones[-1].moved(elbow)
    return bones


def _touches(labels: np.ndarray, limb: np.ndarray) -> bool:
    rim = limb & ~ndimage.binary_erosion(limb, iterations=2)
    others = ndimage.binary_dilation((labels >= 0) & ~limb, iterations=3)
    return bool(limb.any() and (rim & others).sum() > TOUCHING * rim.sum())


def _legs(picture: PictureAnalysis, labels: np.ndarray, names: tuple[str, ...]) -> list[Bone]:
    """Both legs turned out where there is no gap between them."""
    legs = [_of(labels, names, [side + part for part in LEG_PARTS]) for side in ("left", "right")]
    if not all(leg.any() for leg in legs):
        return []
    hip, knee = (min(_point(picture, side + joint)[1] for side in ("left", "right")) for joint in LEG_JOINTS[:2])
    reach = max(round(NEAR * np.ptp(np.flatnonzero(picture.mask.any(1)))), 1)
    near = ndimage.binary_dilation(legs[0], iterations=reach) & ndimage.binary_dilation(legs[1], iterations=reach)
    rows = np.flatnonzero(legs[0].any(1) & legs[1].any(1))
    rows = rows[rows > hip + 0.6 * (knee - hip)]
    if not len(rows) or near[rows].any(1).mean() < CLOSED:
        return []
    bones = []
    for side, leg in zip(("left", "right"), legs, strict=True):
        joint = _point(picture, f"{side}UpperLeg")
        turn = np.radians(SPREAD) * (-1 if side == "left" else 1)
        bones.append(Bone(leg, joint, joint, float(turn), 0.0))
    return bones


def _compose(picture: PictureAnalysis, parts: np.ndarray, bones: list[Bone]) -> tuple[PictureAnalysis, np.ndarray]:
    """The trunk without the moved limbs, filled, and the limbs where they go, in front of it."""
    taken = np.any([bone.cells for bone in bones], axis=0)
    rgba, mask, parts = _filled_trunk(picture.rgba, picture.mask & ~taken, parts, taken)
    row, column = np.indices(mask.shape)
    points = np.stack([column, row], -1).astype(float)
    for bone in reversed(bones):
        source = bone.source(points)
        at = [source[..., 1], source[..., 0]]
        here = ndimage.map_coordinates(bone.cells.astype(np.float32), at, order=1) > 0.5
        disc = np.hypot(*np.moveaxis(points - bone.goal, -1, 0)) < bone.radius
        disc &= ~here
        nearest = ndimage.distance_transform_edt(~bone.cells, return_distances=False, return_indices=True)
        colours = picture.rgba[tuple(nearest)]
        for k in range(3):
            shown = ndimage.map_coordinates(colours[..., k].astype(np.float32), at, order=1, mode="nearest")
            rgba[..., k] = np.where(here | (disc & ~mask), shown.round(), rgba[..., k])
        label = parts[bone.cells][0] if bone.cells.any() else 0
        parts = np.where(here | (disc & ~mask), label, parts)
        mask = mask | here | disc
    rgba[..., 3] = np.where(mask, 255, 0)
    parts = np.where(mask, parts, -1)
    return _trimmed(replace(picture, rgba=rgba, mask=mask, joints=_moved_joints(picture, bones)), parts)


def _moved_joints(picture: PictureAnalysis, bones: list[Bone]) -> dict[str, tuple[float, float]]:
    joints = dict(picture.joints)
    for bone in bones:
        for side in ("left", "right"):
            for chain in (ARM_JOINTS, LEG_JOINTS):
                names = [side + joint for joint in chain]
                start = next((k for k, n in enumerate(names) if np.allclose(picture.joints[n], bone.pivot)), None)
                for name in names[start + 1 :] if start is not None else ():
                    x, y = bone.moved(np.array(picture.joints[name], float))
                    joints[name] = (float(x), float(y))
    return joints


def _filled_trunk(
    rgba: np.ndarray, mask: np.ndarray, parts: np.ndarray, taken: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rest of the figure with what the limbs hid: between two visible ends of a row, and where they bit into its
    outline, up to the line that joins the outline above and below; coloured along the row.
    """
    rest = ndimage.binary_fill_holes(mask | taken) & taken
    between = np.zeros_like(mask)
    for r in np.flatnonzero(rest.any(1)):
        line = np.flatnonzero(mask[r])
        if len(line):
            between[r, line[0] : line[-1] + 1] = True
    hidden = rest & between & _near_trunk(mask, rest)
    rows, columns = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    out = rgba.copy()
    out[hidden] = _along_rows(rgba, mask, hidden, (rows, columns))
    parts = np.where(hidden, parts[rows, columns], parts)
    return out, mask | hidden, parts


def _near_trunk(mask: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Pixels that lie within the closed outline of what is left: a gap between two legs is not of it."""
    size = max(round(0.12 * np.ptp(np.flatnonzero((mask | rest).any(1)))), 1)
    small = ndimage.zoom(mask.astype(np.uint8), 0.25, order=0) > 0
    closed = ndimage.binary_closing(np.pad(small, size), iterations=max(size // 4, 1))[size:-size, size:-size]
    whole = ndimage.zoom(closed.astype(np.uint8), np.array(mask.shape) / closed.shape, order=0) > 0
    return ndimage.binary_dilation(whole, iterations=4)


def _along_rows(
    rgba: np.ndarray, mask: np.ndarray, hidden: np.ndarray, nearest: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Colours of hidden pixels: a blend of what the row shows left and right of them."""
    colours = rgba[nearest].astype(np.float32)
    for r in np.flatnonzero(hidden.any(1)):
        known, wanted = np.flatnonzero(mask[r]), np.flatnonzero(hidden[r])
        if len(known) < 2:
            continue
        for k in range(3):
            calm = ndimage.median_filter(rgba[r, known, k].astype(np.float32), size=5, mode="nearest")
            colours[r, wanted, k] = np.interp(wanted, known, calm)
    colours[..., 3] = 255
    return colours[hidden].round().astype(np.uint8)


def _trimmed(picture: PictureAnalysis, parts: np.ndarray) -> tuple[PictureAnalysis, np.ndarray]:
    """Without the room that nothing needed, but for a small margin."""
    rows, columns = np.flatnonzero(picture.mask.any(1)), np.flatnonzero(picture.mask.any(0))
    top, left = max(int(rows[0]) - 12, 0), max(int(columns[0]) - 12, 0)
    window = slice(top, int(rows[-1]) + 13), slice(left, int(columns[-1]) + 13)
    cut = replace(picture, rgba=picture.rgba[window], mask=picture.mask[window])
    return _shifted(cut, -left, -top), parts[window]
