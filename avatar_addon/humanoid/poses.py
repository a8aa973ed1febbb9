# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses to look at an avatar in: VRM bone -> degrees about the world's x, y, z (Blender's axes), from the T-pose."""

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
