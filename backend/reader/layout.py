# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reader's network takes and gives: sizes, names and order of its channels. One source for training and
inference.
"""

from __future__ import annotations

WIDTH, HEIGHT = 160, 192  # of the network's input, pixels
STRIDE = 4  # input pixels per cell of the output maps

SIDES = ("left", "right")
LIMBS = tuple(
    side + bone for side in SIDES for bone in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
)
JOINTS = ("hips", "neck", "head", *LIMBS)  # VRM names; the point is where the bone starts
FACE = ("leftEye", "rightEye", "mouth")
KEYPOINTS = (*JOINTS, "headTop", "chin", *FACE)

PARTS = (
    "background",
    "face",
    "hair",
    "headgear",
    "neck",
    "torso",
    *(side + part for part in ("UpperArm", "Forearm", "Hand", "Thigh", "Shin", "Foot") for side in SIDES),
    "cloth",  # skirts, robes and capes
    "prop",
)
MOUTH_STATES = ("drawn", "none", "hidden")
COUNTS = ("none", "one", "several")  # humanoids in the picture


def mirrored(names: tuple[str, ...]) -> list[int]:
    """For each name the index of its counterpart on the other side."""

    def other(name: str) -> str:
        for a, b in (("left", "right"), ("right", "left")):
            if name.startswith(a):
                return b + name[len(a) :]
        return name

    return [names.index(other(name)) for name in names]


# Channels of the vector output, in order, with their sizes.
VECTOR = {
    "yaw": 2,  # sine and cosine of the body's yaw, not normalised; positive: turned to the picture's right
    "count": len(COUNTS),  # logits
    "mouth": len(MOUTH_STATES),  # logits
    "sizes": 6,  # log of half width and half height of leftEye, rightEye, mouth, in input heights
    "depth": len(JOINTS),  # towards the viewer, from the hips (head crop: from the head), in input heights
    "visible": len(KEYPOINTS),  # logits: drawn and not hidden
}
VECTOR_SIZE = sum(VECTOR.values())


def vector_slices() -> dict[str, slice]:
    """Where each entry of VECTOR lies."""
    out, start = {}, 0
    for name, size in VECTOR.items():
        out[name] = slice(start, start + size)
        start += size
    return out
