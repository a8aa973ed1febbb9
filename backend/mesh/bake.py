# SPDX-License-Identifier: GPL-3.0-or-later
"""A texture from gaussians, baked in space: no rasteriser, no camera.

Each texel knows its point on the surface and the normal there. It is looked at along that normal, from outside: the
gaussians around the point are put in order along the line and laid over each other as a splat renderer does (Kerbl et
al. 2023, eq. 3), each with its opacity times its anisotropic density where the line comes closest to its centre. So
what lies under the surface, which training never saw, does not shine through. Where next to nothing covers the point,
the densest gaussians around it decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from .raster import covered

NEIGHBOURS = 24
CHUNK = 1 << 15  # texels at once: about 60 MB of intermediate values
CELL = 0.5  # of the median gaussian: texels this close to each other share their neighbours
# gaussians farther along the normal than this, in mean radii of those around, belong to another layer of the surface
NEAR = 3.0
FLOOR = 0.02  # coverage below which the fallback begins to count
MAX_ALPHA = 0.99  # as in the renderer the gaussians were trained with


@dataclass
class GaussianCloud:
    """xyz (g, 3), scale (g, 3) standard deviations, rotation (g, 4) unit (w, x, y, z), opacity (g,) 0..1, colour (g,
    3) 0..1 or above.
    """

    xyz: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    opacity: np.ndarray
    colour: np.ndarray


@dataclass
class Texels:
    """The texels whose centres lie in a chart: row and column (n,), the triangle (n,) and barycentric coordinates (n,
    3) there.
    """

    row: np.ndarray
    column: np.ndarray
    triangle: np.ndarray
    bary: np.ndarray


def bake(
    vertices: np.ndarray,
    triangles: np.ndarray,
    normals: np.ndarray,
    corner_uvs: np.ndarray,
    cloud: GaussianCloud,
    size: int,
    on_share: Callable[[float], None] | None = None,
) -> np.ndarray:
    """(size, size, 3) uint8. vertices, normals (V, 3) in the cloud's axes; corner_uvs (T, 3, 2), origin bottom left.

    Every texel is painted: those outside the charts with the nearest one inside, so that neither filtering nor mip
    maps show seams. `on_share(done 0..1)` is called now and then and may raise to stop. Deterministic. An empty cloud
    gives a grey texture.
    """
    out = np.full((size, size, 3), 128, np.uint8)
    texels = chart_texels(corner_uvs, size)
    if not len(cloud.xyz) or not len(texels.row):
        return out
    corners = triangles[texels.triangle]
    points = np.einsum("nk,nkc->nc", texels.bary, vertices[corners])
    along = np.einsum("nk,nkc->nc", texels.bary, normals[corners])
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    colours = colours_at(points, along, cloud, on_share)
    out[texels.row, texels.column] = np.round(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    empty = np.ones((size, size), bool)
    empty[texels.row, texels.column] = False
    nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    return out[tuple(nearest)]


def chart_texels(corner_uvs: np.ndarray, size: int) -> Texels:
    """The texel centres inside each triangle's UVs; of two triangles that share one (on an edge), the first has it."""
    corners = np.stack([corner_uvs[..., 0] * size - 0.5, (1 - corner_uvs[..., 1]) * size - 0.5], -1)
    owner_of = np.full(size * size, -1, np.int64)
    bary_of = np.zeros((size * size, 3))
    for owner, texel, bary in covered(corners, (size, size)):
        free = np.flatnonzero(owner_of[texel] < 0)
        texel, first = np.unique(texel[free], return_index=True)
        owner_of[texel], bary_of[texel] = owner[free[first]], bary[free[first]]
    found = np.flatnonzero(owner_of >= 0)
    return Texels(found // size, found % size, owner_of[found], bary_of[found])


def colours_at(
    points: np.ndarray, normals: np.ndarray, cloud: GaussianCloud, on_share: Callable[[float], None] | None = None
) -> np.ndarray:
    """(n, 3) what the surface looks like at (n, 3) points, seen along their (n, 3) normals from outside."""
    k = min(NEIGHBOURS, len(cloud.xyz))
    xyz, colour, opacity = (np.asarray(v, np.float32) for v in (cloud.xyz, cloud.colour, cloud.opacity))
    whiten = (_matrices(cloud.rotation).transpose(0, 2, 1) / np.asarray(cloud.scale, np.float64)[:, :, None]).astype(
        np.float32
    )
    radius = np.asarray(cloud.scale, np.float32).mean(1)
    tree = cKDTree(xyz)
    cells = np.floor(points / max(CELL * float(np.median(radius)), 1e-9)).astype(np.int64)
    _, first, cell = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(cell, kind="stable")
    out = np.empty((len(points), 3))
    for start in range(0, len(order), CHUNK):
        if on_share:
            on_share(start / len(order))
        some = order[start : start + CHUNK]
        cells_here, back = np.unique(cell[some], return_inverse=True)
        _, near = tree.query(points[first[cells_here]], k=k, workers=-1)
        near = near.reshape(len(cells_here), k)[back]
        offset = xyz[near] - points[some, None].astype(np.float32)
        direction = np.broadcast_to(normals[some, None].astype(np.float32), offset.shape)
        local, line = (np.einsum("nkij,nkj->nki", whiten[near], v) for v in (offset, direction))
        out[some] = _over(local, line, opacity[near], radius[near], colour[near])
    return out


def _over(
    local: np.ndarray, line: np.ndarray, opacity: np.ndarray, radius: np.ndarray, colour: np.ndarray
) -> np.ndarray:
    """(n, 3) colours of k gaussians a point laid over each other along a line.

    local, line (n, k, 3): the way from the point to each centre, and the line's direction (outwards), in each
    gaussian's own unit frame.
    """
    squared = np.maximum((line**2).sum(-1), 1e-12)
    height = (local * line).sum(-1) / squared  # of the closest approach over the point, in world units
    distance = (local**2).sum(-1)
    closest = np.maximum(distance - height**2 * squared, 0)
    reach = NEAR * radius.mean(1, keepdims=True)
    alpha = np.minimum(opacity * np.exp(-0.5 * (closest + (height / reach) ** 2)), MAX_ALPHA)
    order = np.argsort(-height, axis=1, kind="stable")
    sorted_alpha = np.take_along_axis(alpha, order, 1)
    through = np.cumprod(1 - sorted_alpha, axis=1)
    weight = np.empty_like(alpha)
    np.put_along_axis(
        weight, order, sorted_alpha * np.concatenate([np.ones_like(through[:, :1]), through[:, :-1]], 1), 1
    )
    # The fallback: opacity times density at the point itself, relative to the largest, so that it never vanishes.
    log = np.log(np.maximum(opacity, 1e-6)) - 0.5 * distance
    plain = np.exp(log - log.max(1, keepdims=True))
    weight += FLOOR * plain / plain.sum(1, keepdims=True)
    return np.einsum("nk,nkc->nc", weight, colour) / weight.sum(1, keepdims=True)


def _matrices(rotation: np.ndarray) -> np.ndarray:
    """(g, 3, 3) rotation matrices of (g, 4) quaternions (w, x, y, z)."""
    w, x, y, z = np.asarray(rotation, np.float64).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], 1)
