# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses to look at an avatar in: VRM bone -> degrees about the world's x, y, z, from the T-pose, before its parents
turn.
"""

from __future__ import annotations

Degrees = tuple[float, float, float]

SHEET_POSE = {
    "leftUpperArm": (0.0, 62.0, 0.0),
    "leftLowerArm": (0.0, 0.0, -25.0),
    "rightUpperArm": (0.0, -15.0, 0.0),
    "rightLowerArm": (0.0, 95.0, 0.0),
    "leftUpperLeg": (-32.0, 0.0, 0.0),
    "leftLowerLeg": (38.0, 0.0, 0.0),
    "rightUpperLeg": (14.0, 0.0, 0.0),
    "head": (0.0, 8.0, 12.0),
}


def both(**left: Degrees) -> dict[str, Degrees]:
    """The same on both sides: `UpperArm` is the left one's, the right one's is its mirror image."""
    pose = {f"left{name}": turn for name, turn in left.items()}
    return pose | {f"right{name}": (x, -y, -z) for name, (x, y, z) in left.items()}


HANGING = both(UpperArm=(0.0, 68.0, 0.0), LowerArm=(0.0, 0.0, -14.0))
# Each shows the skin where it is under strain in everyday animations.
TEST_POSES: dict[str, dict[str, Degrees]] = {
    "Arms Down": HANGING,
    "Arms Up": both(UpperArm=(0.0, -70.0, 0.0)),
    "Arms Forward": both(UpperArm=(0.0, 0.0, -85.0)),
    "Elbows Bent": both(UpperArm=(0.0, 55.0, 0.0), LowerArm=(0.0, 0.0, -115.0)),
    "Sit": both(
        UpperArm=(0.0, 62.0, -30.0), LowerArm=(0.0, 0.0, -45.0), UpperLeg=(-86.0, 0.0, 0.0), LowerLeg=(86.0, 0.0, 0.0)
    ),
    "Squat": (
        both(
            UpperArm=(0.0, 10.0, -80.0), UpperLeg=(-98.0, 8.0, 0.0), LowerLeg=(112.0, 0.0, 0.0), Foot=(-14.0, -8.0, 0.0)
        )
        | {"spine": (22.0, 0.0, 0.0), "neck": (-14.0, 0.0, 0.0)}
    ),
    "Kick": HANGING | {"leftUpperLeg": (-75.0, 0.0, 0.0), "leftLowerLeg": (10.0, 0.0, 0.0)},
    "Head Turn": HANGING | {"neck": (0.0, 0.0, 20.0), "head": (8.0, 0.0, 35.0)},
    "Twist": both(UpperArm=(0.0, 25.0, 0.0)) | {"spine": (0.0, 0.0, 22.0), "chest": (0.0, 0.0, 18.0)},
}
FISTS = "Fists"  # for hands with fingers: each finger is curled about its hand's own axis (motions.curl)
CURL = {"Proximal": 75.0, "Intermediate": 85.0, "Distal": 60.0}
THUMB = {"ThumbMetacarpal": 10.0, "ThumbProximal": 30.0, "ThumbDistal": 45.0}
