# SPDX-License-Identifier: GPL-3.0-or-later
"""The learned reader's word against that of the silhouette's rules: which figure, which joints, which face, and whether
the picture can be used.

The rules find a plain backdrop's outline and a clear pose to the pixel; the reader is rough but hardly ever far off.
So the rules' points are taken where they agree with the reader's, and the reader's elsewhere.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import ndimage

from ..errors import BackendError
from ..reader import PARTS, Reading
from .mask import Figure
from .refusals import POSE_HINT, cut_off_sides, runs_out, several
from .silhouette import JOINTS, SilhouetteJoints

# Chains of which all joints come from the same source, so that no limb is put together from two.
CHAINS = tuple((side + "UpperArm", side + "LowerArm", side + "Hand") for side in ("left", "right")) + tuple(
    (side + "UpperLeg", side + "LowerLeg", side + "Foot") for side in ("left", "right")
)
ARMS = CHAINS[:2]
SIDES = ("top", "bottom", "left", "right")
TRUNK = ("hips", "neck", "head", "headTop")
HEAD_TOP = ("headTop",)  # its confidence is about the head's height, not the figure's, and always low
ARM_PARTS = [PARTS.index(side + part) for side in ("left", "right") for part in ("UpperArm", "Forearm", "Hand")]
FEET = [PARTS.index(side + "Foot") for side in ("left", "right")]
FEET_SHARE = 0.01  # of a figure whose feet are seen; 0.015 and more in pictures of other people's characters
LIMBS = [k for k, part in enumerate(PARTS) if part.startswith(("left", "right"))]
# Of a figure that has arms or legs: a tower has at most 0.025 in the reader's map, people in gowns 0.14 and more.
LIMBS_SHARE = 0.04
STEPS = 16  # along each bone
IS_ARM = 0.6  # of an arm's bones, at least, lies where the reader's map has an arm
BETTER = 0.25  # by how much more of it the reader's arm has to lie on its map than the rules' arm
# Two points within it mean the same: of the figure's height for joints, of the head's for the face. Set on rendered and
# drawn characters that the weights have not seen; further apart, the reader is right far more often than the rules.
AGREE = 0.02
AGREE_FACE = 0.04
SURE = 0.5  # of there being one humanoid, or of a joint
NOBODY = 0.6
RULES_NOBODY = 0.9  # where the silhouette is a person's all the same
LOST = 0.3  # a confidence below which the reader has not found a limb
# Of an arm's outline, and of the reader's elbow or hand: with more of the one and less of the other, the outline was
# never farther from the hand on rigged characters in T and A (docs/performance.md).
CLEAR, UNSURE_END = 0.95, 0.6
# Of the figure's height, between the shoulders of both: on such arms 0.066 at most; skirts and branches that the
# outline took for arms begin 0.14 and more from the shoulder.
SAME_ROOT = 0.1
LOST_BODY = 0.4  # the mean of all joints' confidences below which it has found no body
LOST_NOBODY = 0.15  # NOBODY, where it has found none
SEVERAL = 0.6
# Degrees of yaw; the reader is a few degrees off, and up to 45 are welcome.
ASIDE, SIDE_VIEW = 50.0, 68.0
BEHIND = 110.0  # degrees of yaw; an outline says as little there as from the front, so the face has to
# Taken off the logit of the reader's confidence in eyes and mouth: 2 % of held-out renders are then wrong without a
# warning.
FACE_DOUBT = 1.0
FACELESS = {"leftEye": 0.4, "rightEye": 0.4, "mouth": 0.1}  # confidences below which all of a face is not to be seen
OVERLAP = 0.6  # of the rules' figure and the reader's, over both
FOOT = 0.05  # of the figure's height: a foot from above
STRAIGHT = 0.85  # of the width there
INSIDE = 0.015  # of the picture: a joint so far from an edge is not cut off by it
# Of the eyes' distance: so far a mouth lies from the line in the middle between them at most, of a head that is turned.
# In pictures of other people's characters it is 0.17 at most.
OFF_MIDDLE = 0.3


def figure_of(reading: Reading, shape: tuple[int, int]) -> Figure:
    """The figure as the reader sees it, in a picture of `shape`. Raises BackendError `not_humanoid`: nothing there."""
    height, width = reading.mask.shape
    share = reading.mask if (height, width) == shape else enlarged(ndimage.uniform_filter(reading.mask, 3), shape)
    labels, count = ndimage.label(share > 0.5, np.ones((3, 3)))
    if not count:
        raise nobody()
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    largest = ndimage.binary_fill_holes(largest)
    near = ndimage.binary_dilation(largest, iterations=2)
    alpha = np.where(near, np.round(share * 255), 0).astype(np.uint8)
    alpha = np.where(largest, np.maximum(alpha, 128), np.minimum(alpha, 127)).astype(np.uint8)
    # Its lower edge is soft: what ends just above the picture's may be cut off there.
    low = largest[-max(round(INSIDE * shape[0]), 1) :].any(0)
    sides = {"top": largest[0], "bottom": low, "left": largest[:, 0], "right": largest[:, -1]}
    return Figure(largest, alpha, {side: int(row.sum()) for side, row in sides.items()})


def enlarged(field: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) values at another size, the nearest ones."""
    rows = ((np.arange(shape[0]) + 0.5) * field.shape[0] / shape[0]).astype(int)
    columns = ((np.arange(shape[1]) + 0.5) * field.shape[1] / shape[1]).astype(int)
    return field[np.ix_(rows, columns)]


def overlap(figure: Figure, other: Figure) -> float:
    """Common pixels over all."""
    return float((figure.mask & other.mask).sum() / max((figure.mask | other.mask).sum(), 1))


def nobody() -> BackendError:
    return BackendError("not_humanoid", "No upright humanoid was recognised in the picture.", POSE_HINT)


def has_no_body(reading: Reading) -> bool:
    """Whether the reader is lost: its joints are no body, and often lie in a heap."""
    return sum(reading.joints[name].confidence for name in JOINTS) < LOST_BODY * len(JOINTS)


def refusal(figure: Figure, found: SilhouetteJoints, reading: Reading, scale: float) -> BackendError | None:
    """Why the picture cannot be used, or None. scale: pixels of the figure per pixel of the reading."""
    chances = reading.humanoids
    if chances["several"] > SEVERAL or (figure.second > 0.15 and chances["several"] > 0.25):
        return several()
    if chances["none"] > (LOST_NOBODY if has_no_body(reading) else RULES_NOBODY if found.humanoid else NOBODY):
        return nobody()
    out = runs_out(figure.mask, enlarged(reading.parts, figure.mask.shape))
    touched = cut_off_sides(figure)
    cut = [side for side in SIDES if side in out or (side in touched and _cuts(side, figure, reading, scale))]
    if cut:
        where = " and ".join(cut)
        return BackendError(
            "cropped", f"The character is cut off at the {where} of the picture.", "The whole body must be visible."
        )
    # A dragon with wings is neither clearly one nor clearly several nor none.
    unsure = chances["one"] < SURE and not found.humanoid
    if unsure or _covers_less(reading, LIMBS, LIMBS_SHARE):
        return nobody()
    if _turned_away(reading, found):
        return BackendError(
            "view",
            "The character is seen from the side or from behind.",
            "Use a picture from the front, or one in which the character is turned by at most 45 degrees.",
        )
    return None


def _turned_away(reading: Reading, found: SilhouetteJoints) -> bool:
    """Whether the figure is seen from the side or from behind: in profile there is no face with both eyes."""
    hidden = {name: reading.face[name].confidence < limit for name, limit in FACELESS.items()}
    if abs(reading.yaw) > BEHIND:
        return all(hidden.values())
    profile = hidden["mouth"] and (hidden["leftEye"] or hidden["rightEye"])
    return abs(reading.yaw) > SIDE_VIEW and profile and not found.humanoid


def view_remarks(reading: Reading) -> list[dict[str, str]]:
    """The warning that a figure which is not refused is turned farther than is good."""
    if not ASIDE < abs(reading.yaw) <= BEHIND:
        return []
    message = "The character is turned far to the side; check the markers, or use a picture from the front."
    return [{"code": "turned", "message": message}]


def _cuts(side: str, figure: Figure, reading: Reading, scale: float) -> bool:
    """Whether a part that should be inside this edge of the picture is not, or is hardly seen."""
    height, width = figure.mask.shape
    names = {
        "top": ("headTop",),
        "bottom": ("leftFoot", "rightFoot"),
        "left": ("leftHand", "rightHand"),
        "right": ("leftHand", "rightHand"),
    }[side]
    margin = INSIDE * max(height, width)
    for name in names:
        joint = reading.joints[name]
        x, y = joint.x * scale, joint.y * scale
        gap = {"top": y + margin, "bottom": height - y, "left": x, "right": width - x}[side]
        if gap < margin or (joint.confidence < 0.25 and side == "bottom"):
            return True
    return side == "bottom" and (_straight_through(figure.mask) or _covers_less(reading, FEET, FEET_SHARE))


def _covers_less(reading: Reading, parts: list[int], share: float) -> bool:
    """Whether these parts are less than this share of the figure in the reader's map, wherever it guesses joints."""
    body = reading.parts > 0
    return bool(np.isin(reading.parts[body], parts).sum() < share * body.sum())


def _straight_through(mask: np.ndarray) -> bool:
    """Whether the figure is as wide at the picture's lower edge as a little above it: soles are rounded, a leg that is
    cut through is not.
    """
    tall = int(np.ptp(np.flatnonzero(mask.any(1)))) + 1
    widths = mask[-max(2, round(FOOT * tall)) :].sum(1)
    return bool(widths[-1] > STRAIGHT * widths.max())


def joints_of(found: SilhouetteJoints, reading: Reading, scale: float, height: float) -> dict[str, tuple[float, float]]:
    """The 15 joints and headTop, pixels of the figure's picture. height: the figure's, in the same pixels.

    Where the reader is lost, they are the outline's, with usual proportions: easier to correct by hand than a heap.
    """
    if has_no_body(reading):
        return {name: found.joints[name] for name in (*JOINTS, "headTop")}
    read = {name: (joint.x * scale, joint.y * scale) for name, joint in reading.joints.items() if name != "chin"}
    if not found.humanoid:
        return {name: read[name] for name in (*JOINTS, "headTop")}
    out = dict(found.joints)
    limit = AGREE * height
    for chain in (*((name,) for name in TRUNK), *CHAINS):
        apart = max(math.dist(out[name], read[name]) for name in chain if name in out)
        # An arm in a sleeve ends where nobody knows, and yet its shoulder is where the reader sees it.
        sure = min(reading.joints[name].confidence for name in chain) >= LOST
        sure = sure or reading.joints[chain[0]].confidence >= SURE or chain == HEAD_TOP
        no_arm = chain in ARMS and _is_no_arm(chain, out, read, reading, scale, limit)
        if apart > limit and (sure or no_arm):
            same = math.dist(out[chain[0]], read[chain[0]]) <= SAME_ROOT * height
            from_outline = chain in ARMS and not no_arm and same and _shows_end(chain, found, reading)
            out |= {name: read[name] for name in (chain[:1] if from_outline else chain)}
    return out


def _shows_end(chain: tuple[str, ...], found: SilhouetteJoints, reading: Reading) -> bool:
    """Whether the outline shows where an arm ends of which the reader is not sure: one that stands off, short or before
    a cape, of a figure whose neck shows where its arms begin.
    """
    unsure = min(reading.joints[name].confidence for name in chain) < UNSURE_END
    return unsure and "no_neck" not in found.flags and found.confidence[chain[0].replace("UpperArm", "Arm")] >= CLEAR


def _is_no_arm(
    chain: tuple[str, ...],
    out: dict[str, tuple[float, float]],
    read: dict[str, tuple[float, float]],
    reading: Reading,
    scale: float,
    limit: float,
) -> bool:
    """Whether the outline's arm is an ear, a plait or a bag that stands off the body: its shoulder lies beside the
    face, or the reader's arm lies much more on the reader's map of arms, however unsure the reader is of the joints.
    """
    if out[chain[0]][1] < out["head"][1] - limit:
        return True
    return _on_arm(read, chain, reading, scale) > _on_arm(out, chain, reading, scale) + BETTER


def _on_arm(joints: dict[str, tuple[float, float]], chain: tuple[str, ...], reading: Reading, scale: float) -> float:
    """Share of a chain's bones that lies where the reader's map has an arm."""
    points = np.array([joints[name] for name in chain]) / scale
    lines = [a + (b - a) * np.linspace(0, 1, STEPS)[:, None] for a, b in pairwise(points)]
    x, y = np.concatenate(lines).astype(int).T
    height, width = reading.parts.shape
    here = reading.parts[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return float(np.isin(here, ARM_PARTS).mean())


def joint_confidence(
    joints: dict[str, tuple[float, float]], found: SilhouetteJoints, reading: Reading, scale: float, height: float
) -> dict[str, float]:
    """How likely each of `joints` (as `joints_of` gives them) is right, 0 to 1: the reader's own word, better where the
    silhouette's rules say the same, at most LOST where they say something else or guess.
    """
    out = {}
    for name in JOINTS:
        joint = reading.joints[name]
        sure = joint.confidence
        if joints[name] == found.joints[name]:
            apart = math.dist(joints[name], (joint.x * scale, joint.y * scale))
            sure = (1 + sure) / 2 if found.humanoid and apart <= AGREE * height else min(sure, LOST)
        out[name] = sure
    return out


def stands_clear(found: SilhouetteJoints, reading: Reading, scale: float) -> bool:
    """Whether the outline alone tells arms and body apart. Where the reader is not sure of an arm, its map has to have
    one there, too.
    """
    if not found.humanoid or "steep_arms" in found.flags:
        return False
    for chain in ARMS:
        unsure = min(reading.joints[name].confidence for name in chain) < SURE
        if unsure and _on_arm(found.joints, chain, reading, scale) < IS_ARM:
            return False
    return min(found.confidence[side + "Arm"] for side in ("left", "right")) >= SURE


def doubts(reading: Reading, given: set[str]) -> list[dict[str, str]]:
    """Warnings about a figure whose limbs the outline does not show: that they were set apart by estimate, and which of
    them the reader is not sure of. Of `given` joints nothing is said.
    """
    if set(JOINTS) <= given:
        return []
    message = "Arms or legs touch the body in the picture and were separated by estimate; check the markers."
    warnings = [{"code": "pose", "message": message}]
    for side in ("left", "right"):
        arm = [side + part for part in ("UpperArm", "LowerArm", "Hand")]
        if not set(arm) <= given and min(reading.joints[name].confidence for name in arm) < SURE:
            message = f"The {side} arm is hardly separated from the body; check its markers."
            warnings.append({"code": "arms", "message": message})
    legs = [side + part for side in ("left", "right") for part in ("UpperLeg", "LowerLeg", "Foot")]
    if not set(legs) <= given and min(reading.joints[name].confidence for name in legs) < SURE:
        message = "The legs are hidden by clothing or closed; hip and knee positions are estimated."
        warnings.append({"code": "legs", "message": message})
    return warnings


def face_of(rules: dict[str, Any], reading: Reading, scale: float) -> dict[str, Any]:
    """`face` of docs/architecture.md: the rules' parts where they agree with the reader's, else the reader's. Both are
    in pixels of the figure's picture.
    """
    top, chin = reading.joints["headTop"], reading.joints["chin"]
    limit = AGREE_FACE * scale * max(math.dist(top[:2], chin[:2]), 1.0)
    out = dict(rules)
    sure = dict(rules["confidence"])
    for names, key in ((("leftEye", "rightEye"), "eyes"), (("mouth",), "mouth")):
        parts = [reading.face[name] for name in names]
        learned = _doubted(min(part.confidence if part.state == "drawn" else 0.0 for part in parts))
        apart = max(
            math.dist(rules[name]["center"], (part.x * scale, part.y * scale))
            for name, part in zip(names, parts, strict=True)
        )
        if apart <= limit:
            sure[key] = max(sure[key], learned)
        else:
            sure[key] = learned
            out |= {name: _entry(name, part, scale) for name, part in zip(names, parts, strict=True)}
    if sure["mouth"] < min(SURE, sure["eyes"]):  # the surer one tells where the other is
        out["mouth"] = out["mouth"] | {"center": _between_eyes(out)}
    out["confidence"] = sure
    return out


def _doubted(chance: float) -> float:
    """What a picture's warning goes by, of the reader's confidence in eyes or mouth."""
    return chance / (chance + (1 - chance) * math.exp(FACE_DOUBT))


def _between_eyes(face: dict[str, Any]) -> list[float]:
    """The mouth's centre; one that cannot be a mouth's, beside the eyes, moved under the middle between them."""
    left, right, mouth = (np.array(face[name]["center"]) for name in ("leftEye", "rightEye", "mouth"))
    across = left - right
    share = float((mouth - (left + right) / 2) @ across) / max(float(across @ across), 1e-9)
    return [float(v) for v in (mouth - share * across if abs(share) > OFF_MIDDLE else mouth)]


def _entry(name: str, part: Any, scale: float) -> dict[str, Any]:
    centre = [part.x * scale, part.y * scale]
    if name == "mouth":
        return {"center": centre, "width": 2 * part.half_width * scale}
    return {"center": centre, "half_width": part.half_width * scale, "half_height": part.half_height * scale}
