# SPDX-License-Identifier: GPL-3.0-or-later
"""Which skin is an arm's where arm and body have grown together: a minimum cut over the skin, which likes to run along
creases and edges of colour, where the tube around the arm's bones ends.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

END, SLOPE = 1.15, 0.2  # radii from the arm's middle at which skin may be either's, and over which it gets sure
SURE, CERTAIN = 3.0, 8.0
# Radii and share of skin on the outer side that is certainly the arm's. A hand that is fused to the body along more
# than its wrist is cheaper to leave on the body: the low share keeps it with the arm although the cut is as stiff as
# below.
CORE, WHOLLY = 1.0, 0.5
CREASE, EDGE = 20.0, 1 / 40  # how cheap creases (height over width) and edges of colour (of 255) are to cut along
LEAST = 0.3  # and an edge of colour at the least: a sleeve's hem is one too
STIFF = 40.0  # what a cut costs, relative to the doubt about the skin beside it
LOOSE = 0.05  # what a vertex without triangles counts
UNIT = 1000  # capacities are whole numbers


def part(
    ratio: np.ndarray,
    outer: np.ndarray,
    share: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
    colour: np.ndarray | None,
) -> np.ndarray:
    """(V,) bool, whether vertices are the arm's. ratio: (V,) radii from the arm's middle; outer: (V,) bool, on its side
    away from the body; share: (V,) of the arm by the distances inside the body, NaN for vertices that have no say;
    triangles: (T, 3), normals outwards; colour: (V, 3) or None.
    """
    place, weld = np.unique(vertices, axis=0, return_inverse=True)
    weld = weld.reshape(-1)
    count = len(place)
    first = np.zeros(count, int)
    first[weld] = np.arange(len(vertices))
    edges, crease, area = _skin(place, weld[triangles])
    known = np.isfinite(share[first])
    edges = edges[known[edges].all(1)]
    belief = _belief(ratio[first], outer[first], np.where(known, share[first], 0))
    usual = float(np.median(area[known])) if known.any() else 0.0
    area = np.clip(area / max(usual, 1e-20), LOOSE, 4)
    lean = np.round(UNIT * np.where(known, belief * area, 0)).astype(np.int64)
    cheap = np.exp(-CREASE * np.maximum(crease[edges].mean(1), 0))
    if colour is not None:
        tint = colour[first]
        step = np.linalg.norm(tint[edges[:, 0]] - tint[edges[:, 1]], axis=1)
        cheap *= np.maximum(np.exp(-EDGE * step), LEAST)
    cost = np.maximum(np.round(UNIT * STIFF * cheap).astype(np.int64), 1)
    source, sink = count, count + 1
    to = [edges, edges[:, ::-1]]
    arm, body = np.flatnonzero(lean > 0), np.flatnonzero(lean < 0)
    to += [np.column_stack([np.full(len(arm), source), arm]), np.column_stack([body, np.full(len(body), sink)])]
    capacity = np.concatenate([cost, cost, lean[arm], -lean[body]])
    rows, columns = np.concatenate(to).T
    graph = sparse.csr_matrix((capacity.astype(np.int32), (rows, columns)), (count + 2, count + 2))
    graph.sum_duplicates()
    left = graph - maximum_flow(graph, source, sink).flow
    left.data = np.maximum(left.data, 0)
    left.eliminate_zeros()
    mine = np.zeros(count + 2, bool)
    mine[breadth_first_order(left, source, return_predecessors=False)] = True
    return mine[weld]


def _belief(ratio: np.ndarray, outer: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(n,) how much skin looks like the arm's (positive) or the body's: by the tube, and beyond it, where a sleeve may
    hang on the arm, by what it hangs on.
    """
    tube = np.clip((END - ratio) / SLOPE, -SURE, SURE)
    hangs = np.clip(6 * (share - 0.5), -SURE, SURE)
    belief = np.where((ratio > END + SLOPE) & (share > 0.5), hangs, tube + 0.5 * hangs)
    belief[outer & (ratio < CORE) & (share > WHOLLY)] = CERTAIN
    belief[np.isinf(ratio) & (share > 0.5)] = CERTAIN
    belief[(ratio > 2 * END) & (share < 0.05)] = -CERTAIN
    return belief


def _skin(place: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges (E, 2) of a welded skin, how deep each vertex lies in a crease (positive), relative to its edges, and the
    area around each vertex.
    """
    count = len(place)
    edges = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1), axis=0
    )
    edges = edges[edges[:, 0] != edges[:, 1]]
    a, b, c = (place[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a) / 2
    around = np.zeros((count, 3))
    area = np.zeros(count)
    for k in range(3):
        np.add.at(around, triangles[:, k], normal)
        np.add.at(area, triangles[:, k], np.linalg.norm(normal, axis=1) / 3)
    around /= np.maximum(np.linalg.norm(around, axis=1, keepdims=True), 1e-20)
    both = np.concatenate([edges, edges[:, ::-1]])
    near = sparse.csr_matrix((np.ones(len(both)), tuple(both.T)), (count, count))
    near = sparse.diags(1 / np.maximum(np.asarray(near.sum(1)).ravel(), 1)) @ near
    size = np.zeros(count)
    np.add.at(size, both[:, 0], np.linalg.norm(place[both[:, 0]] - place[both[:, 1]], axis=1))
    size /= np.maximum(np.bincount(both[:, 0], minlength=count), 1)
    depth = ((near @ place - place) * around).sum(1) / np.maximum(size, 1e-20)
    return edges, 0.5 * (depth + near @ depth), area
