# SPDX-License-Identifier: GPL-3.0-or-later
"""The geodesic feature: how near each joint is to each vertex along surface and inside, as weights
(shared/reference/unirig.md 7.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from ..nn.nearness import clean, weights_of
from .shortest_paths import Graph, Search, shortest_paths


@dataclass(frozen=True)
class GeodesicSettings:
    """The original's parameters. grid: cells a side of the cube; cell_weight: what a step from cell to cell costs, in
    its length; neighbours: cells beside a cell that are looked at; nearest: vertices that a cell may be joined to.
    """

    grid: int = 196
    alpha: float = 0.5
    link_distance: float = 1e-5
    neighbours: int = 6
    nearest: int = 1
    cell_weight: float = 3.0
    mode: Literal["square", "exp"] = "square"


SHIPPED = GeodesicSettings()
SLACK = 1.001  # how much farther than nominal a neighbour may lie


def geodesic_weights(
    vertices: np.ndarray,
    faces: np.ndarray,
    cells: np.ndarray,
    joints: np.ndarray,
    settings: GeodesicSettings = SHIPPED,
    progress: Callable[[float], None] = lambda fraction: None,
    search: Search | None = None,
) -> np.ndarray:
    """vertices (v, 3), faces (f, 3), cells (m, 3) centres, joints (j, 3), all in the cube -> (v, j) f64, rows
    sum to 1.
    """
    vertices, cells, joints = (np.asarray(a, np.float64) for a in (vertices, cells, joints))
    graph = make_graph(vertices, faces, cells, settings)
    distance = shortest_paths(graph, nearest_nodes(np.concatenate([vertices, cells]), joints), progress, search)
    return weights_of(clean(distance, vertices, joints), settings.alpha, settings.mode)


def nearest_nodes(nodes: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(j,) the node nearest to each joint; of several the one that scipy's balanced tree names, as in the original."""
    distance, index = cKDTree(nodes, balanced_tree=False, compact_nodes=False).query(
        joints, 2
    )  # built in a third of the time
    if (distance[:, 1] - distance[:, 0] > 1e-9).all():
        return index[:, 0]
    return cKDTree(nodes).query(joints)[1]


def make_graph(vertices: np.ndarray, faces: np.ndarray, cells: np.ndarray, settings: GeodesicSettings) -> Graph:
    size = 2 / settings.grid
    tree = cKDTree(vertices)
    start, end, length = mesh_edges(vertices, faces)
    links = linked_vertices(vertices, tree, settings.link_distance)
    start, end, length = (np.concatenate(parts) for parts in zip((start, end, length), links, strict=True))
    # Entries of the same direction add up, as in the original.
    surface = csr_matrix((length, (start, end)), shape=(len(vertices),) * 2)
    distance, nearest = tree.query(cells, range(1, settings.nearest + 1), distance_upper_bound=SLACK * size)
    near = (distance > 0) & (distance < SLACK * size)
    neighbours, mutual = cell_neighbours(cells, settings)
    return Graph(
        surface, neighbours, mutual, settings.cell_weight * size, np.nonzero(near)[0], nearest[near], distance[near]
    )


def mesh_edges(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, end and length of the three directed edges of every triangle."""
    start, end = faces.T.reshape(-1), faces[:, [1, 2, 0]].T.reshape(-1)
    return start, end, np.linalg.norm(vertices[start] - vertices[end], axis=1)


def linked_vertices(vertices: np.ndarray, tree: cKDTree, limit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each vertex's three nearest others those within the limit, but not in the very same place."""
    distance, other = tree.query(vertices, 4, distance_upper_bound=SLACK * limit)
    distance, other = distance[:, 1:], other[:, 1:]
    near = (distance > 0) & (distance < SLACK * limit)
    return np.repeat(np.arange(len(vertices)), 3)[near.reshape(-1)], other[near], distance[near]


def cell_neighbours(cells: np.ndarray, settings: GeodesicSettings) -> tuple[np.ndarray, bool]:
    """(m, k) the cells beside each cell, -1 where there is none; and whether every cell is its neighbours'
    neighbour.
    """
    grid = settings.grid
    at = np.rint((cells + 1) * (grid / 2) - 0.5).astype(np.int64) + 1
    place = np.full((grid + 2) ** 3, -1, np.int64)
    flat = (at[:, 0] * (grid + 2) + at[:, 1]) * (grid + 2) + at[:, 2]
    place[flat] = np.arange(len(cells))
    if settings.neighbours >= 6 and (place[flat] == np.arange(len(cells))).all():
        steps = np.array([(grid + 2) ** 2, grid + 2, 1])
        return np.stack([place[flat + step] for step in (*steps, *-steps)], 1), True
    # Fewer than lie beside a cell, or several cells in one place: who is among the nearest is then the search tree's
    # answer.
    distance, other = cKDTree(cells).query(cells, range(2, settings.neighbours + 2))
    return np.where((distance > 0) & (distance < SLACK * 2 / grid), other, -1), False
