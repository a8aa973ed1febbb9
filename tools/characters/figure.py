# SPDX-License-Identifier: GPL-3.0-or-later
"""What a character looks like (Look) and where its joints are in the picture (Figure)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# Chin to the top of the hair or hat, in half heights of the face.
HEAD_HEIGHTS = {"hat": 2.58, "spiky": 2.36, "bun": 2.40, "bob": 2.40, "long": 2.40, "helmet": 2.38, "bald": 1.98}
SIDES = (-1, 1)  # right and left of the character, as seen in the picture


@dataclass(frozen=True)
class Look:
    """One character. Lengths are shares of the body's height unless they say otherwise; angles in degrees."""

    name: str
    width: int = 1024
    height: int = 1536
    margin: float = 0.035  # of the picture's height, above and below
    head: float = 0.232  # head with hair, of the whole height
    build: float = 1.0  # widths of torso and limbs
    shoulders: float = 0.112  # half width, of the body without head
    arm_angle: float = 44.0  # below horizontal
    arm_length: float = 0.465  # shoulder to fingertip, of the body without head
    stance: float = 1.0  # how far the feet are apart
    yaw: float = 0.0  # -1..1: the head and the body's details turn to the character's left (right in the picture)
    style: str = "cel"  # cel, flat
    face: str = "anime"  # anime, dots, real, beard, visor, goblin, robot
    hair: str = "bob"  # bob, spiky, long, bun, bald, helmet, hat, ears
    outfit: str = "jacket"  # jacket, dress, coat, armour, shirt, robot
    cape: str | None = None
    skin: str = "#f8d9c4"
    hair_colour: str = "#c9c3e6"
    eyes: str = "#2f8fb8"
    colours: tuple[str, str, str, str] = ("#f4f5fa", "#2c3a63", "#22a6a1", "#3a3350")  # main, second, accent, shoes
    background: str = "none"  # none, #rrggbb, gradient, noise
    extras: tuple[str, ...] = field(default=())


class Figure:
    """Joint positions in pixels (x right, y down). The character's left (side +1) is on the picture's right."""

    def __init__(self, look: Look) -> None:
        self.look = look
        top, sole = look.height * look.margin, look.height * (1 - look.margin)
        self.total = sole - top
        self.head_h = self.total * look.head
        self.body = self.total - self.head_h
        self.cx, self.top, self.sole = look.width / 2, top, sole
        self.chin = top + self.head_h
        b = self.body
        self.shoulder_y = self.chin + 0.088 * b
        self.hip_y = self.chin + 0.485 * b
        self.crotch_y = self.chin + 0.545 * b
        self.ankle_y = sole - 0.062 * b
        self.hip_x = 0.064 * b * look.build
        self.foot_x = self.hip_x + 0.048 * b * look.stance
        self.head_b = self.head_h / HEAD_HEIGHTS.get(look.hair, 2.14)
        self.head_a = self.head_b * 0.90
        self.head_y = self.chin - self.head_b
        self.face_x = self.cx + look.yaw * 0.26 * self.head_a

    def x(self, side: int, distance: float) -> float:
        return self.cx + side * distance

    def arm(self, side: int) -> np.ndarray:
        """(4, 2) shoulder, elbow, wrist, fingertip."""
        b, look = self.body, self.look
        start = np.array([self.x(side, look.shoulders * b * look.build), self.shoulder_y])
        angle = np.radians(look.arm_angle)
        along = np.array([side * np.cos(angle), np.sin(angle)])
        return start + np.outer([0, 0.43, 0.785, 1.0], along) * look.arm_length * b

    def leg(self, side: int) -> np.ndarray:
        """(4, 2) hip joint, knee, ankle, sole."""
        hip = np.array([self.x(side, self.hip_x), self.hip_y])
        ankle = np.array([self.x(side, self.foot_x), self.ankle_y])
        return np.array([hip, hip + (ankle - hip) * 0.52, ankle, [ankle[0] + side * 2, self.sole]])

    def joints(self) -> dict[str, list[float]]:
        out = {
            "hips": [self.cx, self.hip_y - 0.02 * self.body],
            "neck": [self.cx, self.chin + 0.055 * self.body],
            "head": [self.cx, self.chin + 0.005 * self.body],
            "headTop": [self.cx, self.top],
        }
        for side, name in ((1, "left"), (-1, "right")):
            for bone, point in zip(("UpperArm", "LowerArm", "Hand"), self.arm(side), strict=False):
                out[name + bone] = list(point)
            for bone, point in zip(("UpperLeg", "LowerLeg", "Foot"), self.leg(side), strict=False):
                out[name + bone] = list(point)
        return {name: [round(float(v), 2) for v in point] for name, point in out.items()}
