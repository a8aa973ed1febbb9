# SPDX-License-Identifier: GPL-3.0-or-later
"""The optional mask by distances inside the body, which keeps weights from crossing gaps
(shared/reference/skintokens.md 9).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from ..mesh.voxels import solid_voxels
from ..nn.nearness import clean, weights_of
from ..nn.pulse import beat

REACH = 1.74  # cells; a diagonal neighbour is a little nearer
AROUND = 27  # cells, and vertices, that a cell may be joined to, itself included
CELL_FACTOR = 3.0  # what a step from cell to cell costs, in its length
COINCIDENT = 1.001e-5
ROWS = 96  # cells along the cube
JOINTS_AT_ONCE = 4


def geodesic_weights(
    vertices: np.ndarray,
    faces: np.ndarray,
    cells: np.ndarray,
    size: float,
    joints: np.ndarray,
) -> np.ndarray:
    """vertices (v, 3), faces (f, 3), cells (m, 3) centres `size` apart, joints (j, 3) to (v, j) fp64, rows sum to 1."""
    count = len(vertices)
    nodes = np.concatenate([vertices, cells])
    tree = cKDTree(vertices)
    links = [
        (faces[:, a], faces[:, b], _length(vertices, faces[:, a], faces[:, b])) for a, b in ((0, 1), (1, 2), (2, 0))
    ]
    if len(cells):
        start, end, length = _near(cKDTree(cells), cells, range(2, AROUND + 1), REACH * size)
        links.append((start + count, end + count, CELL_FACTOR * length))
        start, end, length = _near(tree, cells, range(1, AROUND + 1), REACH * size)
        links.append((start + count, end, length))
    links.append(_near(tree, vertices, range(2, 5), COINCIDENT))
    start, end, length = (np.concatenate(part) for part in zip(*links, strict=True))
    # Entries of the same direction add up, as in the original.
    graph = csr_matrix((length, (start, end)), shape=(len(nodes),) * 2)
    source = cKDTree(nodes).query(joints)[1]
    distance = np.empty((len(joints), count))
    for first in range(0, len(joints), JOINTS_AT_ONCE):
        some = slice(first, first + JOINTS_AT_ONCE)
        distance[some] = dijkstra(graph, directed=False, indices=source[some])[:, :count]
        beat()
    return weights_of(clean(distance, vertices, joints))


def _length(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[start] - points[end], axis=1)


def _near(tree: cKDTree, points: np.ndarray, which: range, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Links from points to their neighbours number `which` in the tree, nearer than `reach`, not in the same place."""
    distance, other = tree.query(points, which)
    near = (distance > 0) & (distance < reach)
    return np.nonzero(near)[0], other[near], distance[near]


def masked(weights: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Weights (v, j) times the mask, rows of sum 1; a row that the mask empties keeps its weights."""
    product = weights * near
    total = product.sum(1, keepdims=True)
    return np.divide(product, total, out=weights.astype(np.float64), where=total > 0)


def mask_of(vertices: np.ndarray, faces: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(v, j) the mask of a mesh and joints in the cube."""
    size = np.ptp(vertices, axis=0)
    grid = solid_voxels(vertices, faces, max(int(np.ceil(ROWS / 2 * max(size[1], 0.25 * size.max()))), 4))
    cells = grid.centres(np.argwhere(grid.solid))
    return geodesic_weights(vertices, faces, cells, grid.cell, joints)
