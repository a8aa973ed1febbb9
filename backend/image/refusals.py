# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a picture cannot be used, and what is doubtful about one that can: one sentence each (shared reference, preview
engine 4).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from ..errors import BackendError
from ..reader import PARTS
from .mask import Figure
from .silhouette import SilhouetteJoints

# What the user may overrule by placing all joints.
COPED_WITH = ("cropped", "several", "not_humanoid", "view")
# What a body goes on beyond. Hands and feet end it, and nobody minds hair, clothes and props that are cut.
_GOES_ON = np.array(
    [part in ("face", "neck", "torso") or part.endswith(("UpperArm", "Forearm", "Thigh", "Shin")) for part in PARTS]
)
_SEEN = 0.02  # of the figure's height: so much body at an edge, judged by the parts so far inside
_INSIDE = 0.05  # of the figure's height, where the width at the edge is compared with that inside
_CUT = 0.45  # of the width inside: an elbow or a head that only touches the edge is rounded and less wide there
POSE_HINT = (
    "Use a picture of one standing character from the front, or place the joint markers by hand (Check Markers in the"
    " sidebar, --markers in the batch)."
)


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


def runs_out(mask: np.ndarray, parts: np.ndarray) -> list[str]:
    """Sides of the picture, but for the lower one, where an arm, a leg, the body or the face runs out of it.

    mask (H, W) bool; parts (H, W) index into PARTS. Below, soles are as straight as legs that are cut.
    """
    tall = int(np.ptp(np.flatnonzero(mask.any(axis=1)))) + 1
    strip, inside = max(2, round(_SEEN * tall)), max(2, round(_INSIDE * tall))
    found = []
    for side, turned in (("top", lambda a: a), ("left", lambda a: a.T), ("right", lambda a: a.T[::-1])):
        near, labels = turned(mask)[:inside], turned(parts)[:strip]
        pieces, _ = ndimage.label(near)
        touching, count = ndimage.label(near[0])
        for run in range(1, count + 1):
            columns = np.flatnonzero(touching == run)
            seen = labels[:, columns]
            seen = seen[seen > 0]
            body = float(_GOES_ON[seen].mean()) * len(columns) if seen.size else 0.0
            widths = (pieces == pieces[0, columns[0]]).sum(axis=1)
            if body >= _SEEN * tall and widths[0] >= _CUT * widths.max():
                found.append(side)
                break
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
