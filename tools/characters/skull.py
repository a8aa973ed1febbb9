# SPDX-License-Identifier: GPL-3.0-or-later
"""The bare head. Positions in shares of the face: a = half width, b = half height, origin in its middle,
y down.
"""

from __future__ import annotations

from collections.abc import Sequence

from .figure import Figure
from .svg import Drawing, smooth

# Per face: eye x, y, half width, half height; mouth y, half width.
FACES = {
    "anime": (0.43, 0.24, 0.225, 0.225, 0.69, 0.15),
    "dots": (0.36, 0.22, 0.085, 0.12, 0.56, 0.20),
    "real": (0.40, 0.08, 0.165, 0.070, 0.62, 0.24),
    "beard": (0.38, 0.02, 0.150, 0.075, 0.50, 0.20),
    "visor": (0.36, 0.16, 0.10, 0.12, 0.62, 0.16),
    "goblin": (0.42, 0.10, 0.20, 0.15, 0.62, 0.42),
    "robot": (0.40, 0.10, 0.19, 0.19, 0.60, 0.34),
}


class Skull:
    """The head's outline and where its face is."""

    def __init__(self, d: Drawing, f: Figure) -> None:
        self.d, self.f, self.look = d, f, f.look
        self.a, self.b = f.head_a, f.head_b
        self.eye_x, self.eye_y, self.eye_w, self.eye_h, self.mouth_y, self.mouth_w = FACES[self.look.face]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point on the head's outline (does not turn with yaw)."""
        return self.f.cx + x * self.a, self.f.head_y + y * self.b

    def on_face(self, x: float, y: float) -> tuple[float, float]:
        """A point of the face: moves to the side with yaw, and the far side is foreshortened."""
        yaw = self.look.yaw
        return (
            self.f.face_x + x * self.a * (1 - 0.22 * abs(yaw) * (1 if x * yaw > 0 else 0.1)),
            self.f.head_y + y * self.b,
        )

    def curve(self, points: Sequence[tuple[float, float]], closed: bool = True, face: bool = False) -> str:
        return smooth([(self.on_face if face else self.at)(*p) for p in points], closed)

    def truth(self) -> dict:
        out = {}
        for side, name in ((1, "leftEye"), (-1, "rightEye")):
            out[name] = {
                "center": list(self.on_face(side * self.eye_x, self.eye_y)),
                "half_width": self.eye_w * self.a,
                "half_height": self.eye_h * self.b,
            }
        out["mouth"] = {"center": list(self.on_face(0, self.mouth_y)), "width": 2 * self.mouth_w * self.a}
        return out

    def skull(self) -> None:
        d, skin = self.d, self.look.skin
        wide = {"real": 0.86, "beard": 0.94, "goblin": 1.0, "robot": 1.0, "dots": 1.0}.get(self.look.face, 0.95)
        if self.look.face == "robot":
            outline = [
                (-0.95, -0.9),
                (-0.95, -0.9),
                (0.95, -0.9),
                (0.95, -0.9),
                (1.0, 0.5),
                (0.7, 0.98),
                (0.7, 0.98),
                (-0.7, 0.98),
                (-0.7, 0.98),
                (-1.0, 0.5),
            ]
        elif self.look.face == "goblin":
            outline = [
                (0, -0.95),
                (0.7, -0.75),
                (0.98, -0.1),
                (0.86, 0.5),
                (0.5, 0.86),
                (0, 0.99),
                (-0.5, 0.86),
                (-0.86, 0.5),
                (-0.98, -0.1),
                (-0.7, -0.75),
            ]
        elif self.look.face == "dots":
            outline = [
                (0, -0.98),
                (0.72, -0.72),
                (1.0, 0.0),
                (0.90, 0.55),
                (0.52, 0.90),
                (0, 0.99),
                (-0.52, 0.90),
                (-0.90, 0.55),
                (-1.0, 0.0),
                (-0.72, -0.72),
            ]
        else:
            outline = [
                (0, -0.98),
                (0.68, -0.74),
                (wide, -0.05),
                (wide * 0.97, 0.34),
                (0.66, 0.70),
                (0.22, 0.96),
                (0, 1.0),
                (-0.22, 0.96),
                (-0.66, 0.70),
                (-wide * 0.97, 0.34),
                (-wide, -0.05),
                (-0.68, -0.74),
            ]
        for side in (-1, 1):
            self.ear(side, wide)
        d.shape(self.curve(outline), skin, 0.7, soft=True)

    def ear(self, side: int, wide: float) -> None:
        if self.look.face == "goblin":
            points = [(0.85, -0.05), (1.35, -0.42), (1.95, -0.62), (1.75, -0.2), (1.35, 0.18), (0.9, 0.38)]
        elif self.look.face == "robot":
            points = [(0.92, -0.3), (1.18, -0.3), (1.22, 0.0), (1.18, 0.32), (0.92, 0.32)]
        else:
            points = [
                (wide - 0.05, -0.02),
                (wide + 0.10, -0.08),
                (wide + 0.13, 0.12),
                (wide + 0.03, 0.36),
                (wide - 0.08, 0.38),
            ]
        colour = "#8d97a8" if self.look.face == "robot" else self.look.skin
        self.d.shape(self.curve([(side * x, y) for x, y in points]), colour, 0.4)

    def blush(self, y: float) -> None:
        for side in (-1, 1):
            x, yy = self.on_face(side * 0.60, y)
            self.d.ellipse(x, yy, 0.17 * self.a, 0.07 * self.b, "#f08a86", 0.28)
