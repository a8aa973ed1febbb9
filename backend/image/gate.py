# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a silhouette is a standing humanoid seen from the front (shared reference, preview engine 3.2, extended).

The limits were set on rendered characters with 0 to 60 degrees of arm and up to 25 degrees of yaw, drawings, and some
90 pictures of animals, buildings, vehicles and things.
"""

from __future__ import annotations

from dataclasses import dataclass

from .arms import Tip

MAX_ARM_ANGLE = 72.0
MAX_FREE_ARM_ANGLE = 80.0  # of arms that hang with a clear gap to the body


@dataclass
class Evidence:
    """What speaks for a person. Lengths are parts of the figure's height.

    symmetry 0..1; armpit: depth of the shallower armpit; arms: width over length of the worse arm (2 = only a tip);
    tilt, offset: how far the hands are from level and from being centred on the axis; likeness: of their reaches, 0..1;
    low: mean height of the hands (0 top, 1 soles); reach: the shorter arm's; wide: hand to hand; split: of the legs;
    neck: width over the head's; cover: part of the upper body on the axis; angle: of the steeper arm, degrees below
    horizontal.
    """

    symmetry: float
    split: float
    neck: float
    cover: float
    angle: float = 90.0
    armpit: float = 0.0
    arms: float = 2.0
    tilt: float = 1.0
    offset: float = 1.0
    likeness: float = 0.0
    low: float = 1.0
    reach: float = 0.0
    wide: float = 0.0

    @classmethod
    def of(
        cls,
        left: Tip | None,
        right: Tip | None,
        axis: float,
        top: float,
        height: float,
        symmetry: float,
        split: float,
        neck: float,
        confidence: dict[str, float],
    ) -> Evidence:
        evidence = cls(symmetry, split, neck, confidence["cover"])
        if left is None or right is None:
            return evidence
        evidence.angle = max(confidence["leftAngle"], confidence["rightAngle"])
        evidence.armpit = min(left.depth, right.depth) / height
        evidence.arms = max(left.width_to_length, right.width_to_length)
        evidence.tilt = abs(left.y - right.y) / height
        evidence.offset = abs((left.x + right.x) / 2 - axis) / height
        evidence.likeness = min(left.reach, right.reach) / max(left.reach, right.reach)
        evidence.low = ((left.y + right.y) / 2 - top) / height
        evidence.reach = min(left.reach, right.reach) / height
        evidence.wide = abs(left.x - right.x) / height
        return evidence


def is_humanoid(e: Evidence) -> bool:
    """Clear arms need little else; arms that are short or half hidden by clothes need legs or a neck, and more
    symmetry.
    """
    balanced = e.tilt <= 0.1 and e.offset <= 0.035 and e.likeness >= 0.8 and e.cover >= 0.9 and e.wide <= 1.2
    free = e.armpit >= 0.12 and e.arms <= 0.7
    if not balanced or e.angle > (MAX_FREE_ARM_ANGLE if free else MAX_ARM_ANGLE):
        return False
    if e.arms <= 1.3 and e.armpit >= 0.06:
        return e.symmetry >= 0.64
    built = (e.split >= 0.05 and 0.1 <= e.neck <= 0.85) or (e.symmetry >= 0.95 and 0.1 <= e.neck <= 0.5)
    return built and e.symmetry >= 0.78 and e.armpit >= 0.035 and 0.45 <= e.low <= 0.92 and e.reach >= 0.2
