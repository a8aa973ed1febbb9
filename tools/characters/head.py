# SPDX-License-Identifier: GPL-3.0-or-later
"""Hair and headgear, on the face of face.py and in its positions."""

from __future__ import annotations

from .face import Face
from .svg import LINE, area, mix, shadow, smooth, stroke


class Head(Face):
    def back_hair(self) -> None:
        d, hair = self.d, mix(self.look.hair_colour, "#3b3366", 0.22)
        if self.look.hair == "bob":
            d.shape(
                self.curve(
                    [
                        (0, -1.10),
                        (0.74, -0.92),
                        (1.10, -0.25),
                        (1.16, 0.45),
                        (1.08, 0.86),
                        (0.80, 0.98),
                        (0.45, 0.92),
                        (0, 0.90),
                        (-0.45, 0.92),
                        (-0.80, 0.98),
                        (-1.08, 0.86),
                        (-1.16, 0.45),
                        (-1.10, -0.25),
                        (-0.74, -0.92),
                    ]
                ),
                hair,
                0.6,
            )
        elif self.look.hair == "long":
            d.shape(
                self.curve(
                    [
                        (0, -1.1),
                        (0.8, -0.9),
                        (1.12, 0.0),
                        (1.18, 1.0),
                        (1.02, 1.9),
                        (0.62, 2.25),
                        (0, 2.3),
                        (-0.62, 2.25),
                        (-1.02, 1.9),
                        (-1.18, 1.0),
                        (-1.12, 0.0),
                        (-0.8, -0.9),
                    ]
                ),
                hair,
                0.6,
            )
        elif self.look.hair == "bun":
            for side in (-1, 1):
                x, y = self.at(side * 0.74, -0.98)
                d.shape(
                    smooth(
                        [
                            (x + 0.36 * self.a * u, y + 0.36 * self.a * v)
                            for u, v in (
                                (0, -1),
                                (0.71, -0.71),
                                (1, 0),
                                (0.71, 0.71),
                                (0, 1),
                                (-0.71, 0.71),
                                (-1, 0),
                                (-0.71, -0.71),
                            )
                        ]
                    ),
                    self.look.hair_colour,
                    0.7,
                )

    def front_hair(self) -> None:
        style = self.look.hair
        if style in ("bob", "long", "bun"):
            self.fringe()
        elif style == "spiky":
            self.spikes()
        elif style == "hat":
            self.hat()
        elif style == "short":
            self.cap_of_hair()

    def fringe(self) -> None:
        d, hair = self.d, self.look.hair_colour
        low = 0.62 if self.look.hair == "bob" else 1.1
        if self.look.hair != "bun":
            for side in (-1, 1):
                lock = [
                    (0.62, -0.62),
                    (0.98, -0.42),
                    (1.12, 0.1),
                    (1.10, low - 0.1),
                    (0.96, low + 0.22),
                    (0.96, low + 0.22),
                    (0.86, low),
                    (0.82, 0.30),
                    (0.78, -0.1),
                ]
                lines = stroke(
                    self.curve([(side * 0.96, -0.1), (side * 1.0, 0.3), (side * 0.95, low)], False), shadow(hair), 2.6
                )
                d.shape(self.curve([(side * x, y) for x, y in lock]), hair, 0.7, details=lines)
        tips = [(-0.95, 0.32), (-0.66, 0.08), (-0.30, 0.10), (0.02, 0.02), (0.20, 0.12), (0.62, 0.08), (0.95, 0.32)]
        valleys = [(-0.80, -0.16), (-0.50, -0.20), (-0.12, -0.24), (0.10, -0.30), (0.44, -0.22), (0.80, -0.16)]
        path = [(-1.02, 0.1), *tips[:1]]
        zig = [tips[0], tips[0]]
        for valley, tip in zip(valleys, tips[1:], strict=True):
            zig += [valley, tip, tip]
        crown = [
            (1.03, 0.05),
            (1.04, -0.40),
            (0.80, -0.88),
            (0.36, -1.12),
            (0, -1.17),
            (-0.36, -1.12),
            (-0.80, -0.88),
            (-1.04, -0.40),
        ]
        path = zig + crown
        ink = shadow(hair)
        root = (0.12, -1.12)
        lines = ""
        for x, y in valleys:
            mid = ((x * 0.75 + root[0] * 0.25), (y + root[1]) / 2 - 0.02)
            lines += stroke(
                self.curve([(x, y), mid, (x * 0.35 + root[0] * 0.65, root[1] + 0.14)], False), ink, 2.4, 0.85
            )
        shine = [
            (-0.74, -0.58),
            (-0.5, -0.66),
            (-0.2, -0.70),
            (0.1, -0.71),
            (0.42, -0.69),
            (0.72, -0.6),
            (0.60, -0.53),
            (0.44, -0.61),
            (0.30, -0.55),
            (0.12, -0.63),
            (-0.06, -0.56),
            (-0.24, -0.62),
            (-0.42, -0.53),
            (-0.58, -0.58),
        ]
        light = area(self.curve(shine), mix(hair, "#ffffff", 0.55), 0.75)
        under = area(self.curve([(-1.1, -0.06), (0, -0.20), (1.1, -0.06), (1.1, 0.5), (-1.1, 0.5)]), ink, 0.35)
        d.shape(self.curve(path), hair, 1.0, details=under + light + lines)
        d.path(self.curve([(0.02, -1.16), (0.10, -1.36), (0.30, -1.40), (0.18, -1.28), (0.14, -1.15)]), hair, LINE)

    def spikes(self) -> None:
        hair = self.look.hair_colour
        tips = [(-0.96, 0.22), (-0.66, 0.02), (-0.36, 0.10), (-0.02, -0.08), (0.26, 0.08), (0.58, -0.02), (0.96, 0.22)]
        valleys = [(-0.84, -0.16), (-0.52, -0.2), (-0.2, -0.24), (0.12, -0.22), (0.42, -0.2), (0.82, -0.16)]
        zig = [tips[0], tips[0]]
        for valley, tip in zip(valleys, tips[1:], strict=True):
            zig += [valley, tip, tip]
        top = [
            (1.06, -0.3),
            (1.24, -0.62),
            (1.24, -0.62),
            (0.90, -0.72),
            (0.92, -1.14),
            (0.92, -1.14),
            (0.55, -0.98),
            (0.36, -1.36),
            (0.36, -1.36),
            (0.06, -1.08),
            (-0.26, -1.34),
            (-0.26, -1.34),
            (-0.46, -1.02),
            (-0.84, -1.18),
            (-0.84, -1.18),
            (-0.86, -0.76),
            (-1.22, -0.68),
            (-1.22, -0.68),
            (-1.06, -0.3),
        ]
        lines = "".join(
            stroke(self.curve([(x, y), (x * 0.8, y - 0.35), (x * 0.7, y - 0.6)], False), shadow(hair), 2.5)
            for x, y in valleys
        )
        light = area(
            self.curve([(-0.6, -0.72), (0, -0.86), (0.6, -0.74), (0.3, -0.66), (0, -0.72), (-0.3, -0.64)]),
            mix(hair, "#ffffff", 0.4),
            0.7,
        )
        self.d.shape(self.curve(zig + top), hair, 1.0, details=lines + light)

    def cap_of_hair(self) -> None:
        hair = self.look.hair_colour
        points = [
            (-0.92, 0.05),
            (-0.80, -0.30),
            (-0.50, -0.46),
            (0, -0.50),
            (0.50, -0.46),
            (0.80, -0.30),
            (0.92, 0.05),
            (1.0, -0.3),
            (0.80, -0.86),
            (0, -1.14),
            (-0.80, -0.86),
            (-1.0, -0.3),
        ]
        self.d.shape(self.curve(points), hair, 0.9)

    def hat(self) -> None:
        hat = self.look.colours[1]
        self.cap_of_hair()
        brim = [
            (-1.75, -0.36),
            (-1.0, -0.58),
            (0, -0.64),
            (1.0, -0.58),
            (1.75, -0.36),
            (1.0, -0.26),
            (0, -0.22),
            (-1.0, -0.26),
        ]
        self.d.shape(
            self.curve(
                [(-0.98, -0.5), (-0.70, -1.08), (-0.28, -1.5), (0, -1.58), (0.28, -1.5), (0.70, -1.08), (0.98, -0.5)]
            ),
            hat,
            1.2,
        )
        self.d.shape(
            self.curve([(-0.97, -0.62), (0, -0.78), (0.97, -0.62), (0.98, -0.42), (0, -0.52), (-0.98, -0.42)]),
            self.look.colours[2],
            0.5,
        )
        self.d.shape(self.curve(brim), hat, 0.8)

    def headset(self) -> None:
        """A small audio headset: band over the hair, cups over the ears."""
        d, accent = self.d, self.look.colours[2]
        d.path(
            self.curve(
                [(-1.12, 0.02), (-1.06, -0.62), (-0.66, -1.08), (0, -1.26), (0.66, -1.08), (1.06, -0.62), (1.12, 0.02)],
                False,
            ),
            "none",
            LINE,
            0.115 * self.b,
        )
        d.path(
            self.curve(
                [(-1.12, 0.02), (-1.06, -0.62), (-0.66, -1.08), (0, -1.26), (0.66, -1.08), (1.06, -0.62), (1.12, 0.02)],
                False,
            ),
            "none",
            "#f2f3f8",
            0.075 * self.b,
        )
        for side in (-1, 1):
            d.shape(
                self.curve(
                    [
                        (side * x, y)
                        for x, y in (
                            (0.98, -0.22),
                            (1.22, -0.16),
                            (1.28, 0.12),
                            (1.20, 0.38),
                            (0.98, 0.42),
                            (0.92, 0.1),
                        )
                    ]
                ),
                "#f2f3f8",
                0.6,
            )
            d.shape(
                self.curve(
                    [
                        (side * x, y)
                        for x, y in (
                            (1.10, -0.08),
                            (1.22, -0.02),
                            (1.24, 0.12),
                            (1.20, 0.27),
                            (1.08, 0.29),
                            (1.05, 0.1),
                        )
                    ]
                ),
                accent,
                0.4,
            )
