# SPDX-License-Identifier: GPL-3.0-or-later
"""A dense mesh made lighter by merging the ends of its short edges, many at once, so that the exact simplification
that follows starts from a mesh of manageable size (multiphase simplification: Garland and Shaffer 2002). Pure.
"""

from __future__ import annotations

import numpy as np

from .arrays import SkinnedMesh

ROUNDS = 40
NEAR_ENOUGH = 1.02
SHARE = 0.35  # of the edges, the shortest, that a round may merge
BENT = 0.3  # least cosine between the normals of a triangle before and after
CHECKS = 4  # of a round's merges, those that bend a triangle being taken back


def thin(data: SkinnedMesh, most: int) -> None:
    """About `most` triangles at most, in place; UVs and colours go on where they were on the surface. Vertices that
    nothing but their place belongs to: the mesh has neither weights nor shape keys.
    """
    refused = np.zeros(len(data.vertices), np.int64)  # how often a merge with each vertex bent a triangle too much
    for _ in range(ROUNDS):
        before = len(data.triangles)
        if before <= NEAR_ENOUGH * most:
            return
        place, moved = _merges(data.vertices, data.triangles, before - most, refused)
        refused = refused[_apply(data, place, moved)]


def _merges(
    vertices: np.ndarray, triangles: np.ndarray, surplus: int, refused: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(V,) the vertex that each becomes, and (V, 3) where they lie then; surplus: triangles too many. Counts in refused
    (V,), whose vertices come later.
    """
    edges, users = _edges(triangles, len(vertices))
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    length *= 2.0 ** refused[edges].sum(1)
    border = np.zeros(len(vertices), bool)
    border[edges[users != 2]] = True
    free = ~border[edges].all(1) | (users != 2)
    order = np.argsort(np.where(free, length, np.inf), kind="stable")
    order = order[: min(int(free.sum()), max(int(SHARE * len(order)), 1))]
    a, b = edges[order].T
    rank = np.arange(len(order))
    first = np.full(len(vertices), len(order))
    for ends in (a, b):
        np.minimum.at(first, ends, rank)
    chosen = np.flatnonzero((first[a] == rank) & (first[b] == rank))[: max(surplus // 2, 1)]
    a, b = a[chosen], b[chosen]
    a, b = np.where(border[b] & ~border[a], b, a), np.where(border[b] & ~border[a], a, b)  # a border stays in place
    to = np.where((border[a] & ~border[b])[:, None], vertices[a], (vertices[a] + vertices[b]) / 2)
    return _without_folds(vertices, triangles, a, b, to, refused)


def _without_folds(
    vertices: np.ndarray, triangles: np.ndarray, a: np.ndarray, b: np.ndarray, to: np.ndarray, refused: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The merges of a and b (n,) at `to` (n, 3) but for those that would fold the surface."""
    normals = _normals(vertices, triangles)
    good = np.ones(len(a), bool)
    for last in reversed(range(CHECKS)):
        place, moved = np.arange(len(vertices)), vertices.copy()
        place[b[good]] = a[good]
        moved[a[good]] = moved[b[good]] = to[good]
        if not last:
            break
        corners = place[triangles]
        kept = (corners != np.roll(corners, 1, axis=1)).all(1)
        bad = np.zeros(len(vertices), bool)
        bent = (normals[kept] * _normals(moved, triangles[kept])).sum(1) < BENT
        bad[triangles[kept][bent]] = True
        wrong = good & (bad[a] | bad[b])
        if not wrong.any():
            break
        good &= ~wrong
    refused[a[~good]] += 1
    refused[b[~good]] += 1
    return place, moved


def _edges(triangles: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2) edges and (E,) how many triangles have each."""
    a, b = triangles.ravel().astype(np.int64), np.roll(triangles, -1, axis=1).ravel()
    keys = np.minimum(a, b) * count + np.maximum(a, b)
    keys, users = np.unique(keys, return_counts=True)
    return np.column_stack([keys // count, keys % count]), users


def _normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    return normal / np.maximum(np.linalg.norm(normal, axis=1), 1e-30)[:, None]


def _apply(data: SkinnedMesh, place: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Returns the numbers of the vertices that are left."""
    corners = place[data.triangles]
    kept = np.flatnonzero((corners != np.roll(corners, 1, axis=1)).all(1))
    triangles = data.triangles[kept]
    changed = np.flatnonzero((moved[triangles] != data.vertices[triangles]).any((1, 2)))
    shares = _shares(data.vertices[triangles[changed]], moved[triangles[changed]])

    def carried(values: np.ndarray) -> np.ndarray:
        out = values[kept]
        out[changed] = np.einsum("tij,tjc->tic", shares, out[changed]).astype(values.dtype)
        return out

    data.corner_uvs = carried(data.corner_uvs)
    for name, values in data.corner_layers.items():
        data.corner_layers[name] = np.clip(carried(values), 0, 1) if values.shape[2] == 4 else carried(values)
    data.material_index = data.material_index[kept]
    used, corners = np.unique(corners[kept], return_inverse=True)
    data.triangles = corners.reshape(-1, 3).astype(np.int32)
    data.vertices = moved[used]
    return used


def _shares(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(n, 3, 3) of corners before (n, 3, 3) in each of the corners after, in the triangle's plane."""
    a, u, v = before[:, 0], before[:, 1] - before[:, 0], before[:, 2] - before[:, 0]
    w = after - a[:, None]
    uu, uv, vv = (u * u).sum(1)[:, None], (u * v).sum(1)[:, None], (v * v).sum(1)[:, None]
    wu, wv = np.einsum("tic,tc->ti", w, u), np.einsum("tic,tc->ti", w, v)
    area = np.maximum(uu * vv - uv**2, 1e-30)
    second, third = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    shares = np.stack([1 - second - third, second, third], 2)
    sound = (np.abs(shares) < 3).all((1, 2))  # a sliver's plane tells nothing
    return np.where(sound[:, None, None], shares, np.eye(3))
