# SPDX-License-Identifier: GPL-3.0-or-later
"""The bare head and its face. Positions in shares of the face: a = half width, b = half height, origin in its middle,
y down.
"""

from __future__ import annotations

from collections.abc import Sequence

from .figure import Figure
from .svg import LINE, Drawing, area, mix, shadow, smooth, stroke

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


class Face:
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

    # -- the face
    # -----------------------------------------------------------------------------------------------------------------

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

    def features(self) -> None:
        getattr(self, f"face_{self.look.face}")()

    def blush(self, y: float) -> None:
        for side in (-1, 1):
            x, yy = self.on_face(side * 0.60, y)
            self.d.ellipse(x, yy, 0.17 * self.a, 0.07 * self.b, "#f08a86", 0.28)

    def face_anime(self) -> None:
        d = self.d
        self.blush(0.53)
        for side in (-1, 1):
            self.anime_eye(side)
            x0, y0 = 0.22 * side, -0.16
            d.path(
                self.curve(
                    [(x0, y0 + 0.015), (x0 + 0.2 * side, y0 - 0.035), (x0 + 0.38 * side, y0 + 0.03)], False, True
                ),
                "none",
                shadow(self.look.hair_colour),
                0.028 * self.b,
            )
        d.path(
            self.curve([(0.015, 0.46), (-0.03, 0.505), (0.02, 0.515)], False, True),
            "none",
            mix(shadow(self.look.skin), "#a0524a", 0.35),
            2.8,
        )
        m, y = self.mouth_w, self.mouth_y
        d.shape(
            self.curve(
                [
                    (-m, y - 0.022),
                    (-m, y - 0.022),
                    (0, y - 0.004),
                    (m, y - 0.022),
                    (m, y - 0.022),
                    (m * 0.5, y + 0.045),
                    (0, y + 0.062),
                    (-m * 0.5, y + 0.045),
                ],
                True,
                True,
            ),
            "#b4474f",
            0.2,
            outline="#7a2c36",
        )

    def anime_eye(self, side: int) -> None:
        d, w, h = self.d, self.eye_w, self.eye_h

        def e(x: float, y: float) -> tuple[float, float]:
            return self.on_face(side * (self.eye_x + x * w), self.eye_y + y * h)

        white = smooth(
            [
                e(-0.98, -0.18),
                e(-0.62, -0.78),
                e(0.1, -0.98),
                e(0.78, -0.72),
                e(1.0, -0.1),
                e(0.72, 0.72),
                e(0.05, 0.98),
                e(-0.66, 0.74),
            ]
        )
        d.path(white, "#fdfcff")
        cx, cy = e(-0.02, 0.06)
        rx, ry = w * 0.66 * self.a, h * 0.88 * self.b
        colour = self.look.eyes
        fill = d.gradient(
            [(0, mix(colour, "#141029", 0.72)), (0.45, mix(colour, "#141029", 0.18)), (1, mix(colour, "#e8ffff", 0.45))]
        )
        rim = f'stroke="{mix(colour, "#141029", 0.75)}" stroke-width="{0.03 * self.a:.1f}"'
        iris = f'<ellipse cx="{cx:.1f}" cy="{cy:.1f}" rx="{rx:.1f}" ry="{ry:.1f}" fill="{fill}" {rim}/>'
        pupil = (
            f'<ellipse cx="{cx:.1f}" cy="{cy - 0.04 * ry:.1f}" rx="{rx * 0.40:.1f}" ry="{ry * 0.44:.1f}"'
            ' fill="#17122a"/>'
        )
        glow = (
            f'<ellipse cx="{cx:.1f}" cy="{cy + ry * 0.55:.1f}" rx="{rx * 0.55:.1f}" ry="{ry * 0.28:.1f}" fill="#ffffff"'
            ' opacity="0.35"/>'
        )
        lid = f'<path d="{white}" fill="#57507d" opacity="0.28" transform="translate(0 {-1.52 * h * self.b:.1f})"/>'
        d.clipped(white, iris + pupil + glow + lid)
        d.ellipse(cx - rx * 0.34, cy - ry * 0.42, rx * 0.30, ry * 0.25, "#ffffff")
        d.ellipse(cx + rx * 0.36, cy + ry * 0.34, rx * 0.14, ry * 0.12, "#ffffff", 0.95)
        lash = [
            e(-1.0, -0.12),
            e(-0.64, -0.82),
            e(0.1, -1.04),
            e(0.80, -0.78),
            e(1.04, -0.2),
            e(1.30, -0.34),
            e(1.30, -0.34),
            e(1.02, -0.66),
            e(0.72, -1.06),
            e(0.08, -1.30),
            e(-0.68, -1.06),
        ]
        d.path(smooth(lash), mix(LINE, self.look.hair_colour, 0.08))
        d.path(
            smooth([e(0.86, 0.42), e(0.60, 0.86), e(0.0, 1.02)], False), "none", mix(LINE, self.look.skin, 0.25), 2.4
        )
        d.path(
            smooth([e(-0.7, -1.30), e(0.05, -1.52), e(0.75, -1.28)], False),
            "none",
            mix(shadow(self.look.skin), "#7a4a4a", 0.4),
            2.2,
        )

    def face_dots(self) -> None:
        for side in (-1, 1):
            x, y = self.on_face(side * self.eye_x, self.eye_y)
            self.d.ellipse(x, y, self.eye_w * self.a, self.eye_h * self.b, "#2a2230")
            self.d.ellipse(x - 0.025 * self.a, y - 0.045 * self.b, 0.028 * self.a, 0.034 * self.b, "#ffffff")
            self.d.path(
                self.curve([(side * 0.22, -0.02), (side * 0.36, -0.07), (side * 0.5, -0.01)], False, True),
                "none",
                shadow(self.look.hair_colour),
                0.05 * self.b,
            )
        self.blush(0.44)
        m, y = self.mouth_w, self.mouth_y
        self.d.path(
            self.curve([(-m, y - 0.03), (-m * 0.5, y + 0.03), (m * 0.5, y + 0.03), (m, y - 0.03)], False, True),
            "none",
            "#8e3b3b",
            0.035 * self.b,
        )

    def face_real(self) -> None:
        d, skin = self.d, self.look.skin
        dark = shadow(skin)
        d.path(
            self.curve([(-0.05, 0.0), (-0.12, 0.30), (-0.02, 0.37), (0.12, 0.33)], False, True),
            "none",
            shadow(dark),
            3.0,
            0.8,
        )
        d.path(
            self.curve([(0.10, -0.02), (0.16, 0.28), (0.05, 0.37), (0.2, 0.36), (0.24, 0.1)], True, True),
            dark,
            opacity=0.5,
        )
        for side in (-1, 1):
            self.real_eye(side, "#5b3d26")
            brow = [(0.18, -0.12), (0.42, -0.20), (0.64, -0.11), (0.42, -0.155), (0.19, -0.075)]
            d.path(self.curve([(side * x, y) for x, y in brow], True, True), mix(self.look.hair_colour, "#20140f", 0.4))
        m, y = self.mouth_w, self.mouth_y
        d.path(
            self.curve(
                [
                    (-m, y),
                    (-m * 0.4, y - 0.045),
                    (0, y - 0.03),
                    (m * 0.4, y - 0.045),
                    (m, y),
                    (m * 0.4, y + 0.07),
                    (-m * 0.4, y + 0.07),
                ],
                True,
                True,
            ),
            mix(skin, "#b0484c", 0.55),
        )
        d.path(
            self.curve([(-m, y), (-m * 0.3, y + 0.008), (m * 0.3, y + 0.008), (m, y)], False, True),
            "none",
            "#7a3434",
            2.6,
        )

    def real_eye(self, side: int, colour: str) -> None:
        d, w, h = self.d, self.eye_w, self.eye_h

        def e(x: float, y: float) -> tuple[float, float]:
            return self.on_face(side * (self.eye_x + x * w), self.eye_y + y * h)

        white = smooth([e(-1, 0.15), e(-0.45, -0.75), e(0.3, -0.85), e(1, 0.0), e(0.4, 0.8), e(-0.4, 0.8)])
        d.path(white, "#f6f1ee")
        x, y = e(0, -0.05)
        r = h * self.b * 0.95
        at = f'cx="{x:.1f}" cy="{y:.1f}"'
        d.clipped(white, f'<circle {at} r="{r:.1f}" fill="{colour}"/><circle {at} r="{r * 0.5:.1f}" fill="#120c0c"/>')
        d.ellipse(x - r * 0.3, y - r * 0.3, r * 0.2, r * 0.2, "#ffffff")
        d.path(
            smooth([e(-1, 0.15), e(-0.45, -0.75), e(0.3, -0.85), e(1, 0.0)], False), "none", "#2a1c1a", 0.022 * self.b
        )

    def face_beard(self) -> None:
        d, hair = self.d, self.look.hair_colour
        self.face_real_eyes_only()
        beard = [
            (-0.93, 0.12),
            (-0.70, 0.30),
            (-0.34, 0.34),
            (0, 0.40),
            (0.34, 0.34),
            (0.70, 0.30),
            (0.93, 0.12),
            (0.90, 0.62),
            (0.56, 1.12),
            (0.20, 1.42),
            (0, 1.52),
            (-0.20, 1.42),
            (-0.56, 1.12),
            (-0.90, 0.62),
        ]
        lines = "".join(
            stroke(self.curve([(x, 0.62), (x * 0.86, 0.95), (x * 0.5, 1.35)], False), shadow(hair), 2.6)
            for x in (-0.6, -0.36, -0.12, 0.12, 0.36, 0.6)
        )
        d.shape(self.curve(beard), hair, 1.0, details=lines)
        m, y = self.mouth_w, self.mouth_y
        d.path(self.curve([(-m, y), (0, y + 0.03), (m, y), (0, y + 0.11)], True, True), "#8a3a3c")
        for side in (-1, 1):
            half = [(0.02, 0.36), (0.30, 0.36), (0.52, 0.46), (0.66, 0.60), (0.40, 0.56), (0.16, 0.50), (0.02, 0.46)]
            d.shape(self.curve([(side * x, yy) for x, yy in half], True, True), mix(hair, "#ffffff", 0.12), 0.5)
        d.shape(
            self.curve([(-0.14, 0.16), (0, -0.02), (0.14, 0.16), (0.18, 0.30), (0, 0.37), (-0.18, 0.30)], True, True),
            mix(self.look.skin, "#d07060", 0.3),
            0.4,
        )

    def face_real_eyes_only(self) -> None:
        for side in (-1, 1):
            self.real_eye(side, self.look.eyes)
            brow = [(0.12, -0.10), (0.40, -0.26), (0.70, -0.14), (0.42, -0.14), (0.14, -0.02)]
            self.d.shape(self.curve([(side * x, y) for x, y in brow], True, True), self.look.hair_colour, 0.3)

    def face_visor(self) -> None:
        d = self.d
        steel = self.look.colours[0]
        opening = [
            (-0.66, -0.10),
            (-0.4, -0.16),
            (0.4, -0.16),
            (0.66, -0.10),
            (0.62, 0.40),
            (0.30, 0.80),
            (0, 0.86),
            (-0.30, 0.80),
            (-0.62, 0.40),
        ]
        shell = [
            (0, -1.12),
            (0.66, -0.92),
            (1.04, -0.2),
            (1.02, 0.5),
            (0.70, 0.98),
            (0, 1.10),
            (-0.70, 0.98),
            (-1.02, 0.5),
            (-1.04, -0.2),
            (-0.66, -0.92),
        ]
        crest = area(self.curve([(-0.1, -1.2), (0.1, -1.2), (0.09, -0.2), (-0.09, -0.2)]), mix(steel, "#ffffff", 0.35))
        d.shape(
            self.curve(shell),
            steel,
            1.4,
            details=crest + stroke(self.curve([(-1.1, -0.28), (0, -0.40), (1.1, -0.28)], False), shadow(steel), 5),
        )
        d.shape(self.curve(opening, True, True), self.look.skin, -0.8)
        for side in (-1, 1):
            x, y = self.on_face(side * self.eye_x, self.eye_y)
            d.ellipse(x, y, self.eye_w * self.a, self.eye_h * self.b, "#241d2a")
            d.ellipse(x - 0.03 * self.a, y - 0.05 * self.b, 0.03 * self.a, 0.04 * self.b, "#ffffff")
            d.path(
                self.curve([(side * 0.2, -0.02), (side * 0.5, -0.08)], False, True), "none", "#4c3322", 0.05 * self.b
            )
        m, y = self.mouth_w, self.mouth_y
        d.path(self.curve([(-m, y), (0, y + 0.03), (m, y - 0.02)], False, True), "none", "#8e3b3b", 0.032 * self.b)
        d.shape(
            self.curve([(-0.06, -1.10), (0.06, -1.10), (0.30, -1.36), (0.05, -1.34), (-0.30, -1.38)]),
            self.look.colours[2],
            0.5,
        )

    def face_goblin(self) -> None:
        d, skin = self.d, self.look.skin
        for side in (-1, 1):
            x, y = self.on_face(side * self.eye_x, self.eye_y)
            rx, ry = self.eye_w * self.a, self.eye_h * self.b
            d.ellipse(x, y, rx, ry, "#f5e58a", 1, LINE, 3)
            d.ellipse(x, y, rx * 0.36, ry * 0.62, "#c4471b")
            d.ellipse(x, y, rx * 0.16, ry * 0.50, "#160e0c")
            d.path(
                self.curve(
                    [
                        (side * 0.14, 0.02),
                        (side * 0.40, -0.12),
                        (side * 0.72, -0.14),
                        (side * 0.70, -0.22),
                        (side * 0.38, -0.22),
                        (side * 0.12, -0.08),
                    ],
                    True,
                    True,
                ),
                shadow(shadow(skin)),
            )
        d.shape(
            self.curve([(-0.08, 0.05), (0.08, 0.05), (0.20, 0.34), (0.0, 0.46), (-0.20, 0.34)], True, True),
            mix(skin, "#d8d070", 0.25),
            0.6,
        )
        m, y = self.mouth_w, self.mouth_y
        d.shape(
            self.curve(
                [
                    (-m, y - 0.05),
                    (-m * 0.4, y + 0.0),
                    (m * 0.4, y + 0.0),
                    (m, y - 0.05),
                    (m * 0.5, y + 0.07),
                    (-m * 0.5, y + 0.07),
                ],
                True,
                True,
            ),
            "#5a1f22",
            0.2,
        )
        for side in (-1, 1):
            d.path(
                self.curve(
                    [
                        (side * 0.22, y + 0.03),
                        (side * 0.22, y + 0.03),
                        (side * 0.27, y - 0.13),
                        (side * 0.27, y - 0.13),
                        (side * 0.33, y + 0.02),
                    ],
                    True,
                    True,
                ),
                "#f2ead2",
                LINE,
                2.4,
            )

    def face_robot(self) -> None:
        d = self.d
        d.shape(
            self.curve(
                [
                    (-0.78, -0.34),
                    (-0.78, -0.34),
                    (0.78, -0.34),
                    (0.78, -0.34),
                    (0.72, 0.38),
                    (0.72, 0.38),
                    (-0.72, 0.38),
                    (-0.72, 0.38),
                ],
                True,
                True,
            ),
            "#27303f",
            -0.5,
        )
        for side in (-1, 1):
            x, y = self.on_face(side * self.eye_x, self.eye_y)
            d.ellipse(x, y, self.eye_w * self.a, self.eye_h * self.b, "#14343f")
            d.ellipse(x, y, self.eye_w * self.a * 0.72, self.eye_h * self.b * 0.72, self.look.eyes)
            d.ellipse(x - 6, y - 7, self.eye_w * self.a * 0.2, self.eye_h * self.b * 0.2, "#ffffff")
        m, y = self.mouth_w, self.mouth_y
        bars = "".join(
            stroke(self.curve([(x, y - 0.1), (x, y + 0.1)], False, True), "#27303f", 4)
            for x in (-0.2, -0.1, 0, 0.1, 0.2)
        )
        d.shape(
            self.curve(
                [
                    (-m, y - 0.07),
                    (-m, y - 0.07),
                    (m, y - 0.07),
                    (m, y - 0.07),
                    (m, y + 0.07),
                    (m, y + 0.07),
                    (-m, y + 0.07),
                    (-m, y + 0.07),
                ],
                True,
                True,
            ),
            "#aeb8c6",
            0.3,
            details=bars,
        )
