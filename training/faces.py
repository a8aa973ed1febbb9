# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws a two-dimensional face over a rendered head: dots, cartoon, anime or line eyes, brows and many mouths."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

KINDS = ("dot", "cartoon", "anime", "line", "plain")
KIND_SHARES = (0.18, 0.24, 0.32, 0.10, 0.16)


@dataclass
class PaintedFace:
    """Half width and half height, in pixels, of what was drawn: leftEye, rightEye, mouth; a part that was not drawn is
    missing.
    """

    sizes: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class FacePlane:
    """Where a face is in the picture, pixels: centres (None where hidden), and what one eye distance to the
    character's left (x) and up (y) along the face is in the picture.
    """

    left: np.ndarray | None
    right: np.ndarray | None
    mouth: np.ndarray | None
    x: np.ndarray
    y: np.ndarray
    skin: np.ndarray


class FacePainter:
    """Draws one face on `image` (RGB). Lengths inside are in eye distances."""

    def __init__(self, image: Image.Image, plane: FacePlane, random: np.random.Generator) -> None:
        self.pen, self.plane, self.random = ImageDraw.Draw(image), plane, random
        self.unit = float(np.hypot(*plane.x))
        self.kind = str(random.choice(KINDS, p=KIND_SHARES))
        self.ink = random.integers(0, 80, 3)
        self.done = PaintedFace()

    def paint(self) -> PaintedFace:
        u = self.random.uniform
        width = u(0.14, 0.38)
        if self.kind == "dot":
            width = u(0.06, 0.18)
        size = (width, width * u(0.6, 1.6))
        iris = self.random.integers(0, 256, 3)
        gaze = self.random.normal(0, 0.12, 2)
        brows = u(-0.25, 0.25) if self.random.random() < 0.55 else None
        for name, at, sign in (("leftEye", self.plane.left, 1), ("rightEye", self.plane.right, -1)):
            if at is not None:
                self._blank(at, max(size[0] * 1.4, 0.3), max(max(size) * 1.4, 0.3))
                self._eye(at, size, iris, gaze, sign)
                self._note(name, *size)
                if brows is not None:
                    self._brow(at, size, brows, sign)
        if self.plane.mouth is not None:
            self._mouth(self.plane.mouth)
        return self.done

    def _at(self, origin: np.ndarray, x: float, y: float) -> np.ndarray:
        return origin + self.plane.x * x + self.plane.y * y

    def _note(self, name: str, half_width: float, half_height: float) -> None:
        self.done.sizes[name] = (half_width * self.unit, half_height * float(np.hypot(*self.plane.y)))

    def _colour(self, colour) -> tuple[int, int, int]:
        r, g, b = (int(np.clip(v, 0, 255)) for v in colour)
        return r, g, b

    def _ellipse(self, at, a: float, b: float, fill, start: float = 0.0, end: float = 1.0) -> None:
        """A filled ellipse, or the part of it between two shares of the turn, from the character's left upwards."""
        t = np.linspace(start, end, 28) * 2 * np.pi
        points = [tuple(self._at(at, a * np.cos(k), b * np.sin(k))) for k in t]
        self.pen.polygon(points, fill=self._colour(fill))

    def _arc(self, at, a: float, b: float, fill, start: float, end: float, width: float) -> None:
        t = np.linspace(start, end, 16) * 2 * np.pi
        points = [tuple(self._at(at, a * np.cos(k), b * np.sin(k))) for k in t]
        self.pen.line(points, fill=self._colour(fill), width=max(1, round(width * self.unit)))

    def _blank(self, at, a: float, b: float) -> None:
        self._ellipse(at, a, b, self.plane.skin)

    def _eye(self, at, size: tuple[float, float], iris, gaze, sign: int) -> None:
        u, (w, h) = self.random.uniform, size
        if self.kind == "dot":
            self._ellipse(at, w, h, self.ink)
            if u(0, 1) < 0.3:
                self._ellipse(self._at(at, w * 0.25, h * 0.35), w * 0.3, h * 0.3, (255, 255, 255))
            return
        if self.kind == "line":
            start = 0.05 if u(0, 1) < 0.6 else 0.55
            self._arc(at, w, h * 0.5, self.ink, start, start + 0.4, u(0.04, 0.1))
            return
        if self.kind == "cartoon":
            self._ellipse(at, w * 1.1, h * 1.1, self.ink)
        self._ellipse(at, w, h, (255, 255, 255) if u(0, 1) < 0.85 else self.random.integers(170, 256, 3))
        share = u(0.6, 0.9) if self.kind == "anime" else u(0.3, 0.7)
        centre = self._at(at, gaze[0] * w * (1 - share) * 3, gaze[1] * h * (1 - share) * 3)
        self._ellipse(centre, w * share, h * min(1.0, share * 1.15), iris)
        self._ellipse(centre, w * share * 0.55, h * share * 0.6, self.ink)
        if u(0, 1) < 0.85:
            self._ellipse(self._at(centre, w * 0.2, h * 0.32), w * 0.2, h * 0.2, (255, 255, 255))
        if self.kind == "anime" or u(0, 1) < 0.35:
            self._arc(at, w * 1.06, h * 1.06, self.ink, 0.03, 0.47, u(0.05, 0.12))
            flick = [tuple(self._at(at, sign * w * 1.0, h * 0.2)), tuple(self._at(at, sign * w * 1.35, h * 0.55))]
            self.pen.line(flick, fill=self._colour(self.ink), width=max(1, round(0.06 * self.unit)))

    def _brow(self, at, size: tuple[float, float], slope: float, sign: int) -> None:
        w, rise = size[0], max(size[1], 0.25) * self.random.uniform(1.25, 1.8)
        points = [tuple(self._at(at, sign * x, rise + slope * x)) for x in (-w, w)]
        width = self.random.uniform(0.03, 0.14)
        self.pen.line(points, fill=self._colour(self.ink), width=max(1, round(width * self.unit)))

    def _mouth(self, at: np.ndarray) -> None:
        u = self.random.uniform
        self._blank(at, 0.45, 0.25)
        half = u(0.07, 0.5)
        red = np.array([u(110, 230), u(20, 110), u(30, 120)])
        colour = self.ink if u(0, 1) < 0.5 else red
        line = u(0.03, 0.1)
        kind = u(0, 1)
        height = half * u(0.05, 0.5)
        if kind < 0.35:  # a smile
            self._arc(self._at(at, 0, height / 2), half, height, colour, 0.52, 0.98, line)
            height /= 2
        elif kind < 0.43:  # a frown
            self._arc(self._at(at, 0, -height / 2), half, height, colour, 0.02, 0.48, line)
            height /= 2
        elif kind < 0.6:
            points = [tuple(self._at(at, x, u(-0.02, 0.02))) for x in (-half, half)]
            self.pen.line(points, fill=self._colour(colour), width=max(1, round(line * self.unit)))
            height = line / 2
        elif kind < 0.82:  # open, flat above
            height = half * u(0.4, 1.1)
            self._ellipse(self._at(at, 0, height / 2), half, height, colour, 0.5, 1.0)
            if u(0, 1) < 0.4:
                self._ellipse(self._at(at, 0, height / 2), half * 0.85, height * 0.3, (250, 250, 250), 0.5, 1.0)
            elif u(0, 1) < 0.5:
                self._ellipse(self._at(at, 0, -height * 0.2), half * 0.5, height * 0.25, red + 40)
            height /= 2
        elif kind < 0.92:
            half, height = half * 0.6, half * u(0.2, 0.6)
            self._ellipse(at, half, height, colour)
        else:  # cat
            for sign in (-1, 1):
                self._arc(self._at(at, sign * half / 2, 0), half / 2, half * 0.35, colour, 0.5, 1.0, line)
            height = half * 0.2
        self._note("mouth", half, height)
