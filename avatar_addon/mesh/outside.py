# SPDX-License-Identifier: GPL-3.0-or-later
"""Which side of a surface is seen from outside, and which triangles look inwards. Pure.

A volume's sign tells it of closed bodies only. So the surface is looked at as a viewer does: from directions all
around, points spread over it are put into a grid of pixels, and the nearest one in each is what is seen there.
"""

from __future__ import annotations

import numpy as np

from .islands import island_of

WELD = 1e-5  # of the model's size: files split a vertex at every hard edge and seam
POINTS, GRID = 60_000, 128  # spread over the surface; pixels along twice the model's size
BEHIND = 0.06  # of the model's size that a point may lie behind the nearest one beside it
GRAZING = 0.2  # cosine to the view below which a side cannot be told
BACKS = 0.5  # of the seen points of a patch that show their back: more, and it is turned
OPEN_BACKS = 0.75  # the same of a patch with an open edge, whose back is seen through the opening
OPEN = 0.02  # of a patch's edges that have no neighbour: more, and it is open
FEWEST = 3  # points that have to be seen to judge a patch


def welded(vertices: np.ndarray) -> np.ndarray:
    """(V,) the lowest number of a vertex at the same place."""
    if not len(vertices):
        return np.zeros(0, np.int64)
    size = float(np.ptp(vertices, axis=0).max()) or 1.0
    _, first, place = np.unique(np.round(vertices / (WELD * size)), axis=0, return_index=True, return_inverse=True)
    return first[place.reshape(-1)]


def patches(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T,) the patch of each triangle: those that hang together by edges and look to the same side; (P,) the share of
    its edges that no other triangle has.
    """
    corners = welded(vertices)[triangles].astype(np.int64)
    sound = (corners != np.roll(corners, -1, axis=1)).all(1)  # one without area would join both sides
    start, end = corners[sound].reshape(-1), np.roll(corners[sound], -1, axis=1).reshape(-1)
    owner = np.repeat(np.flatnonzero(sound), 3)
    along, against = start * len(vertices) + end, end * len(vertices) + start
    order = np.argsort(along, kind="stable")
    place = np.minimum(np.searchsorted(along[order], against), max(len(order) - 1, 0))
    met = along[order][place] == against
    pairs = np.column_stack([owner[met], owner[order][place[met]]])
    _, patch = np.unique(island_of(np.column_stack([pairs, pairs[:, 1]]), len(triangles)), return_inverse=True)
    _, edge, users = np.unique(np.minimum(along, against), return_inverse=True, return_counts=True)
    edges = np.bincount(patch[owner], minlength=patch.max() + 1)
    alone = np.bincount(patch[owner[users[edge] == 1]], minlength=patch.max() + 1)
    return patch, alone / np.maximum(edges, 1)


def seen_sides(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T,) how many times a point of each triangle is seen from outside with its front, and with its back."""
    fronts, backs = np.zeros(len(triangles)), np.zeros(len(triangles))
    a, b, c = np.moveaxis(vertices[triangles].astype(np.float64), 1, 0)
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1)
    if not area.sum() > 0:
        return fronts, backs
    normal /= np.maximum(area, 1e-30)[:, None]
    owner = np.searchsorted(np.cumsum(area / area.sum()), (np.arange(POINTS) + 0.5) / POINTS)
    owner = np.minimum(np.concatenate([owner, np.flatnonzero(area > 0)]), len(triangles) - 1)
    random = np.random.default_rng(0)
    u, v = random.random((2, len(owner), 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points = a[owner] + u * (b - a)[owner] + v * (c - a)[owner]
    points -= (points.min(0) + points.max(0)) / 2
    points /= float(np.ptp(points, axis=0).max()) or 1.0
    for way in _directions():
        side = np.cross(way, (0.0, 0.0, 1.0) if abs(way[2]) < 0.9 else (0.0, 1.0, 0.0))
        side /= np.linalg.norm(side)
        depth = -(points @ way)
        flat = points @ np.column_stack([side, np.cross(way, side)])
        column, row = (np.floor((flat + 1) * (GRID / 2)).astype(np.int64) + 1).T
        pixel = row * (GRID + 2) + column
        nearest = np.full((GRID + 2) ** 2, np.inf)
        np.minimum.at(nearest, pixel, depth)
        first = np.flatnonzero(depth == nearest[pixel])
        first = first[np.unique(pixel[first], return_index=True)[1]]
        around = [nearest[pixel[first] + y * (GRID + 2) + x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
        first = first[depth[first] < np.min(around, axis=0) + BEHIND]  # else seen through a gap between the points
        towards = normal[owner[first]] @ way
        fronts += np.bincount(owner[first[towards > GRAZING]], minlength=len(triangles))
        backs += np.bincount(owner[first[towards < -GRAZING]], minlength=len(triangles))
    return fronts, backs


def inward_share(vertices: np.ndarray, triangles: np.ndarray, single: np.ndarray | None = None) -> float:
    """0 to 1: of the surface that is seen from outside, how much shows its back. single: (T,) bool, triangles that
    have one side only; None: all.
    """
    fronts, backs = seen_sides(vertices, triangles)
    if single is not None:
        backs = backs * single
    return float(backs.sum() / max(fronts.sum() + backs.sum(), 1))


def inside_out(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) bool: triangles that look into their body, found patch by patch by the side that is seen from outside.

    An open patch is turned only where its back is seen clearly more; what nobody sees goes with the whole.
    """
    if not len(triangles):
        return np.zeros(0, bool)
    patch, open_edges = patches(vertices, triangles)
    fronts, backs = (np.bincount(patch, seen, minlength=len(open_edges)) for seen in seen_sides(vertices, triangles))
    seen = fronts + backs
    share = backs / np.maximum(seen, 1)
    turned = (seen >= FEWEST) & (share > np.where(open_edges > OPEN, OPEN_BACKS, BACKS))
    if not turned.any():
        return turned[patch]
    judged = seen >= FEWEST
    if backs[judged].sum() > OPEN_BACKS * seen[judged].sum():
        turned |= ~judged
    return turned[patch]


def _directions() -> np.ndarray:
    """(26, 3) unit vectors all around: faces, edges and corners of a cube."""
    grid = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if x or y or z], float)
    return grid / np.linalg.norm(grid, axis=1, keepdims=True)
