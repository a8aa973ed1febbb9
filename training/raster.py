# SPDX-License-Identifier: GPL-3.0-or-later
"""A z-buffer rasteriser and linear blend skinning, compiled."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np


@dataclass
class Buffers:
    """What the camera sees, H x W. front and back: depth of the nearest and the farthest surface, growing towards the
    viewer, -1e9 / 1e9 where nothing is. colour (H, W, 3) float32 0..255; normal (H, W, 3), not normalised; material and
    part (H, W), -1 and 0 where nothing is.
    """

    front: np.ndarray
    back: np.ndarray
    colour: np.ndarray
    normal: np.ndarray
    material: np.ndarray
    part: np.ndarray

    @classmethod
    def empty(cls, height: int, width: int) -> Buffers:
        return cls(
            np.full((height, width), -1e9),
            np.full((height, width), 1e9),
            np.zeros((height, width, 3), np.float32),
            np.zeros((height, width, 3), np.float32),
            np.full((height, width), -1, np.int32),
            np.zeros((height, width), np.uint8),
        )

    @property
    def mask(self) -> np.ndarray:
        return self.material >= 0


@dataclass
class Atlas:
    """Textures of all materials in one array."""

    data: np.ndarray
    offsets: np.ndarray
    widths: np.ndarray
    heights: np.ndarray

    @classmethod
    def of(cls, textures: list[np.ndarray]) -> Atlas:
        """textures: (h, w, 4) uint8 each."""
        heights = np.array([t.shape[0] for t in textures])
        widths = np.array([t.shape[1] for t in textures])
        offsets = np.concatenate([[0], np.cumsum(heights * widths * 4)[:-1]]).astype(np.int64)
        return cls(np.concatenate([t.ravel() for t in textures]), offsets, widths, heights)


@nb.njit(cache=True)
def skin(vertices, normals, nodes, weights, matrices, out_vertices, out_normals):
    """Linear blend skinning: matrices (B, 4, 4) from bind to posed. Fills out_vertices and out_normals (V, 3)."""
    for i in range(vertices.shape[0]):
        for r in range(3):
            place = 0.0
            turn = 0.0
            for k in range(4):
                w = weights[i, k]
                if w > 0:
                    j = nodes[i, k]
                    for c in range(3):
                        place += w * matrices[j, r, c] * vertices[i, c]
                        turn += w * matrices[j, r, c] * normals[i, c]
                    place += w * matrices[j, r, 3]
            out_vertices[i, r] = place
            out_normals[i, r] = turn


@nb.njit(cache=True)
def _rasterise(points, normals, uvs, triangles, materials, parts, data, offsets, widths, heights,
               front, back, colour, normal, material, part):  # fmt: skip
    rows, columns = front.shape
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0, z0 = points[i, 0], points[i, 1], points[i, 2]
        x1, y1, z1 = points[j, 0], points[j, 1], points[j, 2]
        x2, y2, z2 = points[k, 0], points[k, 1], points[k, 2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        low_x = max(int(np.ceil(min(x0, x1, x2))), 0)
        high_x = min(int(np.floor(max(x0, x1, x2))), columns - 1)
        low_y = max(int(np.ceil(min(y0, y1, y2))), 0)
        high_y = min(int(np.floor(max(y0, y1, y2))), rows - 1)
        m = materials[t]
        for y in range(low_y, high_y + 1):
            for x in range(low_x, high_x + 1):
                a = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
                b = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
                c = 1 - a - b
                if a < -1e-9 or b < -1e-9 or c < -1e-9:
                    continue
                z = a * z0 + b * z1 + c * z2
                if z < back[y, x]:
                    back[y, x] = z
                if z <= front[y, x]:
                    continue
                u = a * uvs[t, 0, 0] + b * uvs[t, 1, 0] + c * uvs[t, 2, 0]
                v = a * uvs[t, 0, 1] + b * uvs[t, 1, 1] + c * uvs[t, 2, 1]
                row = min(int((v - np.floor(v)) * heights[m]), heights[m] - 1)
                column = min(int((u - np.floor(u)) * widths[m]), widths[m] - 1)
                texel = offsets[m] + (row * widths[m] + column) * 4
                if data[texel + 3] < 128:
                    continue
                front[y, x] = z
                material[y, x] = m
                part[y, x] = parts[t]
                for n in range(3):
                    colour[y, x, n] = data[texel + n]
                    normal[y, x, n] = a * normals[i, n] + b * normals[j, n] + c * normals[k, n]


def rasterise(buffers: Buffers, points, normals, uvs, triangles, materials, parts, atlas: Atlas) -> None:
    """Draws into `buffers` what is nearer than what they hold. points (V, 3): pixels right, pixels down, depth towards
    the viewer. uvs (T, 3, 2) per corner, v down; materials and parts (T,). Textures are sampled at the nearest texel;
    alpha under half is a hole.
    """
    _rasterise(points, normals, uvs, triangles, materials, parts, atlas.data, atlas.offsets, atlas.widths,
               atlas.heights, buffers.front, buffers.back, buffers.colour, buffers.normal, buffers.material,
               buffers.part)  # fmt: skip
