# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of heads alone with what hides or changes a face, or is easily taken for a part of it: locks of hair, glasses,
blush, noses and snouts, beads, tiny, toothed and missing mouths.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from backend.reader.layout import FACE, MOUTH_STATES
from training.characters.character import PART
from training.figure import OVERSAMPLING, POINT, Figure, render_figure

LEFT, RIGHT, MOUTH = (POINT[name] for name in FACE)
SHARES = {"blush": 0.1, "mouth": 0.2, "grin": 0.1, "nose": 0.35, "beads": 0.2, "lock": 0.25, "glasses": 0.12}  # of the heads whose face is seen
COVERED = 0.8  # of an eye's half width: a lock that comes nearer to its middle hides it


def render_head(model, random: np.random.Generator) -> Figure | None:
    """As `render_figure` of a head, with something more on many faces; None where no head can be framed."""
    figure = render_figure(model, random, head=True)
    if figure is None or not figure.head:
        return None
    wanted = [name for name, share in SHARES.items() if random.random() < share]
    if wanted and figure.known[[LEFT, RIGHT]].all():
        canvas = Image.fromarray(np.clip(figure.image, 0, 255).astype(np.uint8))
        face = _Face(figure, canvas, random)
        steps: dict[str, Callable[[], None]] = {
            "blush": face.blush, "mouth": face.mouth, "grin": face.grin, "nose": face.nose, "beads": face.beads,
            "lock": face.lock, "glasses": face.glasses,
        }  # fmt: skip
        for name in wanted:
            steps[name]()
        drawn = np.asarray(canvas).astype(np.float32)
        figure.image = np.where(figure.mask[..., None], drawn, figure.image)
    return figure


class _Face:
    """Draws on a head that was rendered. Lengths in eye distances; pixels are those of the oversampled picture."""

    def __init__(self, figure: Figure, canvas: Image.Image, random: np.random.Generator) -> None:
        self.figure, self.random = figure, random
        self.pen = ImageDraw.Draw(canvas)
        self.pixels = np.asarray(canvas)
        self.points = figure.points[:, :2] * OVERSAMPLING
        apart = self.points[LEFT] - self.points[RIGHT]
        self.unit = max(float(np.hypot(*apart)), 4.0)
        self.across = apart / self.unit
        self.down = np.array([-self.across[1], self.across[0]])
        if self.down @ (self.points[POINT["chin"]] - self.points[POINT["headTop"]]) < 0:
            self.down = -self.down

    def _colour(self, at: np.ndarray) -> np.ndarray:
        rows, columns = self.pixels.shape[:2]
        x, y = (int(np.clip(v, 1, most - 2)) for v, most in zip(at, (columns, rows), strict=True))
        return np.median(self.pixels[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3), axis=0)

    def _fill(self, colour: np.ndarray) -> tuple[int, int, int]:
        r, g, b = (int(v) for v in np.clip(colour, 0, 255))
        return r, g, b

    def _place(self, at: np.ndarray, x: float, y: float) -> tuple[float, float]:
        place = at + self.unit * (self.across * x + self.down * y)
        return float(place[0]), float(place[1])

    def _oval(self, at: np.ndarray, a: float, b: float) -> list[tuple[float, float]]:
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        return [self._place(at, a * np.cos(t), b * np.sin(t)) for t in turn]

    def _skin(self) -> np.ndarray:
        middle = (self.points[LEFT] + self.points[RIGHT]) / 2
        return self._colour(np.array(self._place(middle, 0.0, 0.3)))

    def blush(self) -> None:
        colour = self._skin() * [1.0, 0.8, 0.8] + [10, 0, 5]
        width, drop = self.random.uniform(0.1, 0.25), self.random.uniform(0.25, 0.45)
        for eye in (LEFT, RIGHT):
            at = self.points[eye] + self.unit * self.down * drop
            self.pen.polygon(self._oval(at, width, width * 0.6), fill=self._fill(colour))

    def mouth(self) -> None:
        """No mouth, or a tiny one."""
        figure, u = self.figure, self.random.uniform
        if not figure.known[MOUTH]:
            return
        at = self.points[MOUTH]
        half = np.nan_to_num(figure.sizes[2] * OVERSAMPLING / self.unit, nan=0.3)
        self.pen.polygon(self._oval(at, max(half[0] * 1.2, 0.15), max(half[1] * 1.3, 0.12)),
                         fill=self._fill(self._skin()))  # fmt: skip
        if u(0, 1) < 0.3:
            figure.known[MOUTH] = figure.visible[MOUTH] = False
            figure.mouth = MOUTH_STATES.index("none")
            return
        dark = self._fill(self._skin() * u(0.15, 0.7) * np.array([1.0, u(0.4, 1.0), u(0.4, 1.0)]))
        wide = u(0.03, 0.12)
        high = wide * u(0.2, 1.3)
        if u(0, 1) < 0.5:
            self.pen.polygon(self._oval(at, wide, high), fill=dark)
        else:
            bend = u(-1, 1) * wide * 0.6
            line = [self._place(at, x, bend * (1 - (x / wide) ** 2) - bend / 2) for x in (-wide, -wide / 2, 0, wide / 2, wide)]
            self.pen.line(line, fill=dark, width=max(1, round(self.unit * u(0.02, 0.06))))
            high = abs(bend) / 2 + 0.02
        figure.sizes[2] = np.array([wide, high]) * self.unit / OVERSAMPLING

    def grin(self) -> None:
        """A wide mouth full of teeth."""
        figure, u = self.figure, self.random.uniform
        if not figure.known[MOUTH]:
            return
        at, wide = self.points[MOUTH], u(0.3, 0.65)
        high, bend = wide * u(0.2, 0.5), u(0.0, 0.2)
        x = np.linspace(-wide, wide, 13)
        fall = bend * (1 - 2 * (x / wide) ** 2) / 2
        thick = high * np.sqrt(np.maximum(1 - (x / wide) ** 2, 0))
        upper = [self._place(at, a, f - t * 0.5) for a, f, t in zip(x, fall, thick, strict=True)]
        lower = [self._place(at, a, f + t * 0.5) for a, f, t in zip(x, fall, thick, strict=True)]
        ink = self._fill(self.random.integers(0, 70, 3))
        self.pen.polygon([*upper, *lower[::-1]], fill=self._fill(self.random.integers(190, 256, 3)), outline=ink)
        for k in range(1, 12):
            self.pen.line([upper[k], lower[k]], fill=ink, width=max(1, round(self.unit * 0.02)))
        if u(0, 1) < 0.6:
            middle = [self._place(at, a, f) for a, f in zip(x, fall, strict=True)]
            self.pen.line(middle, fill=ink, width=max(1, round(self.unit * 0.03)))
        figure.sizes[2] = np.array([wide, (high + bend) / 2]) * self.unit / OVERSAMPLING

    def nose(self) -> None:
        """A dark nose, a snout with nostrils, or a muzzle, between the eyes and the mouth."""
        figure, u = self.figure, self.random.uniform
        if not figure.known[MOUTH]:
            return
        middle = (self.points[LEFT] + self.points[RIGHT]) / 2
        drop = self.points[MOUTH] - middle
        at = middle + drop * u(0.4, 0.7)
        room = float(np.hypot(*drop)) / self.unit
        dark = self._fill(self._skin() * u(0.1, 0.6))
        kind = u(0, 1)
        if kind < 0.4:
            wide = min(u(0.08, 0.25), 0.3 * room)
            self.pen.polygon(self._oval(at, wide, wide * u(0.6, 1.0)), fill=dark)
            return
        wide, apart = u(0.3, 0.55), u(0.1, 0.28)
        high = min(wide * u(0.5, 0.8), 0.32 * room)
        if kind < 0.85:
            skin = self._skin() * u(0.8, 1.15) + self.random.normal(0, 12, 3)
            self.pen.polygon(self._oval(at, wide, high), fill=self._fill(skin), outline=dark)
        hole = min(u(0.04, 0.13), high * 0.6)
        for side in (-apart, apart):
            at_hole = np.array(self._place(at, side, 0.0))
            self.pen.polygon(self._oval(at_hole, hole * u(0.7, 1.0), hole), fill=dark)

    def beads(self) -> None:
        """Round spots, some with a rim and a shine as eyes have, on the head but not in the face."""
        u = self.random.uniform
        middle = (self.points[LEFT] + self.points[RIGHT]) / 2
        level, pair = u(-1.3, -0.5) if u(0, 1) < 0.6 else u(0.3, 1.1), u(0, 1) < 0.5
        across, size = u(0.2, 0.9) if level < 0 else u(0.8, 1.2), u(0.06, 0.2)
        fill, rim = (self._fill(self.random.integers(0, 256, 3)) for _ in range(2))
        for side in (-1, 1) if pair else (float(self.random.choice([-1, 1])),):
            at = np.array(self._place(middle, side * across, level))
            self.pen.polygon(self._oval(at, size, size), fill=fill, outline=rim)
            if u(0, 1) < 0.4:
                self.pen.polygon(self._oval(at, size * 0.5, size * 0.5), fill=rim)

    def lock(self) -> None:
        """Strands from the forehead over the face; an eye whose middle they cover is hidden."""
        figure, u = self.figure, self.random.uniform
        hair = figure.buffers.part == PART["hair"]
        hair &= figure.mask
        some = self.pixels[hair]
        colour = np.median(some, axis=0) if len(some) > 40 else self.random.integers(0, 256, 3)
        middle = (self.points[LEFT] + self.points[RIGHT]) / 2
        root = -u(0.7, 1.3)
        for _ in range(int(self.random.integers(1, 6))):
            x, wide, tip = u(-1.1, 1.1), u(0.08, 0.3), u(-0.5, 0.6)
            lean = u(-0.25, 0.25)
            corners = [self._place(middle, x - wide, root), self._place(middle, x + wide, root),
                       self._place(middle, x + lean + wide * 0.5, (root + tip) / 2), self._place(middle, x + lean * 1.6, tip)]  # fmt: skip
            shade = colour * u(0.85, 1.1)
            self.pen.polygon(corners, fill=self._fill(shade), outline=self._fill(shade * 0.6))
            for eye, centre in ((LEFT, 0.5), (RIGHT, -0.5)):
                half = np.nan_to_num(figure.sizes[0, 0] * OVERSAMPLING / self.unit, nan=0.2)
                # How wide the strand is where it passes the eye.
                left = max(tip, 0.0) / max(tip - root, 1e-6)
                if tip > 0.1 and abs(x + lean - centre) < left * wide and left * wide > COVERED * half:
                    figure.known[eye] = figure.visible[eye] = False

    def glasses(self) -> None:
        u = self.random.uniform
        sizes = np.nan_to_num(self.figure.sizes[:2] * OVERSAMPLING / self.unit, nan=0.2)
        a = min(max(float(sizes[:, 0].max()) * u(1.1, 1.6), u(0.25, 0.4)), 0.49)
        b = max(float(sizes[:, 1].max()) * u(1.1, 1.5), a * u(0.6, 1.0))
        colour = self._fill(self.random.integers(0, 256, 3) * (0.3 if u(0, 1) < 0.6 else 1.0))
        width = max(1, round(self.unit * u(0.02, 0.09)))
        for eye in (LEFT, RIGHT):
            ring = self._oval(self.points[eye], a, b)
            self.pen.line([*ring, ring[0]], fill=colour, width=width)
        middle = (self.points[LEFT] + self.points[RIGHT]) / 2
        for start, end in ((-0.5 + a, 0.5 - a), (0.5 + a, 0.5 + a + 0.35), (-0.5 - a, -0.5 - a - 0.35)):
            self.pen.line([self._place(middle, start, 0), self._place(middle, end, 0)], fill=colour, width=width)
