# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each triangle of the skin lies on the texture: front, back, and each part's two sides.

All charts are planar, so that an artist can read and paint them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

from .solid import Depth
from .thickness import PARTS, Frame
from .volume import Skin

FRONT, FADE = 0.40, 0.13  # cosine of normal and view: the picture itself, and from where it fades in
RIM = 0.10, 0.22  # of the local radius: deeper inside the outline, all that looks forward shows the picture
BACK = -0.5
SIDE_SCALE, BACK_SCALE = 0.7, 0.7
CALMING = 8  # steps: raw normals of marching cubes would give the charts jagged borders
GAP = 4  # pixels around a chart


@dataclass
class Charts:
    """corners: (T, 3, 2) pixels of the texture, x right, y down; shape: its (rows, columns). scale: pixels of the
    front chart per pixel of the cut-out picture, whose chart is `front_shape` at the top left. normals: (V, 3), calm.
    front, cape: (T,) bool; part: (T,) index into PARTS.
    """

    corners: np.ndarray
    shape: tuple[int, int]
    scale: float
    front_shape: tuple[int, int]
    normals: np.ndarray
    front: np.ndarray
    cape: np.ndarray
    part: np.ndarray

    def uvs(self) -> np.ndarray:
        """(T, 3, 2), origin bottom left."""
        height, width = self.shape
        return np.stack([self.corners[..., 0] / width, 1 - self.corners[..., 1] / height], -1)


def calm_normals(normals: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals averaged over the neighbours."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    count = len(normals)
    ends = np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]]
    near = sparse.csr_matrix((np.ones(2 * len(edges)), ends), shape=(count, count)) + sparse.identity(count)
    mean = sparse.diags(1 / np.asarray(near.sum(1)).ravel()) @ near
    for _ in range(CALMING):
        normals = mean @ normals
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


def rim_map(depth: Depth) -> np.ndarray:
    """(R, C): how far inside the outline a cell is, in local radii, 0..2."""
    thick = ndimage.maximum_filter(depth.thick, size=5)
    return np.clip(ndimage.gaussian_filter(depth.inside, 0.7) / np.maximum(thick, 1), 0, 2)


def on_grid(values: np.ndarray, cells: np.ndarray, order: int = 1) -> np.ndarray:
    """Values of the grid at (N, 2) cells (column, row)."""
    at = [cells[:, 1], cells[:, 0]]
    return np.asarray(ndimage.map_coordinates(values, at, order=order, mode="nearest"))


def make_charts(
    skin: Skin,
    normals: np.ndarray,
    depth: Depth,
    frame: Frame,
    corner: tuple[int, int],
    picture: tuple[int, int],
    size: int,
    axes: dict[int, np.ndarray],
) -> Charts:
    """corner: pixel of the picture at the cut-out's top left; picture: the cut-out's (rows, columns). size: pixels of
    the front chart's longer side at most. axes: per part the direction its sides run along, (0, 1) for others.
    """
    calm = calm_normals(normals, skin.triangles)
    corners = skin.vertices[skin.triangles]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    face /= np.maximum(np.linalg.norm(face, axis=1, keepdims=True), 1e-12)
    looks = calm[skin.triangles].mean(1)
    looks /= np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-9)
    middle = corners.mean(1)
    cells = frame.to_cells(frame.to_pixels(middle[:, :2]))
    cape = np.arange(len(skin.triangles)) >= skin.cape
    forward = np.minimum(looks[:, 2], face[:, 2] + 0.3)
    front = (forward > FRONT) | ((forward > 0.06) & (on_grid(rim_map(depth), cells) > RIM[1]))
    hidden = np.zeros(len(front), bool)
    if depth.cape is not None:
        hidden = cape & (on_grid(depth.cape.shown.astype(float), cells) < 0.5)
        front[cape] = (forward > FRONT)[cape]
    front &= ~hidden
    scale = min(1.0, size / max(picture))
    front_shape = round(picture[0] * scale), round(picture[1] * scale)
    charts = Charts(
        np.zeros((len(front), 3, 2)),
        front_shape,
        scale,
        front_shape,
        calm,
        front,
        cape,
        on_grid(depth.parts, cells, order=0).astype(int),
    )
    _place(charts, skin, looks, hidden, frame, corner, axes)
    return charts


def _place(
    charts: Charts,
    skin: Skin,
    looks: np.ndarray,
    hidden: np.ndarray,
    frame: Frame,
    corner: tuple[int, int],
    axes: dict[int, np.ndarray],
) -> None:
    pixels = (frame.to_pixels(skin.vertices[:, :2]) - corner)[skin.triangles]
    depths = skin.vertices[:, 2][skin.triangles] * frame.pixels / frame.cell
    charts.corners[charts.front] = pixels[charts.front] * charts.scale + 0.5
    back = (looks[:, 2] < BACK) & ~charts.front
    inner = hidden & (looks[:, 2] > 0)
    back_of_cape, back_of_body = back & charts.cape, back & ~charts.cape
    boxes = [
        (here, pixels[here] * charts.scale * BACK_SCALE) for here in (back_of_body, back_of_cape, inner) if here.any()
    ]
    rest = ~charts.front & ~back & ~inner
    for label in range(len(PARTS)):
        axis = axes.get(label, np.array([0.0, 1.0]))
        across = np.array([-axis[1], axis[0]])
        side = looks[:, 0] * across[0] - looks[:, 1] * across[1]  # the picture's y runs down
        for sign in (-1, 1):
            here = rest & (charts.part == label) & ((side >= 0) if sign > 0 else (side < 0))
            if here.any():
                along = np.stack([sign * depths[here], pixels[here] @ axis], -1)
                boxes.append((here, along * charts.scale * SIDE_SCALE))
    _pack(charts, boxes)


def _pack(charts: Charts, boxes: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Shelves right of the front chart, the tallest boxes first."""
    rows, columns = charts.front_shape
    limit = columns + max(int(1.75 * columns * BACK_SCALE), 260)
    x, y, shelf = columns + GAP, GAP, 0
    wide, tall = columns, rows
    for here, place in sorted(boxes, key=lambda box: (-np.ptp(box[1][..., 1]), box[0].argmax())):
        low = place.reshape(-1, 2).min(0)
        width, height = (np.ceil(np.ptp(place.reshape(-1, 2), axis=0)).astype(int) + 2 * GAP).tolist()
        if x + width > limit and x > columns + GAP:
            x, y, shelf = columns + GAP, y + shelf, 0
        charts.corners[here] = place - low + (x + GAP, y + GAP)
        x, shelf = x + width, max(shelf, height)
        wide, tall = max(wide, x), max(tall, y + height)
    charts.shape = tall + GAP, wide + GAP
