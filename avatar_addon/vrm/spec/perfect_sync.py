# SPDX-License-Identifier: GPL-3.0-or-later
"""The 52 face shapes of ARKit ("perfect sync"), which face trackers drive one by one. Pure.

Source: Apple, ARFaceAnchor.BlendShapeLocation. Left and right are the character's.
"""

from __future__ import annotations

from dataclasses import dataclass

EYE, JAW, MOUTH, BROW, CHEEK, NOSE, TONGUE = "eye", "jaw", "mouth", "brow", "cheek", "nose", "tongue"
SIDES = ("Left", "Right")


@dataclass(frozen=True)
class SyncShape:
    """name: ARKit's; region: EYE to TONGUE; side: "Left" or "Right", or "" for one that has no other half.

    with_: the shape that it corrects, and without which it is never shown; "" for all but mouthClose.
    """

    name: str
    region: str
    side: str = ""
    with_: str = ""


_ONE = {
    JAW: ("jawForward", "jawLeft", "jawRight", "jawOpen"),
    MOUTH: (
        "mouthFunnel",
        "mouthPucker",
        "mouthLeft",
        "mouthRight",
        "mouthRollLower",
        "mouthRollUpper",
        "mouthShrugLower",
        "mouthShrugUpper",
    ),
    BROW: ("browInnerUp",),
    CHEEK: ("cheekPuff",),
    TONGUE: ("tongueOut",),
}
_TWO = {
    EYE: ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide"),
    MOUTH: (
        "mouthSmile",
        "mouthFrown",
        "mouthDimple",
        "mouthStretch",
        "mouthPress",
        "mouthLowerDown",
        "mouthUpperUp",
    ),
    BROW: ("browDown", "browOuterUp"),
    CHEEK: ("cheekSquint",),
    NOSE: ("noseSneer",),
}
SYNC_SHAPES = {
    shape.name: shape
    for shape in (
        *(SyncShape(name + side, region, side) for region, names in _TWO.items() for name in names for side in SIDES),
        *(SyncShape(name, region) for region, names in _ONE.items() for name in names),
        SyncShape("mouthClose", MOUTH, with_="jawOpen"),
    )
}
