# SPDX-License-Identifier: GPL-3.0-or-later
"""Shortest paths with a queue of buckets in place of a heap, compiled by numba (importing this module needs it).

Bellman's rule is applied bucket by bucket (R. B. Dial, "Algorithm 360", 1969; label correction inside a bucket as in
U. Meyer and P. Sanders, "Delta-stepping", 2003). The result does not depend on the width of the buckets: it is the
one fixed point of d[v] = min(d[u] + length(u, v)), the very numbers that Dijkstra's order gives.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.sparse import csr_matrix

WIDTH = (
    1 / 8
)  # of a bucket, in mean lengths of an edge: wider ones look at nodes more than once, narrower ones are mostly empty
MOST = 1 << 12  # buckets that the longest edge may span


def distances(matrix: csr_matrix, sources: np.ndarray, count: int) -> np.ndarray:
    """(s, count) f64 lengths of the shortest paths from each of sources (s,) to the first `count` nodes; inf where
    there is no way.

    matrix (n, n): lengths >= 0 of the directed edges; zeros that are stored are edges too.
    """
    lengths = matrix.data.astype(np.float64)
    longest = lengths.max(initial=0.0)
    width = max(WIDTH * lengths.mean(), longest / MOST) if longest > 0 else 1.0
    # A node that is looked at has nodes waiting at most the longest edge ahead; two more for rounding. A power of
    # two, for the mask.
    buckets = 1 << (int(longest / width) + 3).bit_length()
    out = np.empty((len(sources), count))
    _search(
        matrix.indptr.astype(np.int32),
        matrix.indices.astype(np.int32),
        lengths,
        sources.astype(np.int64),
        width,
        buckets,
        out,
    )
    return out


def _search(
    first: np.ndarray,
    ends: np.ndarray,
    lengths: np.ndarray,
    sources: np.ndarray,
    width: float,
    buckets: int,
    out: np.ndarray,
) -> None:
    nodes = len(first) - 1
    # The nodes that wait in a bucket form a doubly linked list whose head is entry `nodes + bucket`; before < 0: the
    # node does not wait.
    after = np.full(nodes + buckets, -1, np.int32)
    before = np.full(nodes + buckets, -1, np.int32)
    distance = np.empty(nodes)
    scale, mask = 1 / width, buckets - 1
    for row in range(len(sources)):
        distance[:] = np.inf
        distance[sources[row]] = 0.0
        after[nodes], before[sources[row]], after[sources[row]] = sources[row], nodes, -1
        waiting, bucket = 1, 0
        while waiting > 0:
            head = nodes + bucket
            node = after[head]
            while node >= 0:
                following = after[node]
                after[head] = following
                if following >= 0:
                    before[following] = head
                before[node] = -1
                waiting -= 1
                so_far = distance[node]
                for edge in range(first[node], first[node + 1]):
                    end, reached = ends[edge], so_far + lengths[edge]
                    if reached < distance[end]:
                        distance[end] = reached
                        previous = before[end]
                        if previous >= 0:  # it waits in a later bucket, or in this one
                            following = after[end]
                            after[previous] = following
                            if following >= 0:
                                before[following] = previous
                            waiting -= 1
                        place = nodes + (int(reached * scale) & mask)
                        following = after[place]
                        after[place], before[end], after[end] = end, place, following
                        if following >= 0:
                            before[following] = end
                        waiting += 1
                node = after[head]
            bucket = (bucket + 1) & mask
        out[row] = distance[: out.shape[1]]


_SIGNATURE = "void(int32[::1], int32[::1], float64[::1], int64[::1], float64, int64, float64[:, ::1])"
try:
    _search = njit(_SIGNATURE, cache=True, nogil=True)(_search)
except (
    RuntimeError
):  # neither this folder nor the user's own cache folder can be written: compiled anew by every process, in a second
    _search = njit(_SIGNATURE, nogil=True)(_search)
