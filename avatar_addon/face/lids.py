# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyelids of their own: thin sheets that wait behind the rims of the eyes and unroll over what is painted there.

They take their colour from below the eye, which is skin where a fringe, a brow or a helmet's edge is above it, and their lashes from the
eye's upper rim.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .markers import Eye, Face
from .refine import Skin
from .shapes import EMOTIONS, LID_BOTTOM, LID_TOP, LID_WIDTH, Eyes, lid_amount, lid_rim
from .surface import DepthMap

COLUMNS, ROWS = 15, 6  # vertices across, and quads from the rim to the lashes
LID_LINE = -0.5  # where the lids meet, in half heights of the eye from its middle
LASHES = {1: 0.17, -1: 0.07}  # half heights: of the upper and of the lower lid's dark edge
OVERLAP = 0.05  # half heights by which the closed upper lid reaches over the lower one
# Eye distances in front of the skin when shut, behind it at rest.
UPPER_AHEAD, LOWER_AHEAD, BEHIND = 0.016, 0.012, 0.006
ROLLED = 0.08  # half heights that a lid takes at rest
# What the lids are coloured after: eye distances below the eye and the share of its width; places tried in the texture.
SKIN_FROM, SKIN_SPAN, SKIN_WIDTH = 0.09, 0.05, 0.75
SKIN_TRIED = (0.03, 0.06, 0.09, 0.12, 0.16, 0.2)
# And their dark edges, as shares of the eye's upper rim and of its width.
LASHES_AT, LASH_SPAN, LASH_WIDTH = 1.05, 0.12, 0.85
LASHES_TRIED = (1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.55, 0.4)
SEAM = 4.0  # times the usual size on the texture: a triangle that crosses from one chart into another


@dataclass
class Lid:
    """side: 1 the upper lid, -1 the lower one; vertices: (COLUMNS, ROWS + 2) numbers, from the rim to the edge."""

    eye: Eye
    side: int
    vertices: np.ndarray


def add_lids(skin: Skin, face: Face, seen: DepthMap, head: int, texture: np.ndarray | None) -> list[Lid]:
    """Adds both lids of both eyes, closed sheets that follow the head alone.

    head: column of its weight; texture: (H, W, 3 or 4), top row first.
    """
    weights = np.zeros((COLUMNS * (ROWS + 2), skin.weights.shape[1]), np.float32)
    weights[:, head] = 1
    lids = []
    colours = [_colours(skin, eye, face.spacing, texture) for eye in face.eyes]
    if texture is not None and colours[0][2] == colours[1][2]:  # both eyes' lashes are as the darker ones: a face is no patchwork
        darkest = min((lash_uv for _, lash_uv, _ in colours), key=lambda uv: _brightness(texture, uv[0, 0, None])[0])
        colours = [(skin_uv, darkest, material) for skin_uv, _, material in colours]
    for eye, (skin_uv, lash_uv, material) in zip(face.eyes, colours, strict=True):
        for side in LASHES:
            points = np.concatenate([_uv(eye, side, _rolled(side)), np.zeros((COLUMNS, ROWS + 2, 1))], 2)
            bulge = 1 - 0.3 * np.sin(np.linspace(0, np.pi, ROWS + 2))  # a sheet without any thickness would have triangles without area
            points[..., 2] = seen.at(points[..., :2].reshape(-1, 2)).reshape(points.shape[:2]) + BEHIND * face.spacing * bulge
            vertices = skin.append(points.reshape(-1, 3), weights, False).reshape(points.shape[:2])
            _add_sheet(skin, vertices[:, ::side], skin_uv[:, ::side], lash_uv, side, material)
            lids.append(Lid(eye, side, vertices))
    return lids


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
    """UVs of the lid's skin (COLUMNS, ROWS + 1, 2) and of its lashes (COLUMNS, 2, 2), upper row first, and the material they are on.

    With the texture, the skin is where it is plainest and most usual below the eye, and the lashes are as the darkest
    spot of the eye's upper half.
    """
    start = SKIN_FROM
    if texture is not None:
        colours = np.array([_looked_up(texture, _texture_at(skin, _cheek(eye, spacing, share))[0]) for share in SKIN_TRIED])
        start = SKIN_TRIED[int(np.abs(colours - np.median(colours, axis=(0, 1))).mean((1, 2)).argmin())]
    cheek = _cheek(eye, spacing, start)
    uv, material = _texture_at(skin, np.concatenate([cheek, _lashes(eye, LASHES_AT)]))
    count = len(cheek)
    if texture is not None:
        tried = np.concatenate([_texture_at(skin, _lashes(eye, share))[0] for share in LASHES_TRIED])
        uv[count:] = tried[int(_brightness(texture, tried).argmin())]
    return uv[:count].reshape(COLUMNS, ROWS + 1, 2), uv[count:].reshape(COLUMNS, 2, 2), int(np.bincount(material).argmax())


def _cheek(eye: Eye, spacing: float, start: float) -> np.ndarray:
    """(COLUMNS * (ROWS + 1), 2) places below the eye, from `start` eye distances below it."""
    below = -LID_BOTTOM * eye.half_height - (start + SKIN_SPAN * np.linspace(0, 1, ROWS + 1)) * spacing
    across = SKIN_WIDTH * _across()[:, None] * eye.half_width
    return np.stack(np.broadcast_arrays(across, below), -1).reshape(-1, 2) + [eye.u, eye.v]


def _lashes(eye: Eye, share: float) -> np.ndarray:
    """(COLUMNS * 2, 2) places around a line at a share of the eye's upper rim."""
    a = LASH_WIDTH * _across()[:, None]
    height = lid_rim(a) * (share + np.array([LASH_SPAN, -LASH_SPAN]))
    return np.stack(np.broadcast_arrays(a * eye.half_width, height * eye.half_height), -1).reshape(-1, 2) + [eye.u, eye.v]


def _looked_up(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N, 3) the texture's pixels at UVs, whose origin is at the bottom left; they repeat."""
    height, width = texture.shape[:2]
    column, row = np.floor(uv.astype(np.float64) % 1 * [width, height]).astype(np.int64).T
    return texture[height - 1 - np.minimum(row, height - 1), np.minimum(column, width - 1), :3].astype(np.float64)


def _brightness(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N,) how bright the texture is at UVs and a pixel around them: at the edge of a dark spot its neighbours shine through."""
    pixel = 1 / np.array(texture.shape[1::-1])
    around = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]) * pixel
    return np.mean([_looked_up(texture, uv + step).mean(1) for step in around], axis=0)


def _texture_at(skin: Skin, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """UV (N, 2) and material (N,) of the face's front at places (N, 2) in the face plane; of its nearest triangle where it has none."""
    margin = 0.5 * np.ptp(places, axis=0)
    near = np.flatnonzero(skin.front[skin.triangles].all(1))
    corners = skin.points[skin.triangles[near], :2]
    wanted = ((corners.max(1) >= places.min(0) - margin) & (corners.min(1) <= places.max(0) + margin)).all(1)
    near, corners = (near[wanted], corners[wanted]) if wanted.any() else (near, corners)
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])  # a @ turn @ b is the area that a and b span
    ends, starts = np.roll(corners, -1, axis=1), corners
    area = np.einsum("ti,ij,tj->t", ends[:, 0] - starts[:, 0], turn.T, corners[:, 2] - corners[:, 0])
    near, starts, ends, area = (x[area > 1e-12] for x in (near, starts, ends, area))
    # Areas between a place and each side, which weigh the corner opposite.
    share = np.einsum("tki,ij,ptkj->ptk", ends - starts, turn.T, places[:, None, None] - starts)[:, :, [1, 2, 0]] / area[:, None]
    best = share.min(2).argmax(1)
    share = np.clip(share[np.arange(len(places)), best], 0, 1)
    share /= share.sum(1, keepdims=True)
    return np.einsum("pk,pki->pi", share, skin.corner_uvs[near[best]]), skin.material[near[best]]


def _add_sheet(skin: Skin, vertices: np.ndarray, skin_uv: np.ndarray, lash_uv: np.ndarray, side: int, material: int) -> None:
    """The front of a lid, top row first, and one strip behind it that closes it."""
    uvs = np.repeat(skin_uv[:, [*range(ROWS), -1], None], 2, 2)  # of each row of quads, at its upper and lower end
    uvs[:, :ROWS, 1] = skin_uv[:, 1:]
    uvs[:, ROWS] = lash_uv
    if side < 0:  # the lower lid's edge is its top row
        uvs = np.concatenate([uvs[:, [ROWS]], uvs[:, :ROWS]], 1)
    rows = np.concatenate([vertices, vertices[:, :1]], 1)
    uvs = np.concatenate([uvs, np.repeat(skin_uv[:, -1:, None], 2, 2)], 1)
    quads = np.stack([rows[:-1, :-1], rows[:-1, 1:], rows[1:, 1:], rows[1:, :-1]], -1).reshape(-1, 4)
    quad_uvs = np.stack([uvs[:-1, :, 0], uvs[:-1, :, 1], uvs[1:, :, 1], uvs[1:, :, 0]], 2).reshape(-1, 4, 2)
    cap = np.arange(1, vertices.shape[1] - 1)
    ends = [np.stack(np.broadcast_arrays(column[0], *pair), -1) for column, pair in (
        (vertices[0], (vertices[0, cap + 1], vertices[0, cap])), (vertices[-1], (vertices[-1, cap], vertices[-1, cap + 1]))
    )]  # fmt: skip
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], *ends])
    flat = np.repeat(skin_uv[[0, -1], -1], len(cap), 0)[:, None].repeat(3, 1)
    corner_uvs = np.concatenate([quad_uvs[:, [0, 1, 2]], quad_uvs[:, [0, 2, 3]], flat])
    size = np.ptp(corner_uvs, axis=1).max(1)
    seam = size > SEAM * np.median(size[size > 0]) if (size > 0).any() else np.zeros(len(size), bool)
    corner_uvs[seam] = corner_uvs[seam, :1]
    skin.append_triangles(triangles, np.full(len(triangles), material), corner_uvs)


def move_lids(skin: Skin, lids: list[Lid], face: Face, seen: DepthMap, shapes: dict[str, np.ndarray]) -> None:
    """Adds the lids' displacements to blinks and emotions, name -> (V, 3)."""
    for lid in lids:
        for name, eyes in {"blink" + lid.eye.side: Eyes(1.0), **{name: eyes for name, (_, eyes) in EMOTIONS.items()}}.items():
            shapes[name][lid.vertices] = _drawn(skin, lid, eyes, face, seen)


def _drawn(skin: Skin, lid: Lid, eyes: Eyes, face: Face, seen: DepthMap) -> np.ndarray:
    """(COLUMNS, ROWS + 2, 3) how a lid moves from where it waits."""
    rim, hung = lid_rim(_across()), _rim(lid.side)
    close = np.clip(lid_amount(_across(), lid.eye, eyes), 0, 1)
    line = LID_LINE * rim
    if lid.side > 0:
        way, ahead = close * (hung - line + OVERLAP * rim), UPPER_AHEAD
    else:
        # A blink takes the lower lid along; short of that only a squint lifts it.
        way, ahead = (
            np.where(close > 0.95, line - hung, np.minimum(0.5 * eyes.squint * rim, (1 - close) * (LID_TOP * rim - hung))),
            LOWER_AHEAD,
        )
    edge = np.minimum(LASHES[lid.side] * rim, 0.5 * way)
    drawn = np.concatenate([np.linspace(0, 1, ROWS + 1) * (way - edge)[:, None], way[:, None]], 1)
    out = np.clip(way / (4 * ROLLED), 0, 1)[:, None]
    height = np.where(out > 0, hung[:, None] - lid.side * drawn, _rolled(lid.side))
    height = _rolled(lid.side) * (1 - out) + height * out
    uv = _uv(lid.eye, lid.side, height)
    depth = seen.at(uv.reshape(-1, 2)).reshape(uv.shape[:2])
    # The sheet lies closer at its rim, where it comes out of the skin.
    lift = ahead * np.linspace(0.4, 1, ROWS + 2) * face.spacing
    rest = skin.points[lid.vertices]
    target = np.concatenate([uv, (depth - lift)[..., None]], 2)
    moved = target - rest
    moved[..., 2] *= out
    return moved
