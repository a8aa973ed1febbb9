# SPDX-License-Identifier: GPL-3.0-or-later
"""Cleaning a dense extracted surface: walls nobody can see, floating crumbs and holes.

A network that only describes a thin layer of cells around the surface gives a body two walls, one outside and one
around the cavity. The inner one costs half the faces, and no picture ever showed it; it is found by flooding the
empty space from outside.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

CRUMB = 0.002  # of the whole area: a separate piece below this is dropped
CELLS = 160  # grid cells over the longest side when cavities are looked for
CAVITY = 30  # cells: a closed space smaller than this is a fold of the surface
REACH = 5  # cells that are walked from a face to the space in front of it
LEAKS = (1, 2)  # cells by which surfaces are thickened: the first finds narrow cavities, the second closes wider leaks
HOLE = 0.7  # of the longest side: an opening with a longer rim is meant to be open


def clean(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3), (T, 3) with normals outwards -> the visible surface, without crumbs, with small holes closed; float64,
    int64.
    """
    vertices, triangles = compact(np.asarray(vertices, np.float64), np.asarray(triangles, np.int64))
    if not len(triangles):
        return vertices, triangles
    triangles = triangles[~hidden(vertices, triangles)]
    triangles = triangles[~crumbs(vertices, triangles)]
    return compact(*fill_holes(vertices, triangles))


def compact(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without degenerate and repeated triangles and unused or non-finite vertices."""
    triangles = triangles[np.isfinite(vertices).all(1)[triangles].all(1)]
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    triangles = triangles[areas(vertices, triangles) > 0]
    _, first = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    used, renamed = np.unique(triangles[np.sort(first)], return_inverse=True)
    return vertices[used], renamed.reshape(-1, 3)


def areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    return np.linalg.norm(_crosses(vertices, triangles), axis=1) / 2


def _crosses(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def pieces(count: int, triangles: np.ndarray) -> np.ndarray:
    """(T,) which of the pieces, connected by shared vertices, each triangle belongs to. `count` is the number of
    vertices.
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    label = connected_components(graph, directed=False)[1][triangles[:, 0]]
    return np.unique(label, return_inverse=True)[1]


def crumbs(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) bool: triangles of separate pieces with less than CRUMB of the area. The largest piece always stays."""
    label = pieces(len(vertices), triangles)
    size = np.bincount(label, areas(vertices, triangles))
    return (size < min(CRUMB * size.sum(), size.max()))[label]


def hidden(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) bool: triangles that face a closed cavity. Openings narrower than about a twentieth of the longest side
    count as closed.

    Decided by patch, never by single triangle: what is removed is a whole piece or a connected part of one larger
    than a crumb.
    """
    front = _space_in_front(vertices, triangles)
    area = areas(vertices, triangles)
    label = pieces(len(vertices), triangles)
    inner, known = (np.bincount(label, area * mask) for mask in (front < 0, front != 0))
    whole = (inner > 0.9 * np.maximum(known, 1e-30)) & (known > 0)
    out = whole[label]
    mixed = np.flatnonzero((front < 0) & ~out)
    if len(mixed):  # an inner wall that hangs on the outer one at a leak
        part = pieces(len(vertices), triangles[mixed])
        out[mixed] = (np.bincount(part, area[mixed]) >= CRUMB * area.sum())[part]
    return np.zeros_like(out) if out.all() else out


def _space_in_front(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) 1 where the space before a triangle is connected to the outside, -1 where it is a closed cavity, 0 where
    nobody can tell.
    """
    low = vertices.min(0)
    cell = max(float((vertices.max(0) - low).max()), 1e-9) / CELLS
    corners = (vertices[triangles] - low) / cell + REACH + 2  # in cells, with empty ones around
    shape = np.ceil(corners.max((0, 1))).astype(int) + REACH + 3
    cross = _crosses(vertices, triangles)
    normal = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-30)
    surface = _voxels(corners, shape)
    centres = corners.mean(1)
    spaces = [_walk(centres, normal, surface, *_spaces(surface, leak)) for leak in LEAKS]
    return np.where(np.min(spaces, axis=0) < 0, -1, np.max(spaces, axis=0))


def _voxels(corners: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """The cells that (T, 3, 3) triangles, in cells, pass through; without pores as long as no edge is longer than
    about 6 cells.
    """
    surface = np.zeros(shape, bool)
    longest = float(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max())
    steps = int(np.clip(np.ceil(longest / 0.8), 1, 8))
    for i in range(steps + 1):
        for j in range(steps + 1 - i):
            at = (corners * (np.array([i, j, steps - i - j]) / steps)[:, None]).sum(1)
            surface[tuple(np.floor(at).astype(int).T)] = True
    return surface


def _spaces(surface: np.ndarray, leak: int) -> tuple[np.ndarray, np.ndarray]:
    """The empty spaces that openings under 2 * `leak` cells do not connect: labels of the cells, and each label's
    kind as above.
    """
    label, count = ndimage.label(~ndimage.binary_dilation(surface, np.ones((3, 3, 3), bool), iterations=leak))
    kind = np.full(count + 1, -1, np.int8)
    kind[np.bincount(label.ravel(), minlength=count + 1) < CAVITY] = 0
    kind[label[0, 0, 0]], kind[0] = 1, 0
    return label, kind


def _walk(
    centres: np.ndarray, normal: np.ndarray, surface: np.ndarray, label: np.ndarray, kind: np.ndarray
) -> np.ndarray:
    """(T,) the kind of the first space that each normal reaches."""
    out, undecided, left = np.zeros(len(centres), np.int8), np.ones(len(centres), bool), np.zeros(len(centres), bool)
    for step in np.arange(1, 2 * REACH + 1) / 2:
        some = np.flatnonzero(undecided)
        at = tuple(np.floor(centres[some] + normal[some] * step).astype(int).T)
        out[some] = kind[label[at]]
        # Behind a second surface lies another space than the one in front.
        blocked = surface[at] & left[some]
        left[some] |= ~surface[at]
        undecided[some] = (out[some] == 0) & ~blocked
    return out


def fill_holes(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Openings whose rim is at most HOLE of the longest side get a fan around their middle, wound like their
    surroundings.
    """
    limit = HOLE * float((vertices.max(0) - vertices.min(0)).max())
    middles: list[np.ndarray] = []
    fans: list[np.ndarray] = []
    for rim in rims(triangles):
        points = vertices[rim]
        if np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1).sum() > limit:
            continue
        ahead = np.roll(rim, -1)
        if len(rim) == 3:
            fans.append(rim[None])
        else:
            fans.append(np.column_stack([rim, ahead, np.full(len(rim), len(vertices) + len(middles))]))
            middles.append(points.mean(0))
    if not fans:
        return vertices, triangles
    return np.concatenate([vertices, np.reshape(middles, (-1, 3))]), np.concatenate([triangles, *fans])


def rims(triangles: np.ndarray) -> list[np.ndarray]:
    """The closed loops of edges that have a triangle on one side only, in the direction a filling triangle
    would have.
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    count = int(triangles.max(initial=0)) + 1
    there = edges[:, 0] * count + edges[:, 1]
    back = edges[:, 1] * count + edges[:, 0]
    follow: dict[int, list[int]] = defaultdict(list)
    for a, b in edges[~np.isin(there, back)].tolist():
        follow[b].append(a)
    loops = []
    for start in sorted(follow):
        path, place = [start], {start: 0}
        while follow[path[-1]]:
            point = follow[path[-1]].pop()
            if point in place:  # a loop is closed; where two touch in a point, the rest of the path goes on from there
                begin = place[point]
                loops.append(np.array(path[begin:], np.int64))
                for gone in path[begin + 1 :]:
                    del place[gone]
                del path[begin + 1 :]
            else:
                place[point] = len(path)
                path.append(point)
    return [loop for loop in loops if len(loop) >= 3]
