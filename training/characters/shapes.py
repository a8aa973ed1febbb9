# SPDX-License-Identifier: GPL-3.0-or-later
"""Closed and open meshes by formula. Each returns vertices (V, 3) float and triangles (T, 3) int, faces outwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]


def grid_triangles(rows: int, columns: int, closed: bool) -> np.ndarray:
    """Two triangles per cell of a grid of vertices in row order; closed joins the last column to the first."""
    r, c = np.mgrid[0 : rows - 1, 0 : columns if closed else columns - 1]
    a, b = r * columns + c, r * columns + (c + 1) % columns
    return np.stack([a, b, a + columns, b, b + columns, a + columns], -1).reshape(-1, 3)


def lathe(profile: Sequence[tuple[float, float]], depth: float = 1.0, sides: int = 20) -> Mesh:
    """A surface of revolution about Y. profile: (radius, height) from the bottom up; depth scales it along Z."""
    rings = np.array(profile, float)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    # Seen from above the ring runs clockwise, so that faces of a profile that rises look outwards.
    circle = np.column_stack([np.sin(angle), np.zeros(sides), depth * np.cos(angle)])
    vertices = rings[:, None, :1] * circle + rings[:, None, 1:] * [0, 1, 0]
    return vertices.reshape(-1, 3), grid_triangles(len(rings), sides, closed=True)


def tube(
    path: np.ndarray, radii: Sequence[float] | np.ndarray, flat: float = 1.0, side: np.ndarray | None = None
) -> Mesh:
    """A tube along path (n, 3); flat squeezes it along the direction `side` (default: Z)."""
    path = np.asarray(path, float)
    sides = 8
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    normal = np.tile(np.array([0, 0, 1.0]) if side is None else side / np.linalg.norm(side), (len(path), 1))
    across = np.cross(along, normal)
    weak = np.linalg.norm(across, axis=1) < 1e-3
    across[weak] = np.cross(along[weak], [1.0, 0, 0])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    normal = np.cross(across, along)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    ring = np.cos(angle) * across[:, None] + flat * np.sin(angle) * normal[:, None]
    vertices = path[:, None] + np.asarray(radii, float)[:, None, None] * ring
    ends = np.array([path[0], path[-1]])
    count = len(path) * sides
    fan = np.arange(sides)
    caps = [
        np.column_stack([np.full(sides, count), (fan + 1) % sides, fan]),
        np.column_stack([np.full(sides, count + 1), count - sides + fan, count - sides + (fan + 1) % sides]),
    ]
    return (
        np.concatenate([vertices.reshape(-1, 3), ends]),
        np.concatenate([grid_triangles(len(path), sides, closed=True), *caps]),
    )


Triple = Sequence[float] | np.ndarray


def ellipsoid(centre: Triple, radii: Triple, rows: int = 10, sides: int = 16) -> Mesh:
    tilt = np.linspace(-np.pi / 2, np.pi / 2, rows)
    vertices, triangles = lathe(list(zip(np.cos(tilt), np.sin(tilt), strict=True)), sides=sides)
    return vertices * np.asarray(radii) + np.asarray(centre), triangles


def box(centre: Triple, size: Triple, taper: float = 1.0) -> Mesh:
    """size: the three edges; taper scales the top."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    vertices = signs / 2 * np.asarray(size)
    vertices[signs[:, 1] > 0] *= [taper, 1, taper]
    triangles = np.array(
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
        + [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    )
    # Own corners per face keep the edges of a box sharp under smooth normals.
    return vertices[triangles].reshape(-1, 3) + np.asarray(centre), np.arange(36).reshape(-1, 3)


def plate(outline: np.ndarray, thickness: float) -> Mesh:
    """A flat plate in the XY plane from an outline (n, 2) that is star-shaped about its middle."""
    n = len(outline)
    flat = np.column_stack([outline, np.zeros(n)])
    middle = np.append(outline.mean(0), 0)[None]
    half = np.array([0, 0, thickness / 2])
    vertices = np.concatenate([flat + half, flat - half, middle + half, middle - half])
    k = np.arange(n)
    after = (k + 1) % n
    front = np.column_stack([k, after, np.full(n, 2 * n)])
    back = np.column_stack([after + n, k + n, np.full(n, 2 * n + 1)])
    rim = np.concatenate([np.column_stack([k, k + n, after]), np.column_stack([after, k + n, after + n])])
    return vertices, np.concatenate([front, back, rim])


def merged(meshes: Iterable[Mesh]) -> Mesh:
    vertices, triangles, offset = [], [], 0
    for v, t in meshes:
        vertices.append(v)
        triangles.append(t + offset)
        offset += len(v)
    return np.concatenate(vertices), np.concatenate(triangles)


def turned(mesh: Mesh, turn: np.ndarray, shift: np.ndarray | None = None) -> Mesh:
    return mesh[0] @ turn.T + (0 if shift is None else shift), mesh[1]


def rotation(axis: Sequence[float], degrees: float) -> np.ndarray:
    """(3, 3) turn about an axis through the origin (Rodrigues)."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    angle = np.radians(degrees)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def aligned(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(3, 3) shortest turn that brings one direction to another."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    axis, cosine = np.cross(a, b), float(a @ b)
    if cosine < -0.9999:
        return rotation([1, 0, 0] if abs(a[0]) < 0.9 else [0, 1, 0], 180)
    if np.linalg.norm(axis) < 1e-9:
        return np.eye(3)
    return rotation(axis.tolist(), float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
