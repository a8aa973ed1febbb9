# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of heads alone, as they are drawn, modelled and delivered, with what hides or changes a face or is easily
taken for a part of it: drawn faces, fringes and locks, glasses, beards, visors, noses and snouts, beads, odd mouths.
"""

from __future__ import annotations

import io

import numpy as np
import resvg_py
from PIL import Image, ImageDraw
from scipy import ndimage

from backend.reader.layout import FACE, MOUTH_STATES
from training.characters.character import PART
from training.figure import OVERSAMPLING, POINT, Figure, Model, render_figure
from training.sketches import sketch

LEFT, RIGHT, MOUTH = (POINT[name] for name in FACE)
SKETCHED, TURNED = 0.45, 50.0  # of the heads that face the viewer within TURNED degrees: another face is drawn on them
FAIR = 0.4  # of the sketched heads: skin of a usual colour, whatever the palette made of it
SKINS = np.array([[250, 222, 205], [255, 235, 222], [240, 200, 170], [224, 172, 140], [170, 115, 85], [110, 72, 52]])
SKIN_SHARES = (0.32, 0.24, 0.2, 0.12, 0.07, 0.05)
# What is put on the heads whose face is seen, in this order.
SHARES = {
    "blush": 0.08, "mouth": 0.12, "grin": 0.05, "beard": 0.12, "nose": 0.22, "fringe": 0.25, "beads": 0.15, "lock": 0.2,
    "glasses": 0.12, "visor": 0.03, "mask": 0.04,
}  # fmt: skip
REMESHED = 0.22
CELLS = (20, 80)  # of a remeshed skin over the head's height
COVERED = 0.8  # of an eye's half width: a lock that comes nearer to its middle hides it


def render_head(model: Model, random: np.random.Generator) -> Figure | None:
    """As `render_figure` of a head, with something more on many faces; None where no head can be framed."""
    figure = render_figure(model, random, head=True)
    if figure is None or not figure.head:
        return None
    if figure.known[[LEFT, RIGHT]].all():
        if figure.known[MOUTH] and abs(figure.camera.yaw) < TURNED and random.random() < SKETCHED:
            _sketched(figure, random)
        wanted = [name for name, share in SHARES.items() if random.random() < share]
        canvas = Image.fromarray(np.clip(figure.image, 0, 255).astype(np.uint8))
        face = _Face(figure, canvas, random)
        for name in wanted:
            getattr(face, name)()
        if wanted:
            figure.image = np.where(figure.mask[..., None], np.asarray(canvas).astype(np.float32), figure.image)
    if random.random() < REMESHED:
        _remeshed(figure, random)
    return figure


def _sketched(figure: Figure, random: np.random.Generator) -> None:
    """Another face over the head's own, which is covered with skin."""
    points = figure.points[:, :2] * OVERSAMPLING
    apart = points[LEFT] - points[RIGHT]
    middle = (points[LEFT] + points[RIGHT]) / 2
    drop = points[MOUTH] - middle
    unit, fall = float(np.hypot(*apart)), float(np.hypot(*drop))
    if unit < 12 or fall < 6:
        return
    spread = random.uniform(0.85, 1.25)  # the new eyes are so much further apart
    apart, unit = apart * spread, unit * spread
    mouth_y = float(np.clip(fall / unit, 0.45, 1.5))
    down = drop / mouth_y
    rows, columns = figure.mask.shape
    x, y = (int(np.clip(v, 2, most - 3)) for v, most in zip(middle + 0.5 * drop, (columns, rows), strict=True))
    skin = np.median(figure.image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3), axis=0)
    if random.random() < FAIR:
        fair = SKINS[random.choice(len(SKINS), p=SKIN_SHARES)] + random.normal(0, 6, 3)
        there = (figure.buffers.part == PART["face"]) & figure.mask
        figure.image[there] = np.clip(figure.image[there] * (fair / np.maximum(skin, 8)), 0, 255)
        skin = np.clip(fair, 0, 255)
    face = sketch(random, skin, mouth_y)
    matrix = " ".join(f"{v:.4f}" for v in (*apart, *down, *middle))
    document = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns}" height="{rows}">'
                f'<g transform="matrix({matrix})">{"".join(face.items)}</g></svg>')  # fmt: skip
    drawn = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=document, skip_system_fonts=True))))
    over = np.asarray(drawn.convert("RGBA")).astype(np.float32)
    amount = _cover(figure, middle, np.linalg.inv(np.column_stack([apart, down])), mouth_y, random)
    image = figure.image * (1 - amount) + skin * amount
    alpha = over[..., 3:] / 255
    image = image * (1 - alpha) + over[..., :3] * alpha
    figure.image = np.where(figure.mask[..., None], image, figure.image).astype(np.float32)
    _noted(figure, face.parts, apart, down, middle)


def _cover(
    figure: Figure, middle: np.ndarray, inverse: np.ndarray, mouth_y: float, random: np.random.Generator
) -> np.ndarray:
    """(H, W, 1) how much skin: over the whole face, or over eyes and mouth alone."""
    rows, columns = np.indices(figure.mask.shape)
    x, y = np.moveaxis(np.stack([columns - middle[0], rows - middle[1]], -1) @ inverse.T, -1, 0)
    if random.random() < 0.6:
        reach = np.hypot(x / 1.05, y / np.where(y < 0, 0.75, mouth_y + 0.3))
    else:
        spots = ((0.5, 0.0, 0.48, 0.5), (-0.5, 0.0, 0.48, 0.5), (0.0, mouth_y, 0.5, 0.28))
        reach = np.min([np.hypot((x - a) / w, (y - b) / h) for a, b, w, h in spots], axis=0)
    return np.clip((1.15 - reach) / 0.2, 0, 1)[..., None]


def _noted(figure: Figure, parts: dict, apart: np.ndarray, down: np.ndarray, middle: np.ndarray) -> None:
    for k, name in zip((LEFT, RIGHT, MOUTH), FACE, strict=True):
        seen = name in parts
        figure.known[k] = figure.visible[k] = seen
        if not seen:
            figure.mouth = MOUTH_STATES.index("none")
            continue
        x, y, half_width, half_height = parts[name]
        figure.points[k, :2] = (middle + x * apart + y * down) / OVERSAMPLING
        figure.sizes[FACE.index(name)] = half_width * np.hypot(*apart), half_height * np.hypot(*down)
        figure.sizes[FACE.index(name)] /= OVERSAMPLING
        if name == "mouth":
            figure.mouth = MOUTH_STATES.index("drawn")
    rows, columns = figure.mask.shape
    for k in (LEFT, RIGHT, MOUTH):
        x, y = figure.points[k, :2] * OVERSAMPLING
        inside = 0 <= x < columns and 0 <= y < rows and figure.mask[int(y), int(x)]
        figure.known[k] &= inside
        figure.visible[k] &= inside


def _remeshed(figure: Figure, random: np.random.Generator) -> None:
    """The colours as a remeshed skin keeps them: taken at its vertices, and blended between these."""
    head = figure.points[POINT["headTop"], :2] - figure.points[POINT["chin"], :2]
    cell = float(np.hypot(*head)) * OVERSAMPLING / random.uniform(*CELLS)
    if not cell > 1.5:
        return
    rows, columns = figure.mask.shape
    down, across = int(rows / cell) + 2, int(columns / cell) + 2
    y, x = np.indices((down, across)) * cell
    y, x = (np.round(v + random.uniform(-0.4, 0.4, v.shape) * cell).astype(int) for v in (y, x))
    inside = ndimage.distance_transform_edt(~figure.mask, return_distances=False, return_indices=True)
    filled = figure.image[tuple(inside)]
    taken = filled[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)]
    at = np.indices((rows, columns)) / cell
    image = np.stack([ndimage.map_coordinates(taken[..., c], at, order=1, mode="nearest") for c in range(3)], -1)
    figure.image = np.where(figure.mask[..., None], image, figure.image).astype(np.float32)


class _Face:
    """Draws on a head that was rendered. Lengths in eye distances; pixels are those of the oversampled picture."""

    def __init__(self, figure: Figure, canvas: Image.Image, random: np.random.Generator) -> None:
        self.figure, self.random = figure, random
        self.pen = ImageDraw.Draw(canvas)
        self.pixels = np.array(canvas)  # as it was before anything was put on it
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
            line = [
                self._place(at, x, bend * (1 - (x / wide) ** 2) - bend / 2)
                for x in (-wide, -wide / 2, 0, wide / 2, wide)
            ]
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
        colour = self._hair()
        middle = (self.points[LEFT] + self.points[RIGHT]) / 2
        root = -u(0.7, 1.3)
        for _ in range(int(self.random.integers(1, 6))):
            x, wide, tip = u(-1.1, 1.1), u(0.08, 0.3), u(-0.5, 0.6)
            lean = u(-0.25, 0.25)
            ends = (
                (x - wide, root),
                (x + wide, root),
                (x + lean + wide * 0.5, (root + tip) / 2),
                (x + lean * 1.6, tip),
            )
            corners = [self._place(middle, *end) for end in ends]
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

    def _hair(self) -> np.ndarray:
        some = self.pixels[(self.figure.buffers.part == PART["hair"]) & self.figure.mask]
        return np.median(some, axis=0) if len(some) > 40 else self.random.integers(0, 256, 3)

    def _hide(self, part: int) -> None:
        self.figure.known[part] = self.figure.visible[part] = False
        if part == MOUTH:
            self.figure.mouth = MOUTH_STATES.index("hidden")

    def fringe(self) -> None:
        """A row of strands from the forehead, down to the brows or over the upper part of the eyes."""
        u, colour = self.random.uniform, self._hair()
        middle = (self.points[LEFT] + self.points[RIGHT]) / 2
        root, reach, count = -u(0.9, 1.4), u(0.9, 1.3), int(self.random.integers(3, 10))
        level, ragged, lean = u(-0.65, 0.02), u(0.05, 0.35), u(-0.2, 0.2)
        edges = np.linspace(-reach, reach, count + 1)
        corners = [self._place(middle, -reach, root)]
        for a, b in zip(edges[:-1], edges[1:], strict=True):
            corners.append(self._place(middle, a, level - ragged * u(0.6, 1.2)))
            corners.append(
                self._place(middle, (a + b) / 2 + lean * u(0.5, 1), min(level + ragged * u(-0.5, 0.5), 0.12))
            )
        corners += [self._place(middle, reach, level - ragged), self._place(middle, reach, root)]
        ink = self._fill(colour * u(0.3, 0.9))
        self.pen.polygon(corners, fill=self._fill(colour), outline=ink)
        for corner in corners[2:-2:2]:
            start = self._place(middle, u(-reach, reach) * 0.5, root)
            self.pen.line([start, corner], fill=ink, width=1)

    def beard(self) -> None:
        """A beard round the mouth, which stays, or a moustache above it."""
        figure, u = self.figure, self.random.uniform
        if not figure.known[MOUTH]:
            return
        at, colour = self.points[MOUTH], self._hair()
        middle = (self.points[LEFT] + self.points[RIGHT]) / 2
        room = float(np.hypot(*(at - middle))) / self.unit
        half = np.nan_to_num(figure.sizes[2] * OVERSAMPLING / self.unit, nan=0.2)
        if u(0, 1) < 0.6:
            wide, top = u(0.5, 1.0), -min(u(0.05, 0.4), 0.5 * room)
            outline = [self._place(at, wide * np.cos(t), top if np.sin(t) < 0 else top + u(0.9, 1.4) * np.sin(t))
                       for t in np.linspace(0, np.pi, 12)]  # fmt: skip
            before = self.pixels.copy()
            self.pen.polygon(outline, fill=self._fill(colour))
            wide, high = max(half[0], 0.1), max(half[1], 0.03)
            lip = before[int(np.clip(at[1], 0, len(before) - 1)), int(np.clip(at[0], 0, before.shape[1] - 1))]
            dark = lip if np.abs(lip.astype(float) - colour).sum() > 90 else colour * u(0.2, 0.5)
            self.pen.polygon(self._oval(at, wide, high), fill=self._fill(dark))
            figure.sizes[2] = np.array([wide, high]) * self.unit / OVERSAMPLING
        if u(0, 1) < 0.6:
            gap, wide = half[1] + u(0.02, 0.08), u(0.2, 0.55)
            thick = min(u(0.05, 0.2), max(room - gap - 0.25, 0.05))
            top = [self._place(at, x, -gap - thick * (1 - abs(x) / wide)) for x in np.linspace(-wide, wide, 9)]
            low = [self._place(at, x, -gap * 0.6 + 0.1 * abs(x)) for x in np.linspace(wide, -wide, 9)]
            self.pen.polygon([*top, *low], fill=self._fill(colour * u(0.7, 1.1)))

    def visor(self) -> None:
        """Something over both eyes."""
        u = self.random.uniform
        middle, wide, high = (self.points[LEFT] + self.points[RIGHT]) / 2, u(0.9, 1.4), u(0.35, 0.7)
        corners = [(-wide, -high), (wide, -high), (wide * u(0.7, 1), high), (-wide * u(0.7, 1), high)]
        self.pen.polygon([self._place(middle, *c) for c in corners], fill=self._fill(self.random.integers(0, 256, 3)),
                         outline=self._fill(self.random.integers(0, 90, 3)))  # fmt: skip
        for eye in (LEFT, RIGHT):
            self._hide(eye)

    def mask(self) -> None:
        """Cloth over mouth and nose."""
        if not self.figure.known[MOUTH]:
            return
        u, at = self.random.uniform, self.points[MOUTH]
        room = float(np.hypot(*(at - (self.points[LEFT] + self.points[RIGHT]) / 2))) / self.unit
        wide, top, low = u(0.6, 1.2), -room * u(0.35, 0.7), u(0.35, 0.9)
        corners = [
            (-wide, top),
            (0, top - 0.1),
            (wide, top),
            (wide * 0.8, low * 0.6),
            (0, low),
            (-wide * 0.8, low * 0.6),
        ]
        colour = self.random.integers(0, 256, 3)
        self.pen.polygon(
            [self._place(at, *c) for c in corners], fill=self._fill(colour), outline=self._fill(colour * 0.5)
        )
        self._hide(MOUTH)
