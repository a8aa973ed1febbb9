# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingers of a mesh: how many a hand has, and where their joints lie.

Fingers are branches of the surface: seen by the distance along it from the wrist, each has a peak of its own that
joins the others only far below its tip (a merge tree, cut by persistence). A mitten has none, and fingers that grow
together count as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from ..nn.vertex_weights import welded

FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")
THUMB_BONES = ("Metacarpal", "Proximal", "Distal")
FINGER_BONES = ("Proximal", "Intermediate", "Distal")
# In lengths of the forearm: how far a hand reaches at most, how far it begins before the wrist, how near a shell of
# its own (a nail, a glove) must lie to belong to it.
REACH, BEFORE, NEAR = 1.3, 0.12, 0.1
TIP_SHARE = 0.06  # of a finger: the cap whose middle is its tip
BRIDGES = 4  # rounds of joining shells
PERSISTENCE = 0.14  # how far a finger rises at least, as a share of the hand
SHORTEST = 0.4  # of the hand: how far the tip of a thumb is from the wrist at least
# Where the joints lie on a finger, as shares of what stands free: 0 where it leaves the others, 1 at its tip. Medians
# of rigged characters. The thumb's metacarpal is given as a share of the way from its free part back to the wrist.
SHARES = {
    "Thumb": (-0.26, 0.31),
    "Index": (-0.11, 0.25, 0.60),
    "Middle": (-0.16, 0.27, 0.64),
    "Ring": (-0.20, 0.21, 0.58),
    "Little": (-0.22, 0.20, 0.53),
}
METACARPAL = 0.48


@dataclass(frozen=True)
class Finger:
    """joints (3, 3) from the palm outwards, tip (3,)."""

    joints: np.ndarray
    tip: np.ndarray


@dataclass
class _Branch:
    """rows: of the vertices above the level at which it joined another; base and top: distances from the wrist."""

    rows: list[int]
    base: float
    top: float


def find_fingers(
    vertices: np.ndarray, triangles: np.ndarray, elbow: np.ndarray, wrist: np.ndarray
) -> tuple[dict[str, Finger], int]:
    """The five fingers of a hand by name, or {}, and how many branches the hand has (0 for a mitten).

    vertices (V, 3), triangles (T, 3); elbow and wrist (3,) in the same coordinates, of any unit and direction.
    """
    length = float(np.linalg.norm(wrist - elbow))
    if not length > 0:
        return {}, 0
    along = (wrist - elbow) / length
    at, distance = _hand(vertices, triangles, wrist, along, length)
    branches = _branches(at[1], distance) if len(distance) else []
    away = np.linalg.norm(at[0] - wrist, axis=1)
    # The inner end of a shell of its own also is a peak, but it lies inside the hand.
    branches = [b for b in branches if away[b.rows[0]] > away[b.rows[-1]]]
    if len(branches) < 2:
        return {}, 0
    if len(branches) != len(FINGERS):
        return {}, len(branches)
    lines = [_line(at[0], distance, branch) for branch in branches]
    bases = np.array([line(0.0) for line in lines])
    thumb = int(np.argmin((bases - wrist) @ along))
    others = [k for k in range(len(branches)) if k != thumb]
    across = bases[thumb] - bases[others].mean(0)
    across -= (across @ along) * along
    others.sort(key=lambda k: float(-(bases[k] @ across)))
    found = {}
    for name, k in zip(FINGERS, (thumb, *others), strict=True):
        line = lines[k]
        joints = [line(share) for share in SHARES[name]]
        if name == "Thumb":
            joints.insert(0, bases[k] + METACARPAL * (wrist - bases[k]))
        found[name] = Finger(np.array(joints), line(1.0))
    return found, len(branches)


def _hand(
    vertices: np.ndarray, triangles: np.ndarray, wrist: np.ndarray, along: np.ndarray, length: float
) -> tuple[tuple[np.ndarray, csr_matrix], np.ndarray]:
    """Places (n, 3) of the hand's surface with their graph, and the distance (n,) of each from the wrist along it."""
    offset = vertices - wrist
    ahead, away = offset @ along, np.linalg.norm(offset, axis=1)
    near = (ahead > -BEFORE * length) & (away < REACH * length)
    faces = triangles[near[triangles].all(1)]
    used = np.unique(faces)
    if len(used) < 3:
        return (np.zeros((0, 3)), csr_matrix((0, 0))), np.zeros(0)
    at, place = welded(vertices[used].astype(np.float32))
    at = at.astype(np.float64)
    faces = place[np.searchsorted(used, faces)]
    links = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    for _ in range(BRIDGES):  # shells may hang on each other before they hang on the hand
        _, shell = connected_components(
            coo_matrix((np.ones(len(links)), links.T), shape=(len(at),) * 2), directed=False
        )
        bridges = _bridges(at, shell, wrist, length)
        if not len(bridges):
            break
        links = np.concatenate([links, bridges])
    graph = csr_matrix(
        (np.linalg.norm(at[links[:, 0]] - at[links[:, 1]], axis=1) + 1e-12, links.T), shape=(len(at),) * 2
    )
    graph = graph + graph.T
    offset = at - wrist
    beside = np.linalg.norm(offset - (offset @ along)[:, None] * along, axis=1)
    slab = np.abs(offset @ along) < BEFORE * length
    slab = slab if slab.any() else np.linalg.norm(offset, axis=1) < 1.2 * np.linalg.norm(offset, axis=1).min()
    seeds = np.flatnonzero(slab & (beside < 2.5 * beside[slab].min() + 1e-9))
    distance = dijkstra(graph, directed=False, indices=seeds, min_only=True)
    reached = np.flatnonzero(np.isfinite(distance))
    return (at[reached], graph[reached][:, reached].tocsr()), distance[reached]


def _bridges(at: np.ndarray, shell: np.ndarray, wrist: np.ndarray, length: float) -> np.ndarray:
    """Links (k, 2) that join shells of their own, such as nails or gloves, to the surface nearest to them. A shell
    that leaves the region is another part of the body.
    """
    out = []
    edge = np.linalg.norm(at - wrist, axis=1) > (REACH - 0.05) * length
    for number in range(shell.max() + 1):
        mine = np.flatnonzero(shell == number)
        others = np.flatnonzero(shell != number)
        if edge[mine].any() or not len(others):
            continue
        distance, nearest = cKDTree(at[others]).query(at[mine])
        best = int(distance.argmin())
        if distance[best] < NEAR * length:
            out.append((mine[best], others[nearest[best]]))
    return np.array(out, np.int64).reshape(-1, 2)


def _branches(graph: csr_matrix, distance: np.ndarray) -> list[_Branch]:
    """The branches of a surface by the distances of its places, farthest first. Each ends where it meets another that
    rises as far at least as a finger does.
    """
    enough = PERSISTENCE * float(distance.max())
    parent = np.full(len(distance), -1)
    rows: dict[int, list[int]] = {}
    peak: dict[int, float] = {}
    open_at: dict[int, bool] = {}  # whether the component is one branch still, and not several that have met
    done: list[_Branch] = []

    def find(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for k in np.argsort(-distance, kind="stable").tolist():
        parent[k], rows[k], peak[k], open_at[k] = k, [k], distance[k], True
        for other in graph.indices[graph.indptr[k] : graph.indptr[k + 1]].tolist():
            if parent[other] < 0:
                continue
            a, b = find(k), find(other)
            if a == b:
                continue
            level = float(distance[k])
            both = all(peak[c] - level >= enough for c in (a, b))
            if both:
                done.extend(_Branch(list(rows[c]), level, peak[c]) for c in (a, b) if open_at[c])
            if peak[a] < peak[b]:
                a, b = b, a
            parent[b] = a
            # A small bump that joins a hand whose fingers have met leaves it met.
            open_at[a] = not both and open_at[a] and (open_at[b] or peak[b] - level < enough)
            rows[a] += rows.pop(b)
    # What ends near the wrist is a cuff or a bracelet.
    return [branch for branch in done if branch.top > SHORTEST * distance.max()]


def _line(at: np.ndarray, distance: np.ndarray, branch: _Branch) -> Callable[[float], np.ndarray]:
    """A function from shares of a branch's free length to points (3,) in its middle."""
    rows = np.array(branch.rows)
    span = max(branch.top - branch.base, 1e-12)
    share = (distance[rows] - branch.base) / span
    tip = at[rows[share > 1 - TIP_SHARE]].mean(0)
    fit = np.polynomial.polynomial.polyfit(share, at[rows], 2 if len(np.unique(share.round(2))) >= 6 else 1)
    way = tip - fit[0]
    if len(fit) > 2 and ((fit[1] @ way) <= 0 or ((fit[1] + 2 * fit[2]) @ way) <= 0):
        fit = np.polynomial.polynomial.polyfit(share, at[rows], 1)  # a parabola that turns back is no finger

    def line(s: float) -> np.ndarray:
        if s < 0:  # beyond the free part: straight on
            return fit[0] + s * fit[1]
        return tip if s == 1 else np.array(np.polynomial.polynomial.polyval(s, fit))

    return line
