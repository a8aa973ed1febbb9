# SPDX-License-Identifier: GPL-3.0-or-later
"""Textures from the voxels' attributes and from the dense surface: every texel asks the point of the dense surface
that is closest to where it lies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..mesh.bake import Texels, chart_texels
from ..mesh.closest import Surface
from ..mesh.glb import vertex_normals
from .attributes import CHANNELS

CHUNK = 1 << 17  # texels at once

# (n, 3) points in world axes -> (n, 6) attributes
Lookup = Callable[[np.ndarray], np.ndarray]


@dataclass
class Baked:
    """covered (S, S) bool: texels inside a chart. values (S, S, 6): attributes there, and those of the nearest covered
    texel elsewhere. normal (S, S, 3): unit normals in the tangent space of each texel, (0, 0, 1) where flat.
    """

    covered: np.ndarray
    values: np.ndarray
    normal: np.ndarray


@dataclass
class Images:
    """base_rgba (S, S, 4), metallic_roughness (S, S, 3: nothing, roughness, metallic), normal (S, S, 3), all uint8."""

    base_rgba: np.ndarray
    metallic_roughness: np.ndarray
    normal: np.ndarray


def bake_attributes(
    vertices: np.ndarray,
    triangles: np.ndarray,
    corner_uvs: np.ndarray,
    dense: tuple[np.ndarray, np.ndarray],
    lookup: Lookup,
    size: int,
    on_share: Callable[[float], None] | None = None,
) -> Baked:
    """vertices (V, 3) and dense (vertices, triangles) in world axes; corner_uvs (T, 3, 2), origin bottom left.

    `on_share(done 0..1)` is called now and then and may raise to stop.
    """
    texels = chart_texels(corner_uvs, size)
    covered = np.zeros((size, size), bool)
    values, normal = np.zeros((size, size, 6), np.float32), np.zeros((size, size, 3), np.float32)
    normal[..., 2] = 1
    if not len(texels.row) or not len(dense[1]):
        return Baked(covered, values, normal)
    surface, dense_normals = Surface(*dense), vertex_normals(*dense)
    frames = _Frames(vertices, triangles, corner_uvs)
    for first in range(0, len(texels.row), CHUNK):
        if on_share:
            on_share(first / len(texels.row))
        some = Texels(
            *(part[first : first + CHUNK] for part in (texels.row, texels.column, texels.triangle, texels.bary))
        )
        points = np.einsum("nk,nkc->nc", some.bary, vertices[triangles[some.triangle]])
        near = surface.nearest(points)
        values[some.row, some.column] = lookup(near.point)
        world = np.einsum("nk,nkc->nc", near.bary, dense_normals[dense[1][near.triangle]])
        normal[some.row, some.column] = frames.local(world, some)
    covered[texels.row, texels.column] = True
    nearest = ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return Baked(covered, values[tuple(nearest)], normal[tuple(nearest)])


class _Frames:
    """Tangent spaces as viewers build them from normals and UVs (MikkTSpace, here per chart corner): tangent along
    growing u, bitangent along growing v of the texture's upright picture.
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray, corner_uvs: np.ndarray) -> None:
        corners = vertices[triangles]
        edges = corners[:, 1:] - corners[:, :1]
        sides = corner_uvs[:, 1:] - corner_uvs[:, :1]
        area = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]
        sign = np.where(area < 0, -1.0, 1.0)[:, None]
        tangent = (edges[:, 0] * sides[:, 1, 1:] - edges[:, 1] * sides[:, 0, 1:]) * sign
        self._triangles, self._normals = triangles, vertex_normals(vertices, triangles)
        self._sign = sign[:, 0]
        # A corner's tangent is the mean of its vertex' triangles in the same chart, told apart by their UVs.
        keys = np.column_stack(
            [triangles.reshape(-1), np.round(corner_uvs.reshape(-1, 2) * (1 << 20)).astype(np.int64)]
        )
        _, corner = np.unique(keys, axis=0, return_inverse=True)
        total = np.zeros((corner.max(initial=-1) + 1, 3))
        weight = _angles(corners).reshape(-1, 1) * np.repeat(_unit(tangent), 3, axis=0)
        np.add.at(total, corner, weight)
        self._tangents = total[corner].reshape(-1, 3, 3)

    def local(self, world: np.ndarray, texels: Texels) -> np.ndarray:
        """(n, 3) world normals as the texels' own: x along the tangent, y along the bitangent, z outwards."""
        normal = _unit(np.einsum("nk,nkc->nc", texels.bary, self._normals[self._triangles[texels.triangle]]))
        tangent = np.einsum("nk,nkc->nc", texels.bary, self._tangents[texels.triangle])
        tangent = _unit(tangent - (tangent * normal).sum(1, keepdims=True) * normal)
        bitangent = np.cross(normal, tangent) * self._sign[texels.triangle, None]
        world = _unit(world)
        # A dense surface that is wound the other way here, or a closest point behind an edge, says nothing.
        facing = (world * normal).sum(1) > 0.2
        local = np.stack([(world * axis).sum(1) for axis in (tangent, bitangent, normal)], 1)
        flat = ~facing | (np.abs(tangent).sum(1) < 0.5)
        local[flat] = (0, 0, 1)
        return local


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _angles(corners: np.ndarray) -> np.ndarray:
    """(T, 3) the angle at each corner of (T, 3, 3) triangles, radians."""
    ahead, behind = (_unit(np.roll(corners, shift, axis=1) - corners) for shift in (-1, 1))
    return np.arccos(np.clip((ahead * behind).sum(2), -1, 1))


def to_images(baked: Baked) -> Images:
    """As glTF stores them. Colours are taken as they are, cut to 0..1 and rounded down, as upstream does."""
    values = (np.clip(baked.values, 0, 1) * 255).astype(np.uint8)
    metallic_roughness = np.zeros((*values.shape[:2], 3), np.uint8)
    metallic_roughness[..., 1] = values[..., CHANNELS["roughness"]][..., 0]
    metallic_roughness[..., 2] = values[..., CHANNELS["metallic"]][..., 0]
    base = np.concatenate([values[..., CHANNELS["base_colour"]], values[..., CHANNELS["alpha"]]], -1)
    normal = np.round((baked.normal * 0.5 + 0.5) * 255).clip(0, 255).astype(np.uint8)
    return Images(base, metallic_roughness, normal)
