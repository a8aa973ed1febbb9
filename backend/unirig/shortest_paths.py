# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra


@dataclass
class Graph:
    """Vertices of a mesh, and cells of a grid inside it.

    surface (v, v): directed lengths, of which the smaller counts where both directions are present. neighbours (m, 6): rows of cells beside
    each cell or -1, all `step` away. attached, vertex, length (a,): cells joined to a vertex.
    """

    surface: csr_matrix
    neighbours: np.ndarray
    step: float
    attached: np.ndarray
    vertex: np.ndarray
    length: np.ndarray


def shortest_paths(graph: Graph, sources: np.ndarray) -> np.ndarray:
    """(s, v) from sources, numbered vertices first, then cells."""
    count = graph.surface.shape[0]
    cell, side = np.nonzero(graph.neighbours >= 0)
    surface = graph.surface.tocoo()
    rows = np.concatenate([surface.row, cell + count, graph.attached + count])
    columns = np.concatenate([surface.col, graph.neighbours[cell, side] + count, graph.vertex])
    lengths = np.concatenate([surface.data, np.full(len(cell), graph.step), graph.length])
    size = count + len(graph.neighbours)
    return dijkstra(coo_matrix((lengths, (rows, columns)), shape=(size, size)).tocsr(), directed=False, indices=sources)[:, :count]
