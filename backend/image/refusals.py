# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a picture cannot be used, and what is doubtful about one that can: one sentence each (shared reference, preview
engine 4).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..errors import BackendError
from .mask import Figure
from .silhouette import SilhouetteJoints

# What the user may overrule by placing all joints.
COPED_WITH = ("cropped", "several", "not_humanoid", "view")
POSE_HINT = "Use a picture of one standing character from the front, or place the joint markers by hand."


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


def several() -> BackendError:
    return BackendError(
        "several", "There is more than one figure in the picture.", "Use a picture of one character alone."
    )


def outline_remarks(figure: Figure) -> list[dict[str, str]]:
    """Warnings about the outline of a figure that is used."""
    if figure.low_contrast <= 0.08:
        return []
    message = "Parts of the character have the background's colour; the outline may be wrong there."
    return [{"code": "contrast", "message": message}]


def limb_remarks(found: SilhouetteJoints, given: Iterable[str]) -> list[dict[str, str]]:
    """Warnings about a silhouette that the rules can read; `given` are the joints the user has placed, of which nothing
    is said.
    """
    by_hand = set(given)
    warnings = []
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
