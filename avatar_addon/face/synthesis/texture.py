# SPDX-License-Identifier: GPL-3.0-or-later
"""What is painted at places of the face."""

from __future__ import annotations

import numpy as np

from .refine import Skin


def looked_up(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N, 3) the texture's pixels at UVs, whose origin is at the bottom left; they repeat."""
    height, width = texture.shape[:2]
    column, row = np.floor(uv[:, :2].astype(np.float64) % 1 * [width, height]).astype(np.int64).T
    return texture[height - 1 - np.minimum(row, height - 1), np.minimum(column, width - 1), :3].astype(np.float64)


def brightness(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N,) how bright the texture is at UVs and a pixel around them: at the edge of a dark spot its neighbours shine
    through.
    """
    pixel = 1 / np.array(texture.shape[1::-1])
    around = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]) * pixel
    return np.mean([looked_up(texture, uv[:, :2] + step).mean(1) for step in around], axis=0)


def texture_at(skin: Skin, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """UV (N, 2) and material (N,) of the face's front at places (N, 2) in the face plane; of its nearest triangle
    where it has none.
    """
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
    share = (
        np.einsum("tki,ij,ptkj->ptk", ends - starts, turn.T, places[:, None, None] - starts)[:, :, [1, 2, 0]]
        / area[:, None]
    )
    best = share.min(2).argmax(1)
    share = np.clip(share[np.arange(len(places)), best], 0, 1)
    share /= share.sum(1, keepdims=True)
    return np.einsum("pk,pki->pi", share, skin.corner_uvs[near[best]]), skin.material[near[best]]
