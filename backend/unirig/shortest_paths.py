# SPDX-License-Identifier: GPL-3.0-or-later
"""Shortest paths from joints over the surface of a mesh and through the cells inside it.

By the compiled queue of buckets where numba can be imported, else by scipy's Dijkstra; the same numbers, scipy takes
four times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

TOGETHER = (
    16  # sources between two calls of progress; bounds the memory, as scipy measures the way to every cell as well
)

# matrix (n, n) symmetric, sources (s,), count -> (s, count) f64 lengths from the sources to the first nodes
Search = Callable[[csr_matrix, np.ndarray, int], np.ndarray]


@dataclass
class Graph:
    """Vertices of a mesh, and cells of a grid inside it. All edges go both ways.

    surface (v, v): directed lengths, of which the smaller counts where both directions are present. neighbours (m,
    k): rows of cells beside each cell or -1, all `step` away; mutual: whether each is also in the other's row.
    attached, vertex, length (a,): cells joined to a vertex.
    """

    surface: csr_matrix
    neighbours: np.ndarray
    mutual: bool
    step: float
    attached: np.ndarray
    vertex: np.ndarray
    length: np.ndarray


@cache
def quickest_search() -> Search:
    """The compiled search, or scipy's where numba is missing or does not go with this Python or numpy."""
    try:
        from .bucket_queue import distances
    except (ImportError, OSError):
        return scipy_search
    return distances


def scipy_search(matrix: csr_matrix, sources: np.ndarray, count: int) -> np.ndarray:
    # The matrix is symmetric: asked for undirected paths, scipy would look at every edge twice.
    return dijkstra(matrix, directed=True, indices=sources)[:, :count]


def shortest_paths(
    graph: Graph,
    sources: np.ndarray,
    progress: Callable[[float], None] = lambda fraction: None,
    search: Search | None = None,
) -> np.ndarray:
    """(s, v) f64 lengths from sources, numbered vertices first, then cells, to all vertices; inf where there
    is no way.
    """
    count = graph.surface.shape[0]
    matrix = both_ways(graph)
    search = search or quickest_search()
    out = np.empty((len(sources), count))
    for start in range(0, len(sources), TOGETHER):
        rows = slice(start, start + TOGETHER)
        out[rows] = search(matrix, sources[rows], count)
        progress(min(1.0, rows.stop / len(sources)))
    return out


def both_ways(graph: Graph) -> csr_matrix:
    """The whole graph as a symmetric matrix, vertices first. Edges of no length are kept."""
    count = graph.surface.shape[0]
    surface = graph.surface.tocoo()
    low, high = (choose(surface.row, surface.col).astype(np.int64) for choose in (np.minimum, np.maximum))
    order = np.lexsort((surface.data, low * count + high))
    low, high, length = low[order], high[order], surface.data[order]
    shortest = np.ones(len(low), bool)
    shortest[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    shortest &= low != high  # a triangle may pass a corner twice
    low, high, length = low[shortest], high[shortest], length[shortest]
    cell, side = np.nonzero(graph.neighbours >= 0)
    beside = graph.neighbours[cell, side]
    if not graph.mutual:
        pair = np.unique(np.stack([np.minimum(cell, beside), np.maximum(cell, beside)], 1), axis=0)
        cell, beside = np.concatenate([pair[:, 0], pair[:, 1]]), np.concatenate([pair[:, 1], pair[:, 0]])
    start = np.concatenate([low, high, cell + count, graph.attached + count, graph.vertex])
    end = np.concatenate([high, low, beside + count, graph.vertex, graph.attached + count])
    lengths = np.concatenate([length, length, np.full(len(cell), graph.step), graph.length, graph.length])
    size = count + len(graph.neighbours)
    return csr_matrix((lengths, (start, end)), shape=(size, size))
