# SPDX-License-Identifier: GPL-3.0-or-later
"""Mouth cards: a drawn mouth for each viseme, for faces that are drawn flat, on which a cut mouth looks wrong.

A card is a thin disc that waits behind the lips, lower, and comes out before them as it opens. Each has a cell
of one picture: the skin around the mouth, continued over the mouth that the picture has, and the drawn mouth on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...vrm.spec.presets import VISEMES
from .measures import Face
from .refine import Skin
from .style import Viseme
from .surface import DepthMap, depth_map
from .texture import brightness, looked_up, texture_at

FLAT_WITHIN, FLAT_FROM = 0.03, 0.6  # colours that count as the same; the share of a flat face that has them
SLOT = "avatar_forge.cards"
COLUMNS, RINGS = 32, 6
HALF_WIDTH, UP, DOWN = 0.66, 0.24, 0.62  # of a card, in mouth widths
UP_MOST, DOWN_MOST = 0.3, 0.85  # of the way to the eyes, and to the chin
FLAT = 0.85  # of its height that a card has at rest; less, and one halfway out would be behind a round chin
LEAST = 0.3  # of the usual size, however weak a viseme is
# Eye distances: behind the skin at rest, before it when open, and how much further before it each next card is.
BEHIND, AHEAD, STEP, THICKNESS = 0.005, 0.016, 0.0015, 0.002
CELLS = 150  # across the mouth, of the map of the skin that all of a card stays behind
HIDDEN = 0.004  # eye distances
WITHIN = np.array([[2, 2, 2], [4, 1, 1], [1, 4, 1], [1, 1, 4], [3, 3, 0], [0, 3, 3], [3, 0, 3]]) / 6  # of a triangle
CELL, ACROSS, DOWNWARDS = 192, 3, 2  # pixels of a cell; cells of the picture
FINER = 3  # places in a pixel that the drawing is looked at, along each side
MARGIN = 0.94  # of a cell that its card takes
AROUND = (1.0, 1.08, 1.16)  # card sizes from the middle, where the colour of the skin is looked up
LINE = 0.03  # mouth widths
CORNER = 1.7  # how sharply raised corners bend up
INSIDE, TEETH, TONGUE = (0.44, 0.13, 0.15), (0.98, 0.96, 0.94), (0.85, 0.42, 0.43)
USUAL_LINE = (0.25, 0.1, 0.1)


@dataclass(frozen=True)
class Drawn:
    """A drawn mouth in mouth widths: half its width, how far up and down it reaches; teeth, tongue: what they take of
    its height.
    """

    half: float
    up: float
    down: float
    teeth: float = 0.0
    tongue: float = 0.0


DRAWN = {
    "aa": Drawn(0.40, 0.07, 0.50, 0.16, 0.36),
    "ih": Drawn(0.36, 0.05, 0.18, 0.30),
    "ou": Drawn(0.18, 0.09, 0.20),
    "ee": Drawn(0.50, 0.07, 0.24, 0.50),
    "oh": Drawn(0.28, 0.10, 0.42, 0.0, 0.30),
}
# Other shapes that open the mouth, and the card that they show.
SHOWN = {"surprised": "oh"}
SHOWN_BY_SYNC = {"jawOpen": "aa", "mouthFunnel": "oh", "mouthPucker": "ou"}


@dataclass(frozen=True)
class Cards:
    """vertices: viseme -> (N,) numbers in the mesh, half of them a card's front, half its back; places: (N, 2) from
    its middle, 1 at its rim; size: metres to a side, up and down; rest: (N, 3) where all wait; count: of the mesh's
    vertices.
    """

    vertices: Mapping[str, np.ndarray]
    places: np.ndarray
    size: tuple[float, float, float]
    face: Face
    seen: DepthMap
    rest: np.ndarray
    count: int

    def shape(self, name: str, style: Viseme) -> np.ndarray:
        """(V, 3) how the mesh moves, of which the card alone does. Face frame, metres."""
        across, up = self.places.T
        wide = self.size[0] * min(max(style.strength, 2 * LEAST), 1.0) * (1 + style.width)
        high = np.where(up > 0, self.size[1], self.size[2]) * max(style.strength, LEAST)
        lift = style.corners * self.face.width * np.abs(across) ** CORNER
        ahead = (AHEAD + STEP * VISEMES.index(name)) * self.face.spacing
        out = np.zeros((self.count, 3))
        out[self.vertices[name]] = (
            _sheet(np.column_stack([across * wide, up * high + lift]), self.seen, self.face, -ahead) - self.rest
        )
        return out

    def in_blender(self, viseme: str, style: Viseme) -> np.ndarray:
        """(V, 3) float32 displacements in Blender's axes."""
        return (self.shape(viseme, style) @ self.face.turn).astype(np.float32)


def is_drawn_flat(skin: Skin, face: Face, texture: np.ndarray | None) -> bool:
    """Whether the lower half of a face is one colour, but for the lines on it: drawn, not painted or photographed."""
    if texture is None:
        return False
    eyes = min(eye.v - 1.3 * eye.half_height for eye in face.eyes)
    grid = np.meshgrid(np.linspace(-0.6, 0.6, 25) * face.spacing, np.linspace(-0.55 * face.chin, eyes, 17))
    colours = looked_up(texture, texture_at(skin, np.column_stack([axis.ravel() for axis in grid]))[0])
    same = np.abs(colours - np.median(colours, axis=0)).max(1) < FLAT_WITHIN
    return bool(same.mean() > FLAT_FROM)


def add_cards(
    skin: Skin, face: Face, seen: DepthMap, head: int, slot: int, texture: np.ndarray | None
) -> tuple[Cards, np.ndarray | None]:
    """The cards, and their picture (H, W, 4), top row first; without the texture none.
    texture: (H, W, 3 or 4) from 0 to 1, top row first.

    head: column of the head's weight; slot: of the cards' material.
    """
    w = face.width
    eyes = min(eye.v for eye in face.eyes)
    size = (HALF_WIDTH * w, min(UP * w, UP_MOST * eyes), min(DOWN * w, DOWN_MOST * face.chin))
    picture = None if texture is None else _picture(skin, face, size, texture)
    disc, triangles = _disc()
    places = np.concatenate([disc, disc])
    at = places * np.column_stack([np.full(len(places), size[0]), np.where(places[:, 1] > 0, *size[1:])])
    rest = _sheet(at * [1, FLAT], seen, face, BEHIND * face.spacing)
    close = depth_map(skin.points, skin.triangles, at.min(0) * 1.1, at.max(0) * 1.1, w / CELLS, w / CELLS)
    rest[:, 2] += _before(rest, triangles, close, HIDDEN * face.spacing)
    weights = np.zeros((len(rest), skin.weights.shape[1]), np.float32)
    weights[:, head] = 1
    vertices = {}
    for index, name in enumerate(VISEMES):
        numbers = skin.append(rest, weights, False)
        vertices[name] = numbers
        uvs = np.zeros((len(triangles), 3, skin.corner_uvs.shape[2]))
        uvs[:, :] = 0.0 if skin.blank is None else skin.blank
        cell = np.array([index % ACROSS, DOWNWARDS - 1 - index // ACROSS])
        uvs[:, :, :2] = ((0.5 + 0.5 * MARGIN * places + cell) / [ACROSS, DOWNWARDS])[triangles]
        skin.append_triangles(numbers[triangles], np.full(len(triangles), slot), uvs)
    return Cards(vertices, places, size, face, seen, rest, len(skin.points)), picture


def _sheet(uv: np.ndarray, seen: DepthMap, face: Face, offset: float) -> np.ndarray:
    """(N, 3) a card that lies `offset` deeper than the skin; the second half of its vertices are its back."""
    depth = seen.at(uv) if offset > 0 else np.minimum(seen.nearest(uv), seen.at(uv))
    back = np.arange(len(uv)) >= len(uv) // 2
    return np.column_stack([uv, depth + offset + back * THICKNESS * face.spacing])


def _before(points: np.ndarray, triangles: np.ndarray, seen: DepthMap, clear: float) -> np.ndarray:
    """(N,) how much deeper the vertices of a card must lie so that all of it is behind the skin, and not they alone."""
    places = np.einsum("sk,tkc->tsc", WITHIN, points[triangles])
    skin = seen.deepest(places[:, :, :2].reshape(-1, 2)).reshape(places.shape[:2])
    lacking = np.maximum((skin + clear - places[:, :, 2]).max(1), 0)
    out = np.zeros(len(points))
    np.maximum.at(out, triangles, np.repeat(lacking[:, None], 3, 1))
    return out


def _disc() -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) places of a disc from its middle outwards; (T, 3) triangles of two such, front and back, and their rim."""
    angle = 2 * np.pi * np.arange(COLUMNS) / COLUMNS
    rings = np.linspace(0, 1, RINGS + 1)[1:]
    places = np.concatenate([[[0.0, 0.0]], *(r * np.column_stack([np.cos(angle), np.sin(angle)]) for r in rings)])
    k = np.arange(COLUMNS)
    after = (k + 1) % COLUMNS
    front = [np.column_stack([np.zeros(COLUMNS, int), 1 + k, 1 + after])]
    for ring in range(RINGS - 1):
        a, b = 1 + ring * COLUMNS + k, 1 + ring * COLUMNS + after
        front += [np.column_stack([a, a + COLUMNS, b + COLUMNS]), np.column_stack([a, b + COLUMNS, b])]
    triangles = np.concatenate(front)
    count = len(places)
    a, b = count - COLUMNS + k, count - COLUMNS + after
    rim = [np.column_stack([a, a + count, b + count]), np.column_stack([a, b + count, b])]
    return places, np.concatenate([triangles, triangles[:, ::-1] + count, *rim])


def _picture(skin: Skin, face: Face, size: tuple[float, float, float], texture: np.ndarray) -> np.ndarray:
    out = np.ones((CELL * DOWNWARDS, CELL * ACROSS, 4), np.float32)
    steps = (np.arange(CELL * FINER) + 0.5) / (CELL * FINER) * 2 - 1
    across, up = np.meshgrid(steps / MARGIN, -steps / MARGIN)
    ground = _skin(skin, size, texture, across, up)
    line = _line(skin, face, texture)
    u, v = across * size[0] / face.width, np.where(up > 0, up * size[1], up * size[2]) / face.width
    for index, name in enumerate(VISEMES):
        fine = _mouth(ground.copy(), u, v, fitted(DRAWN[name], size, face), line)
        row, column = index // ACROSS * CELL, index % ACROSS * CELL
        out[row : row + CELL, column : column + CELL, :3] = fine.reshape(CELL, FINER, CELL, FINER, 3).mean((1, 3))
    out[CELL:, 2 * CELL :, :3] = ground.mean((0, 1))
    return out


def fitted(drawn: Drawn, size: tuple[float, float, float], face: Face) -> Drawn:
    """As drawn, but no larger than what a card covers of a face with a short chin or a low nose."""
    up, down = 0.75 * size[1] / face.width, 0.85 * size[2] / face.width
    return Drawn(drawn.half, min(drawn.up, up), min(drawn.down, down), drawn.teeth, drawn.tongue)


def _skin(
    skin: Skin, size: tuple[float, float, float], texture: np.ndarray, across: np.ndarray, up: np.ndarray
) -> np.ndarray:
    """(H, W, 3) the colour around a card, continued over it: at its rim what is there, in the middle their median."""
    angle = 2 * np.pi * np.arange(2 * COLUMNS) / (2 * COLUMNS)
    way = np.column_stack([np.cos(angle), np.sin(angle)])
    scale = np.column_stack([np.full(len(way), size[0]), np.where(way[:, 1] > 0, size[1], size[2])])
    rings = [looked_up(texture, texture_at(skin, far * way * scale)[0]) for far in AROUND]
    colours = np.median(rings, axis=0)
    middle = np.median(colours, axis=0)
    odd = np.abs(colours - middle).max(1) > 0.12  # hair, a nose, the line of the chin: no skin
    colours[odd] = middle
    turn = np.arctan2(up, across) % (2 * np.pi) / (2 * np.pi) * len(way)
    low = np.floor(turn).astype(int) % len(way)
    share = (turn % 1)[..., None]
    rim = colours[low] * (1 - share) + colours[(low + 1) % len(way)] * share
    far = np.clip(np.hypot(across, up), 0, 1)[..., None] ** 2
    return middle * (1 - far) + rim * far


def _line(skin: Skin, face: Face, texture: np.ndarray) -> np.ndarray:
    """(3,) the darkest colour of the mouth that is painted, if it is dark enough for a line."""
    at = np.column_stack([grid.ravel() for grid in np.meshgrid(np.linspace(-0.4, 0.4, 17), np.linspace(-0.2, 0.1, 13))])
    uv, _ = texture_at(skin, at * face.width)
    bright = brightness(texture, uv)
    darkest = looked_up(texture, uv[[int(bright.argmin())]])[0]
    return darkest if darkest.mean() < 0.45 else np.array(USUAL_LINE)


def _mouth(ground: np.ndarray, u: np.ndarray, v: np.ndarray, drawn: Drawn, line: np.ndarray) -> np.ndarray:
    """Draws one mouth: its line, the inside, teeth from above and a tongue from below."""

    def within(less: float) -> np.ndarray:
        across = np.clip(1 - (u / (drawn.half - less)) ** 2, 0, 1)
        top, bottom = (drawn.up - less) * across**0.5, -(drawn.down - less) * across**0.6
        return np.asarray((np.abs(u) < drawn.half - less) & (v < top) & (v > bottom))

    ground[within(0.0)] = line
    inside = within(LINE)
    ground[inside] = INSIDE
    height = drawn.up + drawn.down - 2 * LINE
    if drawn.teeth:
        ground[inside & (v > drawn.up - LINE - drawn.teeth * height)] = TEETH
    if drawn.tongue:
        middle, reach = -drawn.down + LINE, drawn.tongue * height
        ground[inside & ((u / (0.72 * drawn.half)) ** 2 + ((v - middle) / reach) ** 2 < 1)] = TONGUE
    return ground
