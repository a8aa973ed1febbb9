# SPDX-License-Identifier: GPL-3.0-or-later
"""Six looks at a picture: where the figure is, the figure, its limbs twice by another network, its head by a third one,
and its head from nearer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from . import heads, limbs
from .layout import COUNTS, FACE, HEIGHT, JOINTS, KEYPOINTS, MOUTH_STATES, WIDTH
from .network import MODEL, Outputs, confidence, run
from .reading import FacePart, Joint, Reading

FILL = 0.9  # how much of the network's picture the figure fills in the second look
# Shorter sides of the two looks at the head, in heights of it: what both see is right more often.
HEAD_ROOM, HEAD_NEAR = 1.6, 1.2
BAND = 256  # rows
MAP_SIDE = 1024  # maps are worked out at this size at most and then enlarged
OPAQUE = 250
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Window:
    """A part of the picture as a network sees it: left and top in the picture, picture pixels per network pixel, and
    the network's pixels across and down.
    """

    left: float
    top: float
    scale: float
    width: int = WIDTH
    height: int = HEIGHT

    def back(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) network pixels to the picture's."""
        return points * self.scale + [self.left, self.top]

    @classmethod
    def around(cls, centre: tuple[float, float], scale: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Window:
        return cls(centre[0] - scale * size[0] / 2, centre[1] - scale * size[1] / 2, scale, *size)

    @classmethod
    def of_box(cls, box: Box, fill: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Window:
        scale = max((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1], 1e-3) / fill
        return cls.around(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), scale, size)

    def cut(self, rgb: np.ndarray, outside: np.ndarray) -> np.ndarray:
        """(height, width, 3) uint8; what lies beyond the picture has the colour `outside`."""
        rows_in, columns_in = rgb.shape[:2]
        x0, y0 = int(np.floor(self.left)), int(np.floor(self.top))
        x1 = int(np.ceil(self.left + self.scale * self.width))
        y1 = int(np.ceil(self.top + self.scale * self.height))
        inner = (max(x0, 0), max(y0, 0), min(x1, columns_in), min(y1, rows_in))
        out = np.empty((self.height, self.width, 3), np.uint8)
        out[:] = outside
        if inner[2] <= inner[0] or inner[3] <= inner[1]:
            return out
        # Only what is inside is scaled, so that a long thin picture never becomes a huge square.
        piece = Image.fromarray(np.ascontiguousarray(rgb[inner[1] : inner[3], inner[0] : inner[2]]))
        left, right = ((v - self.left) / self.scale for v in (inner[0], inner[2]))
        top, bottom = ((v - self.top) / self.scale for v in (inner[1], inner[3]))
        columns = max(0, round(left)), min(self.width, max(round(right), round(left) + 1))
        rows = max(0, round(top)), min(self.height, max(round(bottom), round(top) + 1))
        size = (columns[1] - columns[0], rows[1] - rows[0])
        if min(size) < 1:
            return out
        smooth = Image.Resampling.BOX if self.scale > 2 else Image.Resampling.BILINEAR
        out[rows[0] : rows[1], columns[0] : columns[1]] = np.asarray(piece.resize(size, smooth))
        return out


def read(picture: np.ndarray, model: Path = MODEL) -> Reading:
    """Reads one character; see the package. picture: (H, W, 3) or (H, W, 4) uint8, upright, H and W at least 1.
    model: the folder with weights.onnx and calibration.json, and heads.onnx if it has another one.

    Raises ValueError for any other array.
    """
    if picture.ndim != 3 or picture.shape[2] not in (3, 4) or picture.dtype != np.uint8 or not picture.size:
        raise ValueError("A picture is an array (H, W, 3) or (H, W, 4) of uint8.")
    rgb, alpha = _flat(picture)
    first, body, head = looks(rgb, alpha, model)
    return _reading(model, rgb.shape[:2], alpha, first, body, head)


def looks(
    rgb: np.ndarray, alpha: np.ndarray | None, model: Path = MODEL
) -> tuple[Outputs, tuple[Window, Outputs], tuple[Window, heads.Head]]:
    """What the networks say of the whole picture, of the figure and of its head, with the windows of the last two.
    rgb (H, W, 3) uint8; alpha (H, W) where it tells what the figure is; model as in `read`.
    """
    height, width = rgb.shape[:2]
    edge = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    outside = np.median(edge, axis=0).astype(np.uint8)
    whole: Box = (0.0, 0.0, float(width), float(height))
    first = run(model, Window.of_box(whole, 1.0).cut(rgb, outside))
    box = _opaque_box(alpha) if alpha is not None else None
    if box is None:
        box = _grown(_figure_box(first, Window.of_box(whole, 1.0), whole), 0.06)
    window = Window.of_box(box, FILL)
    body = run(model, window.cut(rgb, outside))
    tight = box if alpha is not None else _figure_box(body, window, whole)
    squares = [Window.of_box(tight, fill, (limbs.SIDE, limbs.SIDE)) for fill in limbs.FILLS]
    body = limbs.pooled(body, [_second(square, rgb, outside, window, body.heat.shape[1:]) for square in squares])
    top, chin = (window.back(body.points[KEYPOINTS.index(name)]) for name in ("headTop", "chin"))
    size = max(float(np.hypot(*(top - chin))), 0.05 * max(box[2] - box[0], box[3] - box[1]))
    middle = (top + chin) / 2
    windows = [
        Window.around((float(middle[0]), float(middle[1])), room * size / min(WIDTH, HEIGHT))
        for room in (HEAD_ROOM, HEAD_NEAR)
    ]
    far, near = (heads.look(model, close.cut(rgb, outside)) for close in windows)
    head = heads.together(far, _carried(near.heat, windows[1], windows[0], far.heat.shape[1:]), near)
    return first, (window, body), (windows[0], head)


def _second(square: Window, rgb: np.ndarray, outside: np.ndarray, target: Window, shape: tuple[int, int]) -> limbs.Look:
    """A look of the second opinion at `square`, in the cells and pixels of `target`."""
    found = limbs.look(square.cut(rgb, outside))
    heat = _carried(found.heat, square, target, shape)
    return replace(found, heat=heat, depth=found.depth * square.scale / target.scale)


def _carried(heat: np.ndarray, source: Window, target: Window, shape: tuple[int, int]) -> np.ndarray:
    """Heatmaps (K, h, w) of one window on the cells of another, `shape` rows and columns; zero beyond the first."""
    maps = heat
    rows = 1, source.top, source.height, target.top, target.height
    columns = 2, source.left, source.width, target.left, target.width
    for axis, start, side, end, across in (rows, columns):
        count, cells = heat.shape[axis], shape[axis - 1]
        size, step = source.scale * side / count, target.scale * across / cells  # of a cell, in the picture
        place = ((np.arange(cells) + 0.5) * step + end - start) / size - 0.5
        share = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(count)))
        maps = np.moveaxis(np.tensordot(share, maps, (1, axis)), 0, axis) * (step / size)
    return maps


def _flat(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB, and alpha where the picture says by it what the figure is. Behind a transparent picture comes white, or grey
    where the figure itself is nearly white.
    """
    if picture.shape[2] == 3 or picture[..., 3].min() >= OPAQUE:
        return np.ascontiguousarray(picture[..., :3]), None
    alpha = picture[..., 3]
    shown = picture[..., :3][alpha > 127]
    bright = float(shown.mean()) if shown.size else 0.0
    behind = 140.0 if bright > 215 else 255.0
    flat = np.empty((*alpha.shape, 3), np.uint8)
    for rows in _bands(len(alpha)):
        share = alpha[rows, :, None].astype(np.float32) / 255
        flat[rows] = np.round(picture[rows, :, :3] * share + behind * (1 - share))
    return flat, alpha if shown.size else None


def _bands(height: int) -> Iterator[slice]:
    """A large picture's rows, some at once: whole, what is between two lines of arithmetic takes gigabytes."""
    return (slice(top, min(top + BAND, height)) for top in range(0, height, BAND))


def _opaque_box(alpha: np.ndarray) -> Box:
    rows, columns = np.flatnonzero((alpha > 127).any(1)), np.flatnonzero((alpha > 127).any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _figure_box(outputs: Outputs, window: Window, whole: Box) -> Box:
    """Round the largest connected area of body parts; the whole picture where there is none."""
    labels, count = ndimage.label(outputs.parts[0] < 0.5, np.ones((3, 3)))
    if not count:
        return whole
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    rows, columns = np.nonzero(labels == largest)
    cells = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]])
    corners = cells * _cell(outputs)
    (x0, y0), (x1, y1) = window.back(corners)
    box = (max(x0, whole[0]), max(y0, whole[1]), min(x1, whole[2]), min(y1, whole[3]))
    return box if box[2] > box[0] and box[3] > box[1] else whole


def _grown(box: Box, share: float) -> Box:
    x, y = share * (box[2] - box[0]), share * (box[3] - box[1])
    return box[0] - x, box[1] - y, box[2] + x, box[3] + y


def _reading(
    model: Path,
    shape: tuple[int, int],
    alpha: np.ndarray | None,
    first: Outputs,
    body: tuple[Window, Outputs],
    head: tuple[Window, heads.Head],
) -> Reading:
    window, found = body
    points = window.back(found.points)
    joints = {}
    for k, name in enumerate(KEYPOINTS[: -len(FACE)]):
        depth = float(found.depth[k]) * window.scale if k < len(JOINTS) else _surface(found, k) * window.scale
        sure = confidence(model, name, float(found.mass[k]), float(found.seen[k]))
        joints[name] = Joint(float(points[k, 0]), float(points[k, 1]), depth, sure)
    parts, mask, front, back = _maps(shape, alpha, window, found)
    counted = (first.humanoids + 2 * found.humanoids) / 3
    filled = np.nonzero(mask > 0.5)
    box = (0.0, 0.0, float(shape[1]), float(shape[0]))
    if len(filled[0]):
        box = (float(filled[1].min()), float(filled[0].min()), float(filled[1].max() + 1), float(filled[0].max() + 1))
    return Reading(
        joints=joints,
        face=_face(model, *head),
        parts=parts,
        mask=mask,
        front=front,
        back=back,
        yaw=found.yaw,
        humanoids={name: float(p) for name, p in zip(COUNTS, counted, strict=True)},
        box=box,
    )


def _cell(outputs: Outputs) -> np.ndarray:
    """Width and height of the maps' cells in pixels of WIDTH x HEIGHT."""
    rows, columns = outputs.front.shape
    return np.array([WIDTH / columns, HEIGHT / rows])


def _surface(outputs: Outputs, point: int) -> float:
    """Depth of the front at a key point, network pixels."""
    x, y = (outputs.points[point] / _cell(outputs)).astype(int)
    rows, columns = outputs.front.shape
    return float(outputs.front[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)])


def _face(model: Path, window: Window, head: heads.Head) -> dict[str, FacePart]:
    out, points = {}, window.back(head.points)
    states = dict(zip(MOUTH_STATES, head.mouth, strict=True))
    for k, name in enumerate(FACE):
        sure = confidence(model, name, float(head.mass[k]), float(head.seen[k]))
        if name == "mouth":
            state = max(states, key=lambda key: states[key])
        else:
            state = "drawn" if head.seen[k] > 0 else "hidden"
        x, y, half_width, half_height = (float(v) for v in (*points[k], *(head.sizes[k] * window.scale)))
        out[name] = FacePart(x, y, half_width, half_height, state, sure)
    return out


def _maps(
    shape: tuple[int, int], alpha: np.ndarray | None, window: Window, outputs: Outputs
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """parts, mask, front and back over the whole picture."""
    height, width = shape
    # Enlarged within the window to at most MAP_SIDE, then looked up by the nearest pixel.
    detail = float(np.clip(min(window.scale, MAP_SIDE / HEIGHT), 1.0, None))
    size = (round(WIDTH * detail), round(HEIGHT * detail))

    def enlarged(field: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(np.ascontiguousarray(field, np.float32))
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))

    best, label = enlarged(outputs.parts[0]), np.zeros((size[1], size[0]), np.uint8)
    share = 1 - best
    body = np.full_like(best, -1.0)
    for k in range(1, len(outputs.parts)):
        field = enlarged(outputs.parts[k])
        label = np.where(field > body, np.uint8(k), label)
        body = np.maximum(body, field)
    columns = ((np.arange(width) + 0.5 - window.left) / window.scale * detail).astype(int)
    rows = ((np.arange(height) + 0.5 - window.top) / window.scale * detail).astype(int)
    across = (columns >= 0) & (columns < size[0])
    down, columns = (rows >= 0) & (rows < size[1]), np.clip(columns, 0, size[0] - 1)
    rows, depths = np.clip(rows, 0, size[1] - 1), [enlarged(outputs.front), enlarged(outputs.back)]
    parts, mask = np.empty(shape, np.uint8), np.empty(shape, np.float32)
    front, back = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for band in _bands(height):
        place, inside = np.ix_(rows[band], columns), down[band, None] & across
        mask[band] = np.where(inside, share[place], 0) if alpha is None else alpha[band].astype(np.float32) / 255
        shown = mask[band] > 0.5
        parts[band] = np.where(shown, label[place], 0)
        for depth, of in ((front, depths[0]), (back, depths[1])):
            depth[band] = np.where(shown, of[place] * window.scale, np.nan)
    return parts, mask, front, back
