# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyelids of their own: flat pouches that wait behind the rims of the eyes and unroll over what is painted there.

They take their colour from below the eye, which is skin where a fringe, a brow or a helmet's edge is above it, and
their lashes from the eye's upper rim. The front of a pouch bears the colours; its back closes the skin and keeps
behind it wherever it moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .measures import Eye, Face
from .refine import Skin
from .shapes import LID_BOTTOM, LID_TOP, LID_WIDTH, Eyes, lid_amount, lid_rim
from .surface import DepthMap, depth_map
from .texture import brightness, looked_up, texture_at

# Confidence of the eyes from which lids are made. Measured on rigged characters whose eyes are known
# (benchmarks/foreign.py, docs/foreign.md): from 0.5 on, nearly all markers lie on the eye; below, most lie off it.
SURE = 0.5
COLUMNS, ROWS = 15, 6  # vertices across, and quads from the rim to the lashes
LID_LINE = -0.5  # where the lids meet, in half heights of the eye from its middle
LASHES = {1: 0.17, -1: 0.07}  # half heights: of the upper and of the lower lid's dark edge
OVERLAP = 0.05  # half heights by which the closed upper lid reaches over the lower one
# Eye distances in front of the skin when shut, behind it at rest. Little behind, because a vertex moves in a straight
# line: the farther it is behind, the later it comes out of the skin.
UPPER_AHEAD, LOWER_AHEAD, BEHIND = 0.016, 0.012, 0.0008
AT_RIM = 0.8  # of that, at the rim
CLEAR = 0.003  # eye distances that a lid keeps before every ridge of the skin, and the upper lid before the lower one
# Weights at which a moving lid is out of the skin, eye distances before it, and by how many more it may lie ahead for
# that. Where the skin bulges on the way, a lid that is clear of it only when shut is a ragged edge until then.
OUT_AT, OUT_BY, OUT_MOST = (0.2, 0.35, 0.5, 0.65, 0.8), 0.0004, 0.022
THICKNESS = 0.85  # of a lid, as a share of how far it is ahead: with less, the eye is seen below it from the side
CELLS_IN_EYE = 40  # of the map that ridges are looked up in, in half the eye's width
ROLLED = 0.02  # half heights that a lid takes at rest
# Half heights that a lid moves before it is wholly out of the skin: of a slight squint, only lashes would show.
MOVED_OUT, SQUINT_OUT = 0.08, 0.32
# What the lids are coloured after: eye distances below the eye and the share of its width; places tried in the texture.
SKIN_FROM, SKIN_SPAN, SKIN_WIDTH = 0.09, 0.05, 0.75
SKIN_TRIED = (0.03, 0.06, 0.09, 0.12, 0.16, 0.2)
BESIDE = (1.2, 1.5)  # half widths from the middle of the eye
MUCH = 3.0  # times more like the surroundings
# And their dark edges, as shares of the eye's upper rim and of its width.
LASHES_AT, LASH_SPAN, LASH_WIDTH = 1.05, 0.12, 0.85
LASHES_TRIED = (1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.55, 0.4)
HALVES = ((0, 1, 2), (0, 2, 3), (0, 1, 3), (1, 2, 3))  # of a quad, first across one diagonal, then across the other
SEAM = 4.0  # times the usual size on the texture: a triangle that crosses from one chart into another


@dataclass
class Lid:
    """side: 1 the upper lid, -1 the lower one; vertices: (COLUMNS, ROWS + 2) numbers of its front, from the rim to
    the edge; back: (COLUMNS, ROWS) of what lies behind all of them but rim and edge; skin: the surface there, closely
    looked at.
    """

    eye: Eye
    side: int
    vertices: np.ndarray
    back: np.ndarray
    skin: DepthMap


def add_lids(skin: Skin, face: Face, seen: DepthMap, head: int, texture: np.ndarray | None) -> list[Lid]:
    """Adds both lids of both eyes, closed sheets that follow the head alone.

    head: column of its weight; texture: (H, W, 3 or 4), top row first.
    """
    weights = np.zeros((COLUMNS * (2 * ROWS + 2), skin.weights.shape[1]), np.float32)
    weights[:, head] = 1
    lids = []
    close = [_close_up(skin, eye) for eye in face.eyes]
    colours = [_colours(skin, eye, face.spacing, texture) for eye in face.eyes]
    if (
        texture is not None and colours[0][2] == colours[1][2]
    ):  # both eyes' lashes are as the darker ones: a face is no patchwork
        darkest = min((lash_uv for _, lash_uv, _ in colours), key=lambda uv: brightness(texture, uv[0, 0, None])[0])
        colours = [(skin_uv, darkest, material) for skin_uv, _, material in colours]
    for eye, surface, (skin_uv, lash_uv, material) in zip(face.eyes, close, colours, strict=True):
        for side in LASHES:
            uv = _uv(eye, side, _rolled(side))
            front = np.dstack([uv, surface.at(uv.reshape(-1, 2)).reshape(uv.shape[:2])])
            front[..., 2] += _before(front, surface) + BEHIND * face.spacing
            back = front + BEHIND * face.spacing * np.sin(np.linspace(0, np.pi, ROWS + 2))[:, None] * [0, 0, 1]
            points = np.concatenate([front, back[:, 1:-1]], 1)
            numbers = skin.append(points.reshape(-1, 3), weights, False).reshape(points.shape[:2])
            lid = Lid(eye, side, numbers[:, : ROWS + 2], numbers[:, ROWS + 2 :], surface)
            _add_pouch(skin, lid.vertices[:, ::side], lid.back[:, ::side], skin_uv[:, ::side], lash_uv, side, material)
            lids.append(lid)
    return lids


def _close_up(skin: Skin, eye: Eye) -> DepthMap:
    """The surface under both lids of an eye."""
    size = np.array([LID_WIDTH * eye.half_width, max(LID_TOP, LID_BOTTOM) * eye.half_height]) * 1.1
    cell = eye.half_width / CELLS_IN_EYE
    middle = np.array([eye.u, eye.v])
    return depth_map(skin.points, skin.triangles, middle - size, middle + size, cell, cell)


def _across() -> np.ndarray:
    """(COLUMNS,) places across the lid, -1 to 1; denser towards the corners of the eye, where its rim is steep."""
    return np.sin(np.linspace(-1, 1, COLUMNS) * 0.5 * np.pi * 0.96)


def _rim(side: int) -> np.ndarray:
    """(COLUMNS,) half heights from the middle of the eye to where the lid is hung."""
    rim = lid_rim(_across())
    return LID_TOP * rim if side > 0 else -LID_BOTTOM * rim


def _rolled(side: int) -> np.ndarray:
    return _rim(side)[:, None] - side * ROLLED * np.linspace(0, 1, ROWS + 2)


def _uv(eye: Eye, side: int, height: np.ndarray) -> np.ndarray:
    """(COLUMNS, ROWS + 2, 2) places in the face plane for heights in half heights of the eye."""
    u = eye.u + _across() * eye.half_width * LID_WIDTH
    return np.stack(np.broadcast_arrays(u[:, None], eye.v + height * eye.half_height), -1)


def _colours(skin: Skin, eye: Eye, spacing: float, texture: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, int]:
    """UVs of the lid's skin (COLUMNS, ROWS + 1, 2) and of its lashes (COLUMNS, 2, 2), upper row first, and the
    material they are on.

    With the texture, the skin is the place that is most like all that lies below and beside the eye: below it, or
    beside it where that is much better, as with a blush below or in a visor with plating below. The lashes are as the
    darkest spot of the eye's upper half.
    """
    places = _cheek(eye, spacing, SKIN_FROM)
    if texture is not None:
        tried = [_cheek(eye, spacing, start) for start in SKIN_TRIED] + [_beside(eye, side) for side in (-1, 1)]
        colours = np.array([looked_up(texture, texture_at(skin, place)[0]) for place in tried])
        below, beside = colours[: len(SKIN_TRIED)], colours[len(SKIN_TRIED) :]
        # Each side counts as much as all below, where a blush may be.
        around = np.concatenate([*below, *beside.repeat(len(SKIN_TRIED), 0)])
        unlike = np.abs(colours - np.median(around, axis=0)).mean((1, 2))
        unlike[len(SKIN_TRIED) :] *= MUCH
        places = tried[int(unlike.argmin())]
    uv, material = texture_at(skin, np.concatenate([places, _lashes(eye, LASHES_AT)]))
    count = len(places)
    if texture is not None:
        dark = np.concatenate([texture_at(skin, _lashes(eye, share))[0] for share in LASHES_TRIED])
        uv[count:] = dark[int(brightness(texture, dark).argmin())]
    return (
        uv[:count].reshape(COLUMNS, ROWS + 1, -1),
        uv[count:].reshape(COLUMNS, 2, -1),
        int(np.bincount(material).argmax()),
    )


def _cheek(eye: Eye, spacing: float, start: float) -> np.ndarray:
    """(COLUMNS * (ROWS + 1), 2) places below the eye, from `start` eye distances below it."""
    below = -LID_BOTTOM * eye.half_height - (start + SKIN_SPAN * np.linspace(0, 1, ROWS + 1)) * spacing
    across = SKIN_WIDTH * _across()[:, None] * eye.half_width
    return np.stack(np.broadcast_arrays(across, below), -1).reshape(-1, 2) + [eye.u, eye.v]


def _beside(eye: Eye, side: int) -> np.ndarray:
    """(COLUMNS * (ROWS + 1), 2) places beside the eye; side: 1 where u grows, -1 on the other."""
    across = side * np.linspace(*BESIDE, COLUMNS)[:, None] * eye.half_width
    height = np.linspace(-0.5, 0.5, ROWS + 1) * eye.half_height
    return np.stack(np.broadcast_arrays(across, height), -1).reshape(-1, 2) + [eye.u, eye.v]


def _lashes(eye: Eye, share: float) -> np.ndarray:
    """(COLUMNS * 2, 2) places around a line at a share of the eye's upper rim."""
    a = LASH_WIDTH * _across()[:, None]
    height = lid_rim(a) * (share + np.array([LASH_SPAN, -LASH_SPAN]))
    return np.stack(np.broadcast_arrays(a * eye.half_width, height * eye.half_height), -1).reshape(-1, 2) + [
        eye.u,
        eye.v,
    ]


def _quads(grid: np.ndarray) -> np.ndarray:
    """(columns, rows, ...) -> (columns - 1, rows - 1, 4, ...) what is at the corners of each quad, in turn."""
    return np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], 2)


def _add_pouch(
    skin: Skin, front: np.ndarray, back: np.ndarray, skin_uv: np.ndarray, lash_uv: np.ndarray, side: int, material: int
) -> None:
    """The front of a lid, top row first, and a parallel sheet behind it that closes it."""
    uvs = np.repeat(skin_uv[:, [*range(ROWS), -1], None], 2, 2)  # of each row of quads, at its upper and lower end
    uvs[:, :ROWS, 1] = skin_uv[:, 1:]
    uvs[:, ROWS] = lash_uv
    if side < 0:  # the lower lid's edge is its top row
        uvs = np.concatenate([uvs[:, [ROWS]], uvs[:, :ROWS]], 1)
    uvs = np.concatenate([uvs, np.repeat(skin_uv[:, -1:, None], ROWS + 1, 1).repeat(2, 2)], 1)
    ring = np.concatenate([front, back[:, ::-1]], 1)
    rows = np.concatenate([ring, ring[:, :1]], 1)
    quads = _quads(rows)
    quad_uvs = np.stack([uvs[:-1, :, 0], uvs[:-1, :, 1], uvs[1:, :, 1], uvs[1:, :, 0]], 2)
    behind = np.arange(2 * ROWS + 2) > ROWS
    # The back runs the other way round and is divided across the other diagonal, so that it is parallel to the front
    # in each triangle.
    ways = ((~behind, HALVES[:2]), (behind, HALVES[2:]))
    halves = [
        (quads[:, some][..., half].reshape(-1, 3), quad_uvs[:, some][:, :, half].reshape(-1, 3, quad_uvs.shape[-1]))
        for some, way in ways
        for half in way
    ]
    k, count = np.arange(ROWS), ring.shape[1]
    ladder = np.concatenate(
        [np.column_stack([k, k + 1, count - k - 1]), np.column_stack([k + 1, count - k - 2, count - k - 1])]
    )
    triangles = np.concatenate([*(half for half, _ in halves), ring[0][ladder[:, ::-1]], ring[-1][ladder]])
    flat = np.repeat(skin_uv[[0, -1], -1], len(ladder), 0)[:, None].repeat(3, 1)
    corner_uvs = np.concatenate([*(half for _, half in halves), flat])
    size = np.ptp(corner_uvs[:, :, :2], axis=1).max(1)
    seam = size > SEAM * np.median(size[size > 0]) if (size > 0).any() else np.zeros(len(size), bool)
    corner_uvs[seam] = corner_uvs[seam, :1]
    skin.append_triangles(triangles, np.full(len(triangles), material), corner_uvs)


def move_lids(
    skin: Skin,
    lids: list[Lid],
    face: Face,
    seen: DepthMap,
    shapes: dict[str, np.ndarray],
    eye: Eye,
    wanted: Mapping[str, Eyes],
) -> None:
    """Adds the displacements of one eye's lids to shapes, name -> (V, 3). wanted: name -> how the lids are."""
    lower, upper = sorted((lid for lid in lids if lid.eye is eye), key=lambda lid: lid.side)
    for name, eyes in wanted.items():
        surface = lower.skin
        for lid in (lower, upper):  # what the upper one keeps clear of includes the lower one
            drawn = _drawn(skin, lid, eyes, face, seen, surface)
            shapes[name][lid.vertices], shapes[name][lid.back] = drawn[:, : ROWS + 2], drawn[:, ROWS + 2 :]
            sheet = _quads(lid.vertices)[..., HALVES].reshape(-1, 3)
            surface = surface.covered(skin.points + shapes[name], sheet)


def _places_within(steps: int = 6) -> np.ndarray:
    """(N, 4) shares of a quad's corners at places all over the four triangles that its diagonals make."""
    i, j = np.indices((steps + 1, steps + 1)).reshape(2, -1)
    i, j = i[i + j <= steps], j[i + j <= steps]
    shares = np.column_stack([i, j, steps - i - j]) / steps
    out = np.zeros((4, len(shares), 4))
    for k, corners in enumerate(HALVES):
        out[k][:, corners] = shares
    return np.unique(out.reshape(-1, 4), axis=0)


WITHIN = _places_within()


def _behind(points: np.ndarray, surface: DepthMap, clear: float) -> np.ndarray:
    """(columns, rows) how much nearer the vertices of a sheet must come so that none of its triangles is deeper than
    `clear` before the surface. points: (columns, rows, 3).
    """
    places = WITHIN @ _quads(points)
    depth = places[..., 2] - surface.nearest(places[..., :2].reshape(-1, 2)).reshape(places.shape[:3])
    return _of_corners(np.maximum(depth.max(2) + clear, 0))


def _before(points: np.ndarray, surface: DepthMap) -> np.ndarray:
    """(columns, rows) how much deeper the vertices of a sheet must lie so that all of it is behind the surface."""
    places = WITHIN @ _quads(points)
    depth = surface.deepest(places[..., :2].reshape(-1, 2)).reshape(places.shape[:3]) - places[..., 2]
    return _of_corners(np.maximum(depth.max(2), 0))


def _of_corners(quads: np.ndarray) -> np.ndarray:
    """(columns, rows) the largest value of the quads around each vertex: a quad moves as a whole."""
    out = np.zeros((quads.shape[0] + 1, quads.shape[1] + 1))
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        part = out[i : len(out) - 1 + i, j : out.shape[1] - 1 + j]
        np.maximum(part, quads, out=part)
    return out


def _drawn(skin: Skin, lid: Lid, eyes: Eyes, face: Face, seen: DepthMap, surface: DepthMap) -> np.ndarray:
    """(COLUMNS, 2 * ROWS + 2, 3) how a lid, first its front, moves from where it waits. surface: what it
    comes out of.
    """
    rim, hung = lid_rim(_across()), _rim(lid.side)
    close = np.clip(lid_amount(_across(), lid.eye, eyes), 0, 1)
    line = LID_LINE * rim
    if lid.side > 0:
        way, ahead = close * (hung - line + OVERLAP * rim), UPPER_AHEAD
    else:
        # A blink takes the lower lid along; short of that only a squint lifts it.
        way, ahead = (
            np.where(
                close > 0.95, line - hung, np.minimum(0.5 * eyes.squint * rim, (1 - close) * (LID_TOP * rim - hung))
            ),
            LOWER_AHEAD,
        )
    edge = np.minimum(LASHES[lid.side] * rim, 0.5 * way)
    drawn = np.concatenate([np.linspace(0, 1, ROWS + 1) * (way - edge)[:, None], way[:, None]], 1)
    squint = (lid.side < 0) & (close <= 0.95)
    out = np.clip(way / np.where(squint, SQUINT_OUT, MOVED_OUT), 0, 1)[:, None]
    height = np.where(out > 0, hung[:, None] - lid.side * drawn, _rolled(lid.side))
    height = _rolled(lid.side) * (1 - out) + height * out
    uv = _uv(lid.eye, lid.side, height)
    depth = seen.at(uv.reshape(-1, 2)).reshape(uv.shape[:2])
    # The sheet lies closer at its rim, where it comes out of the skin.
    lift = np.tile(ahead * np.linspace(AT_RIM, 1, ROWS + 2) * face.spacing, (COLUMNS, 1))
    front = np.dstack([uv, depth - lift])
    lift += _behind(front, surface, CLEAR * face.spacing)
    front[..., 2] = depth - lift
    lacking = _behind_on_the_way(skin.points[lid.vertices], front, lid.skin, OUT_BY * face.spacing)
    lift += np.minimum(lacking, OUT_MOST * face.spacing)
    front[..., 2] = depth - lift
    back = front[:, 1:-1] + THICKNESS * lift[:, 1:-1, None] * [0, 0, 1]
    moved = np.concatenate([front, back], 1) - skin.points[np.concatenate([lid.vertices, lid.back], 1)]
    moved[..., 2] *= out
    return moved


def _behind_on_the_way(rest: np.ndarray, front: np.ndarray, surface: DepthMap, clear: float) -> np.ndarray:
    """(columns, rows) how much nearer a lid's front must end so that it is out of the skin at the weights OUT_AT."""
    most = np.zeros(rest.shape[:2])
    for weight in OUT_AT:
        np.maximum(most, _behind(rest + weight * (front - rest), surface, clear) / weight, out=most)
    return most
