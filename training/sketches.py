# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces drawn over rendered heads: eyes, brows, noses and mouths of many drawing styles from a few rules with wide
ranges, as SVG with the exact place and size of eyes and mouth.

Coordinates: the distance between the eyes' middles is 1, the point between them is the origin; x to the character's
left, y down along the face. Styles are our own rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from training.characters.facepaint import Pen, rgb


@dataclass
class Sketch(Pen):
    """SVG elements, y down; half sizes of leftEye, rightEye and mouth (x, y, half width, half height); a part that was
    not drawn is missing.
    """

    parts: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)

    def ellipse(self, x: float, y: float, a: float, b: float, fill: str, extra: str = "") -> None:
        super().ellipse(x, -y, a, b, fill, extra)


def sketch(random: np.random.Generator, skin: np.ndarray, mouth_y: float) -> Sketch:
    """A face for skin of this colour (3,) whose mouth is at mouth_y."""
    return _Sketcher(random, np.asarray(skin, float), mouth_y).face()


class _Sketcher:
    def __init__(self, random: np.random.Generator, skin: np.ndarray, mouth_y: float) -> None:
        self.random, self.skin, self.mouth_y = random, skin, mouth_y
        self.out = Sketch()
        self.ink = rgb(random.integers(0, 60, 3) if self.chance(0.75) else skin * self.u(0.2, 0.6))
        self.iris = random.integers(20, 236, 3).astype(float)
        self.line = self.u(0.02, 0.075)

    def u(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def face(self) -> Sketch:
        if self.chance(0.3):
            self._blush()
        self._nose()
        self._eyes()
        self._mouth()
        return self.out

    def _blush(self) -> None:
        a, b, y = self.u(0.1, 0.28), self.u(0.05, 0.15), self.u(0.3, 0.55)
        fill, lines = rgb(self.skin * [1, 0.7, 0.7] + [10, 0, 5]), self.chance(0.3)
        for x in (-self.u(0.5, 0.75), self.u(0.5, 0.75)):
            if lines:
                for k in (-1, 0, 1):
                    self.out.path(f"M{x + 0.07 * k + 0.03} {y - b}l-0.06 {2 * b}", stroke=fill, width=0.03)
            else:
                self.out.ellipse(x, y, a, b, fill, f'opacity="{self.u(0.4, 1):.2f}"')

    def _nose(self) -> None:
        y, dark, kind = self.u(0.4, 0.72) * self.mouth_y, rgb(self.skin * self.u(0.3, 0.85)), self.u(0, 1)
        if kind < 0.3:
            return
        if kind < 0.45:
            self.out.ellipse(0, y, self.u(0.015, 0.05), self.u(0.01, 0.05), dark)
        elif kind < 0.62:
            bend, tall = self.u(-0.12, 0.12), self.u(0.05, 0.3)
            self.out.path(
                f"M{-bend / 2} {y - tall}L{bend} {y}L{bend * 0.3} {y + 0.02}", stroke=dark, width=self.line * 0.8
            )
        elif kind < 0.74:
            wide = self.u(0.04, 0.14)
            for x in (-wide, wide):
                self.out.ellipse(x, y, self.u(0.015, 0.04), self.u(0.01, 0.03), dark)
        elif kind < 0.88:
            wide = self.u(0.05, 0.16)
            self.out.path(f"M{-wide} {y}q{wide} {self.u(0.02, 0.12)} {2 * wide} 0", stroke=dark, width=self.line)
        else:
            self.out.ellipse(0, y, self.u(0.08, 0.24), self.u(0.06, 0.16), dark, f'opacity="{self.u(0.4, 1):.2f}"')

    def _eyes(self) -> None:
        kind = str(self.random.choice(("drawn", "closed", "dot", "disc"), p=(0.66, 0.12, 0.12, 0.1)))
        width = self.u(0.05, 0.16) if kind == "dot" else self.u(0.14, 0.46)
        ratio = self.u(0.8, 2.2) if kind in ("dot", "disc") else math.exp(self.u(math.log(0.35), math.log(1.9)))
        height = min(width * ratio, 0.62, 0.75 * self.mouth_y)
        state, tilt, gaze = self.random.bit_generator.state, self.u(-14, 14), self.random.normal(0, 0.13, 2)
        for side, name in ((1, "leftEye"), (-1, "rightEye")):
            self.random.bit_generator.state = state  # both eyes from the same draws
            self.out.items.append(f'<g transform="translate({0.5 * side} 0) scale({side} 1) rotate({tilt:.1f})">')
            if kind == "drawn":
                self._eye(width, height, (gaze[0] * side, gaze[1]))
            elif kind == "closed":
                sign, line = (-1 if self.chance(0.6) else 1), max(self.line, 0.03)
                self.out.path(
                    f"M{-width} 0Q0 {sign * height * 1.2} {width} 0", stroke=self.ink, width=line * self.u(1, 2)
                )
                height = max(0.3 * height, 0.03)
            else:
                fill = self.ink if kind == "dot" or self.chance(0.5) else rgb(self.iris)
                self.out.ellipse(0, 0, width, height, fill)
                for _ in range(int(self.random.integers(0, 3))):
                    self.out.ellipse(
                        self.u(-0.4, 0.4) * width, self.u(-0.6, 0.4) * height, self.u(0.15, 0.4) * width,
                        self.u(0.1, 0.35) * height, "#ffffff",
                    )  # fmt: skip
            self._brow(width, height)
            self.out.items.append("</g>")
            self.out.parts[name] = (0.5 * side, 0.0, width, height)

    def _eye(self, w: float, h: float, gaze: tuple[float, float]) -> None:
        up, down = self.u(0.7, 1.25), self.u(0.5, 1.2)
        inner, outer = self.u(-0.15, 0.35) * h, self.u(-0.35, 0.25) * h
        lens = (f"M{-w} {inner}C{-w * 0.6} {-1.3 * h * up} {w * 0.6} {-1.3 * h * up} {w} {outer}"
                f"C{w * 0.6} {1.3 * h * down} {-w * 0.6} {1.3 * h * down} {-w} {inner}Z")  # fmt: skip
        shape = f"M{-w} 0A{w} {h} 0 1 1 {w} 0A{w} {h} 0 1 1 {-w} 0Z" if self.chance(0.25) else lens
        white = (
            [255, 255, 255]
            if self.chance(0.7)
            else self.skin
            if self.chance(0.4)
            else self.random.integers(150, 256, 3)
        )
        rim = self.ink if self.chance(0.35) else "none"
        self.out.path(shape, fill=rgb(white), stroke=rim, width=self.line)
        name = f"e{len(self.out.items)}"
        self.out.items.append(f'<clipPath id="{name}"><path d="{shape}"/></clipPath>')
        clip = f'clip-path="url(#{name})"'
        if not self.chance(0.04):
            self._iris(w, h, gaze, clip)
        lid = f"M{-w} {inner}C{-w * 0.6} {-1.3 * h * up} {w * 0.6} {-1.3 * h * up} {w} {outer}"
        if self.chance(0.8):
            self.out.path(lid, stroke=self.ink, width=self.u(0.03, 0.16) * (0.4 + 1.5 * w))
        if self.chance(0.3):
            self.out.path(
                lid, stroke=self.ink, width=self.line * 0.6, extra=f'transform="translate(0 {-self.u(0.05, 0.16)})"'
            )
        for _ in range(int(self.random.integers(1, 5)) if self.chance(0.3) else 0):
            x = self.u(0.5, 1.05) * w
            self.out.path(
                f"M{x} {outer - 0.3 * h}l{self.u(0.03, 0.2)} {-self.u(0.02, 0.2)}", stroke=self.ink, width=self.line
            )

    def _iris(self, w: float, h: float, gaze: tuple[float, float], clip: str) -> None:
        share = self.u(0.3, 0.95)
        a, b = min(w, h * 1.4) * share, h * self.u(0.5, 1.05)
        if self.chance(0.4):
            a = b = min(a, b)
        x, y = gaze[0] * w, gaze[1] * h
        if self.chance(0.15):  # pen alone
            self.out.ellipse(x, y, a, b, "none", f'stroke="{self.ink}" stroke-width="{self.line:.3f}" {clip}')
        else:
            iris = self.iris * self.u(0.1, 1.0)
            self.out.ellipse(x, y, a, b, rgb(iris * 0.5), clip)
            self.out.ellipse(x, y + 0.08 * b, a * 0.86, b * 0.86, rgb(iris), clip)
            if self.chance(0.5):
                self.out.ellipse(x, y + 0.45 * b, a * 0.6, b * 0.4, rgb(iris * 0.6 + 110), clip)
        if self.chance(0.8):
            self.out.ellipse(x, y, a * self.u(0.25, 0.6), b * self.u(0.25, 0.6), self.ink, clip)
        for _ in range(int(self.random.integers(0, 4))):
            self.out.ellipse(
                x + self.u(-0.5, 0.5) * a, y + self.u(-0.6, 0.6) * b, self.u(0.1, 0.4) * a, self.u(0.1, 0.35) * b,
                "#ffffff", clip,
            )  # fmt: skip

    def _brow(self, w: float, h: float) -> None:
        if self.chance(0.3):
            return
        y, half, slope = -max(h, 0.15) * self.u(1.1, 1.9) - 0.05, max(w, 0.16) * self.u(0.7, 1.2), self.u(-0.2, 0.2)
        fill = self.ink if self.chance(0.6) else rgb(self.skin * self.u(0.3, 0.8))
        self.out.path(
            f"M{-half} {y + slope}Q0 {y - self.u(0, 0.15)} {half} {y - slope}", stroke=fill, width=self.u(0.025, 0.14)
        )

    def _mouth(self) -> None:
        if self.chance(0.06):
            return
        w, y, x = math.exp(self.u(math.log(0.05), math.log(0.6))), self.mouth_y, 0.0
        red = np.array([self.u(110, 235), self.u(20, 120), self.u(30, 130)])
        dark = self.ink if self.chance(0.5) else rgb(red if self.chance(0.5) else self.skin * self.u(0.25, 0.75))
        kind, line = self.u(0, 1), self.line * self.u(0.6, 1.5)
        self.out.items.append(f'<g transform="translate({x} {y}) rotate({self.random.normal(0, 4):.1f})">')
        if kind < 0.45:
            bend = self.u(-0.5, 0.7) * w if self.chance(0.75) else 0.0
            self.out.path(f"M{-w} {-bend / 2}Q0 {1.5 * bend} {w} {-bend / 2}", stroke=dark, width=line)
            h = abs(bend) / 2 + line / 2
            if self.chance(0.2):
                self.out.path(f"M{-w * 0.3} {h + 0.08}h{0.6 * w}", stroke=dark, width=line * 0.7)
        elif kind < 0.72:
            h = self._open(w, dark, red, line)
        elif kind < 0.84:
            w, h = max(w, 0.12), max(w, 0.12) * self.u(0.15, 0.45)
            lip = rgb(self.skin * [0.9, self.u(0.4, 0.85), self.u(0.4, 0.85)])
            self.out.path(
                f"M{-w} 0Q{-w * 0.3} {-1.6 * h} 0 {-0.6 * h}Q{w * 0.3} {-1.6 * h} {w} 0Q0 {2 * h} {-w} 0Z", fill=lip
            )
            self.out.path(f"M{-w} 0Q0 {0.2 * h} {w} 0", stroke=dark, width=self.u(0.012, 0.04))
        elif kind < 0.92:
            h = w * self.u(0.1, 0.25)
            self.out.path(f"M{-w} {-h}q{w / 2} {3 * h} {w} 0q{w / 2} {3 * h} {w} 0", stroke=dark, width=line)
        else:
            w, h = min(w, 0.2), min(w, 0.2) * self.u(0.6, 1.4)
            self.out.path(f"M0 {-h}L{w} {h}L{-w} {h}Z", fill=dark)
        self.out.items.append("</g>")
        self.out.parts["mouth"] = (x, y, w + line / 2, h)

    def _open(self, w: float, dark: str, red: np.ndarray, line: float) -> float:
        h, top = w * self.u(0.25, 1.1), self.u(-0.5, 0.3)
        d = (f"M{-w} {-h * 0.8}Q0 {-h * 0.8 + top * h} {w} {-h * 0.8}C{w * 0.9} {1.25 * h} {w * 0.4} {h} 0 {h}"
             f"C{-w * 0.4} {h} {-w * 0.9} {1.25 * h} {-w} {-h * 0.8}Z")  # fmt: skip
        inside = [245, 245, 245] if self.chance(0.2) else red * self.u(0.3, 1.0)
        self.out.path(d, fill=rgb(inside), stroke=dark, width=line * 0.7)
        name = f"m{len(self.out.items)}"
        self.out.items.append(f'<clipPath id="{name}"><path d="{d}"/></clipPath>')
        clip = f'clip-path="url(#{name})"'
        if self.chance(0.5):
            self.out.ellipse(0, h, w * self.u(0.4, 0.8), h * self.u(0.4, 0.9), rgb(red * 0.5 + 120), clip)
        if self.chance(0.45):
            self.out.path(f"M{-w} {-1.5 * h}h{2 * w}v{self.u(0.6, 1.2) * h}h{-2 * w}Z", fill="#fafafa", extra=clip)
        if self.chance(0.15):
            for k in range(-3, 4):
                self.out.path(f"M{k * w / 4} {-h}v{2 * h}", stroke=dark, width=0.015, extra=clip)
        return h
