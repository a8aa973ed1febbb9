# SPDX-License-Identifier: GPL-3.0-or-later
"""The outer shell of a surface without a common winding, with bodies inside the body: what touches the outside, wound
outwards.

Space is flooded from outside. A point of the flooded space next to the surface sees the point of the surface that is
closest to it: nothing can lie between the two. What is seen like that is outer surface, and the side it is seen from
is its outer side. What is not seen is decided patch by patch, a patch being what hangs together by edges with exactly
two triangles.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.spatial import cKDTree

from .clean import areas, fill_holes
from .closest import Surface
from .voxels import surface_points

CELLS = 256  # grid cells over the longest side
SEEN = 3.0  # cells: a triangle this close to a seen point of its patch, facing the same way, is seen as well
SEEN_SHARE = 0.05  # a patch of which less is seen is no outer surface: a leak let something in
# A hidden part of an outer patch larger than this share of its seen area is an inner wall that hangs on the outer one
# by a leak; a smaller one is a pocket of the skin, such as the mouth behind closed lips, and stays.
POCKET = 0.2


def outer_shell(vertices: np.ndarray, triangles: np.ndarray, cells: int = CELLS) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3), (T, 3) without degenerate or repeated triangles -> the outer surface, wound outwards, its holes closed
    (those that `clean.fill_holes` closes). Gaps of two cells (`cells` over the longest side) and less let nothing in.
    """
    if not len(triangles):
        return vertices, triangles
    # Holes first: what lies behind one that is closed in the end is not seen through it.
    vertices, triangles = fill_holes(vertices, agreeing(triangles))
    sheets = Sheets(triangles)
    triangles = np.where(sheets.flip[:, None], triangles[:, ::-1], triangles)
    normal = _unit_normals(vertices, triangles)
    low, cell = vertices.min(0), max(float(np.ptp(vertices, axis=0).max()), 1e-9) / cells
    points = _outside_points(vertices, triangles, low, cell)
    seen = Surface(vertices, triangles).nearest(points)
    side = np.sign(np.einsum("nc,nc->n", points - seen.point, normal[seen.triangle]))
    patch, count = sheets.patch, sheets.patch.max() + 1

    # Each patch is turned so that it is mostly seen from its outer side.
    votes = np.bincount(patch[seen.triangle], side, count)
    triangles = np.where((votes < 0)[patch, None], triangles[:, ::-1], triangles)
    normal = np.where((votes < 0)[patch, None], -normal, normal)
    side = np.where((votes < 0)[patch[seen.triangle]], -side, side)

    outer = side > 0
    area = areas(vertices, triangles)
    near = _near_seen(
        vertices[triangles].mean(1),
        normal,
        patch,
        seen.point[outer],
        normal[seen.triangle[outer]],
        patch[seen.triangle[outer]],
        SEEN * cell,
    )
    near[seen.triangle[outer]] = True
    seen_area, whole = (np.bincount(patch, area * mask, count) for mask in (near, np.ones(len(area))))
    kept = (seen_area > SEEN_SHARE * whole)[patch]
    kept &= ~_inner_walls(sheets, near, area, seen_area)
    kept |= _needed(sheets, kept, whole, seen_area.sum())
    return vertices, triangles[kept]


def agreeing(triangles: np.ndarray) -> np.ndarray:
    """(T, 3) wound so that neighbours agree wherever they can; which side is out stays open."""
    return np.where(Sheets(triangles).flip[:, None], triangles[:, ::-1], triangles)


class Sheets:
    """How triangles hang together: neighbour (T, 3) across each edge with two triangles, -1 elsewhere; patch (T,);
    flip (T,) which triangles are turned so that neighbours agree wherever they can.
    """

    def __init__(self, triangles: np.ndarray) -> None:
        ends = np.stack([triangles, np.roll(triangles, -1, axis=1)], -1).reshape(-1, 2)
        forward = ends[:, 0] < ends[:, 1]
        keys = ends.min(1).astype(np.int64) * (int(triangles.max()) + 1) + ends.max(1)
        _, edge, self.edge_count = np.unique(keys, return_inverse=True, return_counts=True)
        self.edge = edge.reshape(-1, 3)
        order = np.argsort(edge, kind="stable")
        pairs = order[(self.edge_count == 2)[edge[order]]].reshape(-1, 2)  # corners 3t + i of both triangles
        neighbour = np.full(len(edge), -1, np.int64)
        turned = np.zeros(len(edge), bool)
        for here, there in ((0, 1), (1, 0)):
            neighbour[pairs[:, here]] = pairs[:, there] // 3
            turned[pairs[:, here]] = forward[pairs[:, 0]] == forward[pairs[:, 1]]
        self.neighbour = neighbour.reshape(-1, 3)
        count = len(triangles)
        graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0] // 3, pairs[:, 1] // 3)), shape=(count, count))
        self.patch = connected_components(graph, directed=False)[1]
        self.flip = self._flips(pairs // 3, turned.reshape(-1, 3))

    def _flips(self, pairs: np.ndarray, turned: np.ndarray) -> np.ndarray:
        """Along a tree over each patch, so that a spot where no winding agrees does not spoil the rest."""
        count = len(self.neighbour)
        _, roots = np.unique(self.patch, return_index=True)
        rows = np.concatenate([pairs[:, 0], np.full(len(roots), count)])
        columns = np.concatenate([pairs[:, 1], roots])
        graph = coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(count + 1, count + 1)).tocsr()
        before = breadth_first_order(graph, count, directed=False)[1][:count]
        before = np.where(before == count, np.arange(count), before)
        across = self.neighbour == before[:, None]
        flip = turned[np.arange(count), across.argmax(1)] & across.any(1)
        while True:  # each round looks twice as far towards the root
            further = before[before]
            flip = flip ^ np.where(before == np.arange(count), False, flip[before])
            if (further == before).all():
                return flip
            before = further


def _unit_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    return cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-300)


def _outside_points(vertices: np.ndarray, triangles: np.ndarray, low: np.ndarray, cell: float) -> np.ndarray:
    """(n, 3) centres of the cells of outer space that lie next to the surface."""
    pad = 3
    shape = np.ceil((vertices.max(0) - low) / cell).astype(int) + 2 * pad + 1
    surface = np.zeros(shape, bool)
    for points in surface_points(vertices, triangles, 0.5 * cell):
        surface[tuple((np.floor((points - low) / cell).astype(int) + pad).T)] = True
    # Thickened by a cell, so that small leaks are closed; the outside is then grown back by what that took from it.
    thick = _grown(surface)
    label, _ = ndimage.label(~thick)
    outside = _grown(label == label[0, 0, 0]) & ~surface
    border = outside & thick
    return (np.argwhere(border) - pad + 0.5) * cell + low


def _grown(cells: np.ndarray) -> np.ndarray:
    """With all 26 neighbours of every cell."""
    for axis in range(3):
        out = cells.copy()
        ahead, behind = (
            tuple(part if i == axis else slice(None) for i in range(3)) for part in (slice(1, None), slice(None, -1))
        )
        out[ahead] |= cells[behind]
        out[behind] |= cells[ahead]
        cells = out
    return cells


def _near_seen(
    centres: np.ndarray,
    normal: np.ndarray,
    patch: np.ndarray,
    points: np.ndarray,
    point_normal: np.ndarray,
    point_patch: np.ndarray,
    reach: float,
) -> np.ndarray:
    """(T,) whether one of the seen points around a triangle is of its patch and faces the same way."""
    out = np.zeros(len(centres), bool)
    if not len(points):
        return out
    k = min(8, len(points))
    tree = cKDTree(points)
    for first in range(0, len(centres), 1 << 18):
        some = slice(first, first + (1 << 18))
        distance, near = (part.reshape(-1, k) for part in tree.query(centres[some], k=k, workers=-1))
        fits = (distance <= reach) & (point_patch[near] == patch[some, None])
        out[some] = (fits & (np.einsum("nkc,nc->nk", point_normal[near], normal[some]) > 0)).any(1)
    return out


def _inner_walls(sheets: Sheets, near: np.ndarray, area: np.ndarray, seen_area: np.ndarray) -> np.ndarray:
    """(T,) hidden parts of patches that are too large to be pockets."""
    pairs = [(np.flatnonzero(sheets.neighbour[:, i] >= 0), i) for i in range(3)]
    a = np.concatenate([rows for rows, _ in pairs])
    b = np.concatenate([sheets.neighbour[rows, i] for rows, i in pairs])
    inside = ~near[a] & ~near[b]
    count = len(near)
    graph = coo_matrix((np.ones(int(inside.sum()), bool), (a[inside], b[inside])), shape=(count, count))
    part = connected_components(graph, directed=False)[1]
    size = np.bincount(part, area * ~near)
    return ~near & (size[part] > POCKET * seen_area[sheets.patch])


def _needed(sheets: Sheets, kept: np.ndarray, whole: np.ndarray, total: float) -> np.ndarray:
    """(T,) small hidden patches without which the kept surface would have a hole: most of their edges to it have an odd
    number of kept triangles.
    """
    held = np.bincount(sheets.edge[kept].ravel(), minlength=len(sheets.edge_count))
    shared = (sheets.edge_count[sheets.edge] > 2) & ~kept[:, None] & (held[sheets.edge] > 0)
    odd = shared & (held[sheets.edge] % 2 == 1)
    count = len(whole)
    holes, meetings = (np.bincount(sheets.patch, mask.sum(1), count) for mask in (odd, shared))
    needed = (2 * holes > meetings) & (whole < POCKET * total)
    return needed[sheets.patch] & ~kept
