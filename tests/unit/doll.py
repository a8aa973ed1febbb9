# SPDX-License-Identifier: GPL-3.0-or-later
"""A jointed doll, as a character that training can render."""

import numpy as np

from training.characters.build import attach, rigid
from training.characters.character import Character, Face, Feature
from training.characters.shapes import ellipsoid, tube

BONES = {
    "hips": (0, 0.9, 0), "spine": (0, 1.0, 0), "chest": (0, 1.2, 0), "neck": (0, 1.4, 0), "head": (0, 1.48, 0),
    "leftUpperArm": (0.18, 1.36, 0), "leftLowerArm": (0.4, 1.2, 0), "leftHand": (0.58, 1.06, 0),
    "rightUpperArm": (-0.18, 1.36, 0), "rightLowerArm": (-0.4, 1.2, 0), "rightHand": (-0.58, 1.06, 0),
    "leftUpperLeg": (0.1, 0.88, 0), "leftLowerLeg": (0.11, 0.48, 0), "leftFoot": (0.12, 0.08, 0),
    "rightUpperLeg": (-0.1, 0.88, 0), "rightLowerLeg": (-0.11, 0.48, 0), "rightFoot": (-0.12, 0.08, 0),
}  # fmt: skip
PARENTS = {"hips": "", "spine": "hips", "chest": "spine", "neck": "chest", "head": "neck"} | {
    side + bone: parent if parent in ("hips", "chest") else side + parent
    for side in ("left", "right")
    for bone, parent in {
        "UpperArm": "chest", "LowerArm": "UpperArm", "Hand": "LowerArm",
        "UpperLeg": "hips", "LowerLeg": "UpperLeg", "Foot": "LowerLeg",
    }.items()
}  # fmt: skip


def make_doll() -> Character:
    """A jointed doll of tubes with a round head."""
    names = list(BONES)
    empty = Character(
        np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 3, 2), np.float32),
        np.zeros(0, np.int16), (), (), np.zeros(0, np.uint8), np.zeros((0, 4), np.int16), np.zeros((0, 4), np.float32),
        np.array(list(BONES.values()), np.float32),
        np.array([names.index(PARENTS[n]) if PARENTS[n] else -1 for n in names], np.int16), tuple(names), Face(),
        {"name": "doll"},
    )  # fmt: skip
    found = empty

    def limb(part: str, bone: str, start: tuple, end: tuple, radius: float) -> None:
        nonlocal found
        mesh = tube(np.linspace(start, end, 6), [radius] * 6)
        found = attach(found, mesh, part, rigid(len(mesh[0]), names.index(bone)), np.array([90.0, 90, 160]), part)

    limb("torso", "spine", (0, 0.85, 0), (0, 1.4, 0), 0.16)
    limb("neck", "neck", (0, 1.38, 0), (0, 1.5, 0), 0.05)
    for side in ("left", "right"):
        x = 1 if side == "left" else -1
        at = {
            bone: np.array(BONES[side + bone])
            for bone in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
        }
        limb(side + "UpperArm", side + "UpperArm", at["UpperArm"], at["LowerArm"], 0.05)
        limb(side + "Forearm", side + "LowerArm", at["LowerArm"], at["Hand"], 0.045)
        limb(side + "Hand", side + "Hand", at["Hand"], at["Hand"] + [x * 0.1, -0.08, 0], 0.04)
        limb(side + "Thigh", side + "UpperLeg", at["UpperLeg"], at["LowerLeg"], 0.08)
        limb(side + "Shin", side + "LowerLeg", at["LowerLeg"], at["Foot"], 0.06)
        limb(side + "Foot", side + "Foot", at["Foot"] - [0, 0.04, 0.05], at["Foot"] - [0, 0.04, -0.2], 0.04)
    head = ellipsoid((0, 1.6, 0), (0.12, 0.15, 0.13), 20, 24)
    found = attach(found, head, "face", rigid(len(head[0]), names.index("head")), np.array([240.0, 205, 180]), "Skin")
    eyes = [Feature(np.array([x, 1.61, 0.12])) for x in (0.05, -0.05)]
    return found.replace(
        face=Face(
            eyes[0], eyes[1], Feature(np.array([0, 1.53, 0.12])), np.array([0, 1.75, 0]), np.array([0, 1.46, 0.08])
        )
    )
