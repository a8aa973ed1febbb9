# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces that are not human: a visor, a goblin, a robot."""

from __future__ import annotations

from .skull import Skull
from .svg import LINE, area, mix, shadow, stroke


class CreatureFace(Skull):
    """A head with a drawing for each such face."""

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
