# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a picture cannot be used, and what is doubtful about one that can: one sentence each (shared reference, preview
engine 4).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..errors import BackendError
from .gate import MAX_ARM_ANGLE
from .mask import Figure
from .silhouette import SilhouetteJoints, detect_joints

# What the user may overrule by placing all joints.
COPED_WITH = ("cropped", "several", "not_humanoid", "arms")
POSE_HINT = (
    "Use a front view in an A- or T-pose (arms 0 to 60 degrees below horizontal), or place the joint markers by hand."
)


def refusal(figure: Figure, found: SilhouetteJoints) -> BackendError | None:
    """The reason not to go on with this figure, or None."""
    sides = cut_off_sides(figure)
    if sides and not (
        found.humanoid and len(sides) == 1 and sides[0] == "top" and figure.contact["top"] < 0.1 * figure.mask.shape[1]
    ):
        where = " and ".join(sides)
        return BackendError(
            "cropped", f"The character is cut off at the {where} of the picture.", "The whole body must be visible."
        )
    if figure.second > 0.15:
        return _several()
    if found.humanoid:
        return None
    if found.confidence["cover"] < 0.8 and _two_figures(figure.mask):
        return _several()
    if _person_like(found):
        return _arms(found)
    message = "No upright figure with its arms away from the body was recognised in front view."
    return BackendError("not_humanoid", message, POSE_HINT)


def cut_off_sides(figure: Figure) -> list[str]:
    """Sides of the picture that cut the figure. A tightly trimmed picture touches its border everywhere, but only
    with tips and soles.
    """
    rows, columns = (np.flatnonzero(figure.mask.any(axis=axis)) for axis in (1, 0))
    tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    trimmed = sum(figure.contact[side] > 0 for side in ("top", "bottom", "left", "right")) >= 3
    found = []
    for side in ("top", "bottom", "left", "right"):
        touch = figure.contact[side]
        limit = 0.02 * tall
        if trimmed:
            # Soles are broad; a body that is cut across is about as broad at the border as just above it and more
            # than two feet wide.
            limit = 0.45 * wide if side == "bottom" else 0.12 * tall if side != "top" else 0.3 * wide
        if touch > limit:
            found.append(side)
    return found


def _several() -> BackendError:
    return BackendError(
        "several", "There is more than one figure in the picture.", "Use a picture of one character alone."
    )


def _two_figures(mask: np.ndarray) -> bool:
    """Whether one of the halves, left and right of the middle, is a person by itself."""
    columns = np.flatnonzero(mask.any(axis=0))
    middle = (columns[0] + columns[-1]) // 2
    halves = [detect_joints(half) for half in (mask[:, :middle], mask[:, middle:]) if half.any()]
    return len(halves) == 2 and all(half.humanoid or _person_like(half) for half in halves)


def _person_like(found: SilhouetteJoints) -> bool:
    confidence = found.confidence
    legs = "legs_closed" not in found.flags
    return (
        confidence["symmetry"] >= 0.76
        and confidence["cover"] >= 0.8
        and legs
        and confidence["neck"] >= 0.3
        and confidence["headRatio"] < 0.65
    )


def _arms(found: SilhouetteJoints) -> BackendError:
    bad = [
        side
        for side in ("left", "right")
        if found.confidence[side + "Arm"] < 0.5 or found.confidence[side + "Angle"] > MAX_ARM_ANGLE
    ]
    which = f"The {bad[0]} arm is" if len(bad) == 1 else "The arms are"
    return BackendError("arms", f"{which} not clearly separated from the body.", POSE_HINT)


def remarks(figure: Figure, found: SilhouetteJoints, given: Iterable[str]) -> list[dict[str, str]]:
    """Warnings for a figure that is used; `given` are the joints the user has placed, of which nothing is said."""
    by_hand = set(given)
    warnings = []
    if figure.low_contrast > 0.08:
        warnings.append(
            ("contrast", "Parts of the character have the background's colour; the outline may be wrong there.")
        )
    for side in ("left", "right"):
        placed = {side + part for part in ("UpperArm", "LowerArm", "Hand")} <= by_hand
        if f"weak_{side}_arm" in found.flags and not placed:
            warnings.append(("arms", f"The {side} arm is hardly separated from the body; check its markers."))
    arms = {side + part for side in ("left", "right") for part in ("UpperArm", "LowerArm", "Hand")}
    if "steep_arms" in found.flags and not arms <= by_hand:
        warnings.append(("arms", "The arms hang down; check the markers of shoulders and elbows."))
    legs = {side + part for side in ("left", "right") for part in ("UpperLeg", "LowerLeg", "Foot")}
    if {"legs_closed", "skirt"} & set(found.flags) and not legs <= by_hand:
        warnings.append(("legs", "The legs are hidden by clothing or closed; hip and knee positions are estimated."))
    return [{"code": code, "message": message} for code, message in warnings]
