# SPDX-License-Identifier: GPL-3.0-or-later
"""Human faces, drawn, and the choice of the face to draw."""

from __future__ import annotations

from .creature_face import CreatureFace
from .svg import LINE, mix, shadow, smooth, stroke


class Face(CreatureFace):
    """A head with the face that its look names."""

    def features(self) -> None:
        getattr(self, f"face_{self.look.face}")()

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
