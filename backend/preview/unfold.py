# SPDX-License-Identifier: GPL-3.0-or-later
"""Limbs that touch or hide the rest of the figure, cut off the picture and put beside it, by a map of the parts.

The picture that comes out shows the same character with its arms away from the body and its legs apart, the trunk
filled in where it was hidden. All that follows, skin, texture and weights, then has limbs of their own, and a T-pose
tears nothing. An arm that is not to be seen is the other one's mirror image, or a tube along its bones: never a sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import ndimage

from ..image.analysis import PictureAnalysis
from .fill import filled_trunk
from .hands import left_behind, skin_like, take_bare_hand
from .left_out import largest_piece, point_of, shown_arms, without_props, without_strands
from .limbs import (
    ARM_JOINTS,
    ARM_PARTS,
    HEADS,
    LEG_JOINTS,
    LEG_PARTS,
    SIDES,
    SURE,
    Limb,
    find_limb,
    labelled,
    without_specks,
)
from .redraw import Bone, draw, join, without_rim
from .thickness import PARTS

ANGLES = (45.0, 35.0, 25.0, 15.0, 5.0)  # degrees below horizontal at which arms are put, the first that is free
STEEP = 62.0  # arms that hang or rise more, or bend, or touch the body, are put elsewhere
BENT = 35.0  # degrees at the elbow
PAIRED = 25.0  # an arm that hangs more than this is put elsewhere with the other one: it is hardly freer
TOUCHING = 0.25  # of an arm's outline beyond the armpit that lies against the rest of the figure
ARMPIT = 0.5  # of the upper arm: above it arm and body belong together
FREE, GAP = 0.02, 0.012  # of an arm that may lie on the rest; of the height: how near is on it
FORESHORTENED = 1.4  # times its length in the picture, at most, an arm is
LONGEST = 1.3  # of the trunk's length: an arm to its wrist
SPREAD = 5.0  # degrees by which legs that touch are spread, each
WEDGE, LOWEST = 0.01, 0.7  # of the height: what is between legs, at least; of the way to the ankles: legs begin above
CLOSED = 0.08  # of the rows from the lower thighs on without a gap between the legs
NEAR = 0.006  # of the height: half of a gap that the skin would close
CORE = 0.4  # of the distance between the shoulders: half of the trunk, at least
NECK = 0.4  # of that: half of the neck
# Of the height: what is around the figure when limbs are looked for, and more where arms are put elsewhere.
MARGIN, ROOM = 0.06, 0.4
GUESSED = 0.4  # the reader's confidence in an arm below which it is one it only supposes: the other is drawn twice
OUTWARD = {"left": 1.0, "right": -1.0}


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
class Arm:
    """limb: what is shown of it, or of the other one, which it then mirrors. outward: 1 for the left one."""

    limb: Limb
    shoulder: np.ndarray
    outward: float
    mirrored: bool
    stretch: tuple[float, float]

    def bones(self, angle: float, mask: np.ndarray, part: int) -> list[Bone]:
        """Both bones straight at so many degrees below horizontal."""
        goal, found = self.shoulder, []
        wanted = _rotation(np.radians(angle) if self.outward > 0 else np.pi - np.radians(angle))
        for k in (0, 1):
            pivot, way = self.limb.joints[k], self.limb.joints[k + 1] - self.limb.joints[k]
            flip = np.diag([self.stretch[k], -1.0 if self.mirrored else 1.0])
            cells, shown = self.limb.cells_of(k, mask)
            matrix = wanted @ flip @ _rotation(-_angle(way))
            found.append(Bone(cells, shown, pivot, pivot + way, goal, matrix, self.limb.radius, part))
            goal = found[-1].moved(pivot + way)
        return found


@dataclass
class Unfolded:
    """picture: as `analyse` gives it, but larger where limbs needed room. parts: (H, W) index into PARTS per pixel, -1
    outside the figure. moved: names of the limbs that were put elsewhere. left_out: pixels of props that were left out;
    hair: of long hair beside the arms. mirrored: whether an arm is the other one's mirror image.
    """

    picture: PictureAnalysis
    parts: np.ndarray
    moved: list[str]
    left_out: int
    hair: int = 0
    mirrored: bool = False


def unfold(picture: PictureAnalysis, given: PartMap) -> Unfolded:
    """Left is the character's. Props are left out. Limbs that stand off already stay where they are."""
    names = given.names
    picture = replace(picture, joints=picture.joints | given.joints, face=picture.face | given.face)
    labels, left_out = without_props(picture, given.labels, names)
    labels, hair = without_strands(picture, labels, names)
    if hair:
        picture = replace(picture, joints=picture.joints | shown_arms(picture, labels, names))
    labels = np.where(largest_piece(labels >= 0), labels, -1)
    height = float(np.ptp(np.flatnonzero(picture.mask.any(1))))
    margin, room = (round(share * height) for share in (MARGIN, ROOM))
    canvas = _padded(picture, labels >= 0, margin)
    labels = np.pad(labels, margin, constant_values=-1)
    found = _find_limbs(canvas, labels, names)
    parts = _coarse(labels, names, found, canvas.joints["neck"][1])
    free = _free_arms(canvas, parts, found)
    if len(free) < 2:
        canvas, parts = _padded(canvas, canvas.mask, room), np.pad(parts, room, constant_values=-1)
        found = {name: limb.padded(room) for name, limb in found.items()}
        margin += room
    arms = _arms_to_move(canvas, found, free)
    # An outline that tells arms and body apart shows the legs, too.
    legs = {} if picture.clear and not arms else _legs(canvas, found, parts)
    moved = [f"{side}Arm" for side in arms] + (["leftLeg", "rightLeg"] if legs else [])
    apart = {"arms"} if moved else set()
    apart |= {"legs"} if legs else set()
    canvas.warnings = [warning for warning in canvas.warnings if warning["code"] not in apart]
    if not moved:
        return Unfolded(_cropped(canvas, margin), _crop(parts, margin), [], left_out, hair)
    scraps = np.zeros_like(canvas.mask)
    for rest in (found[f"{side}Arm"].left_behind for side in arms):
        if rest is not None:
            scraps |= rest & (parts == PARTS.index("torso"))
    picture, parts = _compose(canvas, parts, arms, legs, scraps)
    return Unfolded(picture, parts, moved, left_out, hair, any(_mirrors(canvas, found, side) for side in arms))


def _find_limbs(picture: PictureAnalysis, labels: np.ndarray, names: tuple[str, ...]) -> dict[str, Limb]:
    """leftArm, rightArm, leftLeg, rightLeg."""
    grey = (picture.rgba[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32) / 255).astype(np.float32)
    head, height = labelled(labels, names, list(HEADS)), float(np.ptp(np.flatnonzero(picture.mask.any(1))))
    skin = skin_like(picture.rgba, labelled(labels, names, ["face"]) & picture.mask)
    found: dict[str, Limb] = {}
    for whole, pieces, joints in (("Arm", ARM_PARTS, ARM_JOINTS), ("Leg", LEG_PARTS, LEG_JOINTS)):
        own = labelled(labels, names, [side + piece for side in SIDES for piece in pieces])
        pair = []
        for side in SIDES:
            chain = np.array([point_of(picture, side + joint) for joint in joints])
            limb = find_limb(picture.mask, grey, own, head, chain, height)
            if limb.found < SURE and whole == "Arm":  # an elbow that is guessed is often far off
                chain[1] = (chain[0] + chain[2]) / 2
                limb = find_limb(picture.mask, grey, own, head, chain, height)
            if whole == "Arm" and skin is not None:
                take_bare_hand(limb, skin & picture.mask & ~head)
            pair.append(limb)
        # What both claim is of the one whose bones are nearer; the map may mistake left for right.
        first = pair[0].near < pair[1].near
        for side, limb, nearer in zip(SIDES, pair, (first, ~first), strict=True):
            limb.cells &= nearer | ~pair[side == "left"].cells
            if whole == "Leg":  # a hand on the hip stays no picture on the leg
                limb.cells &= ~(found["leftArm"].cells | found["rightArm"].cells)
            found[side + whole] = limb
    if skin is not None:
        limbs = np.any([limb.cells for limb in found.values()], axis=0)
        for side in SIDES:
            arm = found[side + "Arm"]
            arm.left_behind = left_behind(arm, skin & picture.mask & ~head & ~(limbs & ~arm.cells))
    return found


def _coarse(labels: np.ndarray, names: tuple[str, ...], found: dict[str, Limb], neck: float) -> np.ndarray:
    """(H, W) index into PARTS, -1 outside the figure: the map with the limbs as they were found. neck: its row."""
    arm, leg = ([side + piece for side in SIDES for piece in pieces] for pieces in (ARM_PARTS, LEG_PARTS))
    parts = np.where(labels < 0, -1, PARTS.index("torso"))
    parts[labelled(labels, names, list(HEADS))] = PARTS.index("head")
    # What lies above the shoulders and is not connected to the body is an ear or a horn.
    loose = (parts == PARTS.index("torso")) & ~largest_piece(parts == PARTS.index("torso"))
    loose[round(neck) :] = False
    parts[loose] = PARTS.index("head")
    parts[labelled(labels, names, arm)] = len(PARTS)
    sides = found["leftLeg"].near < found["rightLeg"].near
    here = labelled(labels, names, leg)
    parts[here] = np.where(sides, PARTS.index("leftLeg"), PARTS.index("rightLeg"))[here]
    for name in ("leftLeg", "rightLeg", "leftArm", "rightArm"):
        parts[found[name].cells & (labels >= 0)] = PARTS.index(name)
    unclaimed = parts == len(PARTS)  # the map's arm, where no arm can be
    nearest = ndimage.distance_transform_edt(unclaimed | (parts < 0), return_distances=False, return_indices=True)
    parts = np.where(unclaimed, parts[tuple(nearest)], parts)
    return without_specks(parts, len(PARTS))


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


def _angle(way: np.ndarray) -> float:
    """Radians, clockwise as seen, from the picture's right."""
    return float(np.arctan2(way[1], way[0]))


def _rotation(turn: float) -> np.ndarray:
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c, -s], [s, c]])


def _free_arms(picture: PictureAnalysis, parts: np.ndarray, found: dict[str, Limb]) -> list[str]:
    """Sides whose arms stay where they are: both, one, or none."""
    free = [
        side
        for side, outward in OUTWARD.items()
        if not _guessed(picture, side) and _is_free(found[f"{side}Arm"], parts, side, outward)
    ]
    if len(free) == 1 and _below_horizontal(found[f"{free[0]}Arm"], OUTWARD[free[0]])[0] > PAIRED:
        return []
    return free


def _mirrors(picture: PictureAnalysis, found: dict[str, Limb], side: str) -> bool:
    """Whether an arm is made of the pixels of the other one."""
    twin = found["rightArm" if side == "left" else "leftArm"]
    return (found[f"{side}Arm"].found < SURE or _guessed(picture, side)) and twin.found >= SURE


def _guessed(picture: PictureAnalysis, side: str) -> bool:
    """Whether an arm is where the reader only supposes it, and neither is the outline clear; the other one is seen."""

    def sure(side: str) -> float:
        return min(picture.joint_confidence.get(side + joint, 1.0) for joint in ARM_JOINTS)

    other = "left" if side == "right" else "right"
    return not picture.clear and sure(side) < GUESSED and sure(other) >= SURE


def _arms_to_move(picture: PictureAnalysis, found: dict[str, Limb], free: list[str]) -> dict[str, list[Bone]]:
    """The bones of each arm that is not free, where they go."""
    arms = {}
    for side, outward in OUTWARD.items():
        if side in free:
            continue
        limb, twin = found[f"{side}Arm"], found[f"{'right' if side == 'left' else 'left'}Arm"]
        mirrored = _mirrors(picture, found, side)
        shown, other = (twin, {"left": "right", "right": "left"}[side]) if mirrored else (limb, side)
        shoulder = point_of(picture, f"{side}UpperArm")
        arms[side] = Arm(shown, shoulder, outward, mirrored, _stretch(picture, shown, other))
    rest = picture.mask & ~np.any([found[f"{side}Arm"].cells for side in arms] or [~picture.mask], axis=0)
    reach = max(round(GAP * np.ptp(np.flatnonzero(picture.mask.any(1)))), 1)
    rest = ndimage.distance_transform_edt(~rest) < reach
    made: dict[str, list[Bone]] = {}
    lowest = np.inf
    for angle in ANGLES:
        here = {side: arm.bones(angle, picture.mask, PARTS.index(f"{side}Arm")) for side, arm in arms.items()}
        covered = max((_covers(bones, rest) for bones in here.values()), default=0.0)
        if covered < lowest:
            lowest, made = covered, here
        if covered < FREE:
            break
    return made


def _below_horizontal(limb: Limb, outward: float) -> tuple[float, float]:
    """Degrees of both bones."""
    first, second = (float(np.degrees(_angle(way * [outward, 1]))) for way in np.diff(limb.joints, axis=0))
    return first, second


def _is_free(limb: Limb, parts: np.ndarray, side: str, outward: float) -> bool:
    """Whether an arm was found and stands off already."""
    first, second = _below_horizontal(limb, outward)
    if limb.found < SURE or abs(first) > STEEP or abs(second - first) > BENT:
        return False
    part = PARTS.index(f"{side}Arm")
    y, x = np.indices(limb.cells.shape)
    way = limb.joints[1] - limb.joints[0]
    along = ((x - limb.joints[0, 0]) * way[0] + (y - limb.joints[0, 1]) * way[1]) / max(float(way @ way), 1e-6)
    outer = limb.cells & ((limb.piece > 0) | (along > ARMPIT))
    rim = outer & ~ndimage.binary_erosion(outer, iterations=2)
    others = ndimage.binary_dilation((parts >= 0) & (parts != part), iterations=3)
    return bool(outer.any() and (rim & others).sum() <= TOUCHING * rim.sum())


def _stretch(picture: PictureAnalysis, limb: Limb, side: str) -> tuple[float, float]:
    """How many times as long as drawn each bone is: longer where it points at the viewer, by the depths of its ends;
    shorter where bones that are not to be seen are too long for any arm.
    """
    drawn = np.maximum(np.hypot(*np.diff(limb.joints, axis=0).T), 1.0)
    names = [side + name for name in ARM_JOINTS]
    deep = np.diff([picture.depths.get(name, 0.0) for name in names])
    if limb.found < SURE or not set(names) <= picture.depths.keys():
        deep = np.zeros(2)
    times = np.clip(np.hypot(drawn, deep) / drawn, 1.0, FORESHORTENED)
    longest = LONGEST * float(np.hypot(*(point_of(picture, "neck") - point_of(picture, "hips"))))
    share = longest / float((times * drawn).sum())
    if share < 1:
        times = times * share if limb.found < SURE else np.maximum(times * share, 1.0)
    return float(times[0]), float(times[1])


def _covers(bones: Sequence[Bone], rest: np.ndarray) -> float:
    """Share of an arm, but for its root, that would lie on the rest of the figure."""
    row, column = np.nonzero(bones[0].cells)
    points = [bones[0].moved(np.column_stack([column, row])[::11])]
    row, column = np.nonzero(bones[1].cells)
    points.append(bones[1].moved(np.column_stack([column, row])[::11]))
    at = np.concatenate(points)
    at = at[np.hypot(*(at - bones[0].goal).T) > 1.7 * bones[0].radius]
    at = np.clip(np.round(at).astype(int), 0, [rest.shape[1] - 1, rest.shape[0] - 1])
    return float(rest[at[:, 1], at[:, 0]].mean()) if len(at) else 0.0


def _legs(picture: PictureAnalysis, found: dict[str, Limb], parts: np.ndarray) -> dict[str, list[Bone]]:
    """Both legs put apart where there is no gap between them: the farther down, the more, from where they begin. What
    is above, a skirt before the thighs, stays as it is.
    """
    legs = [found[f"{side}Leg"] for side in SIDES]
    if min(leg.found for leg in legs) < SURE:
        return {}
    hip, knee = (min(leg.joints[k, 1] for leg in legs) for k in (0, 1))
    reach = max(round(NEAR * np.ptp(np.flatnonzero(picture.mask.any(1)))), 1)
    near = np.all([ndimage.binary_dilation(leg.cells, iterations=reach) for leg in legs], axis=0)
    rows = np.flatnonzero(np.all([leg.cells.any(1) for leg in legs], axis=0))
    rows = rows[rows > hip + 0.6 * (knee - hip)]
    if not len(rows) or near[rows].any(1).mean() < CLOSED:
        return {}
    fork = _fork(parts, legs)
    if fork is None:
        return {}
    made = {}
    for side, leg in zip(SIDES, legs, strict=True):
        part, root = PARTS.index(f"{side}Leg"), np.array([leg.joints[0, 0], fork])
        cells = leg.cells & (np.arange(len(parts)) >= fork)[:, None]
        apart = np.array([[1.0, OUTWARD[side] * np.tan(np.radians(SPREAD))], [0.0, 1.0]])
        made[side] = [Bone(cells, cells, root, leg.joints[2], root, apart, 0.0, part)]
    return made


def _fork(parts: np.ndarray, legs: list[Limb]) -> float | None:
    """The row below which nothing of the trunk is between the legs; None where that leaves nearly nothing of them."""
    hip, ankle = (float(np.mean([leg.joints[k, 1] for leg in legs])) for k in (0, 2))
    y, x = np.indices(parts.shape)
    axes = [leg.joints[0, 0] + (leg.joints[2, 0] - leg.joints[0, 0]) * (y - hip) / max(ankle - hip, 1) for leg in legs]
    between = (parts == PARTS.index("torso")) & (x > np.minimum(*axes)) & (x < np.maximum(*axes)) & (y < ankle)
    rows = np.flatnonzero(between.sum(1) > WEDGE * (parts >= 0).any(1).sum())
    fork = max(hip, float(rows[-1] + 1)) if len(rows) else hip
    return fork if fork < hip + LOWEST * (ankle - hip) else None


def _compose(
    picture: PictureAnalysis,
    parts: np.ndarray,
    arms: dict[str, list[Bone]],
    legs: dict[str, list[Bone]],
    scraps: np.ndarray,
) -> tuple[PictureAnalysis, np.ndarray]:
    """The trunk without the moved limbs and the scraps of them, filled, and the limbs where they go, in front of it.
    Arms go first: what they hide of a leg, or of a skirt that the map takes for one, goes with that leg.
    """
    core = _core(picture)
    picture = replace(picture, rgba=without_rim(picture.rgba, picture.mask))
    taken = scraps | np.isin(parts, [bones[0].part for bones in arms.values()])
    rgba, mask, parts = filled_trunk(picture.rgba, picture.mask & ~taken, parts, taken, core)
    if legs:
        standing, whole = rgba, {side: mask & (parts == bones[0].part) for side, bones in legs.items()}
        below = {side: (np.arange(len(mask)) >= bones[0].pivot[1])[:, None] for side, bones in legs.items()}
        whole = {side: cells & below[side] for side, cells in whole.items()}
        legs = {side: [replace(bones[0], cells=whole[side], shown=whole[side])] for side, bones in legs.items()}
        taken = np.any(list(whole.values()), axis=0)
        rgba, mask, parts = filled_trunk(rgba, mask & ~taken, parts, taken, core)
        for bones in legs.values():
            draw(bones[0], standing, rgba, mask, parts)
    for bone in (bone for bones in arms.values() for bone in reversed(bones)):
        draw(bone, picture.rgba, rgba, mask, parts)
    neck = point_of(picture, "neck")
    for bones in arms.values():
        join(bones, neck, rgba, mask, parts)
    mask = largest_piece(mask)  # what hung on a limb alone, as the ends of a staff
    rgba[..., 3] = np.where(mask, 255, 0)
    parts = np.where(mask, parts, -1)
    joints = dict(picture.joints)
    for moved, names in ((arms, ARM_JOINTS), (legs, LEG_JOINTS)):
        for side, bones in moved.items():
            joints |= _moved_joints(picture, side, names, bones)
    return _trimmed(replace(picture, rgba=rgba, mask=mask, joints=joints), parts)


def _moved_joints(
    picture: PictureAnalysis, side: str, names: tuple[str, ...], bones: list[Bone]
) -> dict[str, tuple[float, float]]:
    """Two bones end where the next begins; a single one takes all joints along."""
    if len(bones) == 1:
        points = [point_of(picture, side + name) for name in names[1:]]
        points = [bones[0].moved(point) if point[1] > bones[0].pivot[1] else point for point in points]
    else:
        points = [bones[1].goal, bones[1].moved(bones[1].end)]
    return {side + name: (float(x), float(y)) for name, (x, y) in zip(names[1:], points, strict=True)}


def _core(picture: PictureAnalysis) -> np.ndarray:
    """(H, W) bool: where there is a trunk whatever the picture shows, between neck and hips, as wide from the shoulders
    on.
    """
    neck, hips, left, right = (point_of(picture, n) for n in ("neck", "hips", "leftUpperArm", "rightUpperArm"))
    y, x = (np.arange(size) for size in picture.mask.shape)
    axis = neck[0] + (hips[0] - neck[0]) * np.clip((y - neck[1]) / max(hips[1] - neck[1], 1.0), 0, 1)
    shoulders = max(left[1], right[1])
    half = CORE * np.clip((y - neck[1]) / max(shoulders - neck[1], 1.0), NECK, 1) * abs(left[0] - right[0])
    within = (y > min(neck[1], shoulders)) & (y < hips[1])
    return np.asarray(within[:, None] & (np.abs(x[None] - axis[:, None]) < half[:, None]))


def _trimmed(picture: PictureAnalysis, parts: np.ndarray) -> tuple[PictureAnalysis, np.ndarray]:
    """Without the room that nothing needed, but for a small margin."""
    rows, columns = np.flatnonzero(picture.mask.any(1)), np.flatnonzero(picture.mask.any(0))
    top, left = max(int(rows[0]) - 12, 0), max(int(columns[0]) - 12, 0)
    window = slice(top, int(rows[-1]) + 13), slice(left, int(columns[-1]) + 13)
    cut = replace(picture, rgba=picture.rgba[window], mask=picture.mask[window])
    return _shifted(cut, -left, -top), parts[window]
