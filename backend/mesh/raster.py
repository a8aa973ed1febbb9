# SPDX-License-Identifier: GPL-3.0-or-later
"""An orthographic z-buffer rasteriser in numpy: the front view of a mesh as silhouette, depth and colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Pairs of (triangle, pixel) looked at in one go: bounds the memory to about 100 MB.
CHUNK = 1_000_000


@dataclass
class View:
    """A front view: seen from +Z, x to the right, y up; row 0 is the top. H x W pixels.

    triangle: (H, W) int64, the visible triangle or -1. bary: (H, W, 3), its barycentric coordinates there. depth: (H,
    W) z in metres, NaN where nothing is. scale: pixels a metre. left, top: x and y of the picture's left and top
    edges in metres.
    """

    triangle: np.ndarray
    bary: np.ndarray
    depth: np.ndarray
    scale: float
    left: float
    top: float

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool silhouette."""
        return self.triangle >= 0

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """(..., >= 2) metres to (..., 2) pixels, x to the right and y down; the centre of pixel (row, column) is
        (column, row).
        """
        points = np.asarray(points, float)
        return np.stack([(points[..., 0] - self.left) * self.scale, (self.top - points[..., 1]) * self.scale], -1) - 0.5

    def to_metres(self, pixels: np.ndarray) -> np.ndarray:
        """(..., 2) pixels to (..., 2) x, y in metres."""
        pixels = np.asarray(pixels, float) + 0.5
        return np.stack([self.left + pixels[..., 0] / self.scale, self.top - pixels[..., 1] / self.scale], -1)


def front_view(
    vertices: np.ndarray, triangles: np.ndarray, height: int = 640, margin: int = 8, max_width: int = 2048
) -> View:
    """Draws (V, 3) vertices and (T, 3) triangles so that the mesh is `height` pixels high (less if it is very wide).

    Both sides of a triangle are drawn; triangles smaller than a pixel may leave no trace.
    """
    low, high = (vertices[:, :2].min(0), vertices[:, :2].max(0)) if len(vertices) else (np.zeros(2), np.ones(2))
    size = np.maximum(high - low, 1e-9)
    scale = float(min(height / size[1], max_width / size[0]))
    shape = tuple(int(np.ceil(size[k] * scale)) + 2 * margin for k in (1, 0))
    view = View(
        np.full(shape, -1),
        np.zeros((*shape, 3)),
        np.full(shape, np.nan),
        scale,
        low[0] - margin / scale,
        high[1] + margin / scale,
    )
    if len(triangles):
        draw(view, vertices, triangles)
    return view


def draw(view: View, vertices: np.ndarray, triangles: np.ndarray) -> None:
    """Adds (V, 3) vertices and (T, 3) triangles to an empty view, whose scale and corner say what it shows."""
    z = vertices[:, 2][triangles]
    depth = np.full(view.triangle.size, -np.inf)
    for owner, pixel, bary in covered(view.to_pixels(vertices)[triangles], view.triangle.shape):
        here = (bary * z[owner]).sum(1)
        # Nearest last in each pixel; of equals the lowest triangle.
        order = np.lexsort((-owner, here, pixel))
        pixel, here = pixel[order], here[order]
        top = np.flatnonzero(np.r_[pixel[1:] != pixel[:-1], True]) if len(pixel) else np.zeros(0, int)
        top = top[here[top] > depth[pixel[top]]]
        chosen = pixel[top]
        depth[chosen] = here[top]
        view.triangle.reshape(-1)[chosen] = owner[order][top]
        view.bary.reshape(-1, 3)[chosen] = bary[order][top]
    view.depth[...] = np.where(np.isfinite(depth), depth, np.nan).reshape(view.depth.shape)


def covered(corners: np.ndarray, shape: tuple[int, ...]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pixels of a (rows, columns) grid whose centres lie in triangles (T, 3, 2): pixels, x right, y down, centres
    are integers.

    Yields pieces of triangle (n,), row * columns + column (n,) and barycentric coordinates (n, 3). Triangles without
    area cover nothing.
    """
    rows, columns = shape
    area = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    first = np.clip(np.ceil(corners.min(1)), 0, [columns, rows]).astype(np.int64)
    last = np.clip(np.floor(corners.max(1)) + 1, 0, [columns, rows]).astype(np.int64)
    extent = np.maximum(last - first, 0)
    count = extent.prod(1) * (np.abs(area) > 1e-12)
    order = np.flatnonzero(count)
    ends = np.cumsum(count[order])
    start = 0
    while start < len(order):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + CHUNK, "right")), start + 1)
        some = order[start:stop]
        owner = np.repeat(some, count[some])
        local = np.arange(len(owner)) - np.repeat(np.cumsum(count[some]) - count[some], count[some])
        x, y = first[owner, 0] + local % extent[owner, 0], first[owner, 1] + local // extent[owner, 0]
        a, b, c = (corners[owner, k] - np.stack([x, y], -1) for k in range(3))
        bary = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], -1) / area[owner, None]
        inside = (bary >= -1e-9).all(1)
        yield owner[inside], (y * columns + x)[inside], bary[inside]
        start = stop


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def colour(view: View, corner_uvs: np.ndarray, texture: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 RGBA: `texture` (h, w, 3 or 4) uint8 where the view's mesh is, transparent elsewhere.

    corner_uvs: (T, 3, 2), origin bottom left, repeated outside 0..1. Bilinear, without mip maps.
    """
    out = np.zeros((*view.triangle.shape, 4), np.uint8)
    seen = view.mask
    uv = (view.bary[seen][..., None] * corner_uvs[view.triangle[seen]]).sum(1) % 1.0
    h, w = texture.shape[:2]
    x, y = uv[:, 0] * w - 0.5, (1 - uv[:, 1]) * h - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return texture[row % h, column % w, :3].astype(float)

    above = at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx
    below = at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx
    out[seen, :3] = np.round(above * (1 - fy) + below * fy).astype(np.uint8)
    out[seen, 3] = 255
    return out


def shade(view: View, vertices: np.ndarray, triangles: np.ndarray, base: np.ndarray | None = None) -> np.ndarray:
    """(H, W, 4) uint8 RGBA, lit from the viewer's upper left; `base` (V, 3) uint8 are vertex colours (grey without)."""
    out = np.zeros((*view.triangle.shape, 4), np.uint8)
    seen = view.mask
    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    normal *= np.where(normal[:, 2:] < 0, -1, 1)
    light = 0.35 + 0.65 * np.clip(normal @ (np.array([-0.4, 0.5, 0.8]) / np.linalg.norm([0.4, 0.5, 0.8])), 0, 1)
    owner = view.triangle[seen]
    if base is None:
        rgb = np.full((len(owner), 3), 200.0)
    else:
        rgb = (view.bary[seen][..., None] * base[triangles[owner]].astype(float)).sum(1)
    out[seen, :3] = np.clip(rgb * light[owner, None], 0, 255).astype(np.uint8)
    out[seen, 3] = 255
    return out
