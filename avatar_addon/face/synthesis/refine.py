# SPDX-License-Identifier: GPL-3.0-or-later
"""Edge splits that keep the skin closed: a triangle is divided wherever one of its edges is; UVs, materials and
weights come along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MOST_PASSES = 14
MOST_TRIANGLES = 40_000  # made by refining; a mesh that would need more stays coarser
END = 0.12  # a cut keeps this share of the edge away from its ends: no slivers

# Corners of a triangle are slots 0 to 2, the points on its edges 0-1, 1-2, 2-0 are slots 3 to 5.
# Bit k of a pattern: edge k is split. Two ways for two edges: across either diagonal of the quad that is left.
_TEMPLATES = {
    1: ([(0, 3, 2), (3, 1, 2)],),
    3: ([(3, 1, 4), (0, 3, 4), (0, 4, 2)], [(3, 1, 4), (0, 3, 2), (3, 4, 2)]),
    7: ([(0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)],),
}


def _turned(pattern: int, turn: int) -> int:
    return ((pattern << turn) | (pattern >> (3 - turn))) & 7


def _all_templates() -> dict[int, list[np.ndarray]]:
    """Every pattern of edges -> its ways to divide, each (triangles, 3) of slots."""
    out = {}
    for pattern, ways in _TEMPLATES.items():
        for turn in range(1 if pattern == 7 else 3):
            slot = [(k + turn) % 3 for k in range(3)] + [3 + (k + turn) % 3 for k in range(3)]
            out[_turned(pattern, turn)] = [np.array([[slot[k] for k in corners] for corners in way]) for way in ways]
    return out


TEMPLATES = _all_templates()


@dataclass
class Skin:
    """The mesh while it is worked on. New vertices and triangles are put at the end, so the first ones keep their
    numbers.

    points: (V, 3) as (u, v, d); triangles: (T, 3); corner_uvs: (T, 3, C), the UVs and any other layers beside
    them; material: (T,); weights: (V, G);
    front: (V,) whether a vertex is on the face's outermost layer: only edges between two such are split.
    """

    points: np.ndarray
    triangles: np.ndarray
    corner_uvs: np.ndarray
    material: np.ndarray
    weights: np.ndarray
    front: np.ndarray
    blank: np.ndarray | None = None  # (C,) of corners that have no place on the texture; None: 0

    def edges(self, some: np.ndarray) -> np.ndarray:
        """(E, 2) the edges of some triangles, each once, lower vertex first."""
        pairs = np.sort(self.triangles[some][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        keys = np.unique(pairs[:, 0].astype(np.int64) * len(self.points) + pairs[:, 1])
        return np.column_stack([keys // len(self.points), keys % len(self.points)])

    def append(self, points: np.ndarray, weights: np.ndarray, front: bool) -> np.ndarray:
        """Adds vertices; returns their numbers."""
        first = len(self.points)
        self.points = np.concatenate([self.points, points])
        self.weights = np.concatenate([self.weights, weights.astype(np.float32)])
        self.front = np.concatenate([self.front, np.full(len(points), front)])
        return np.arange(first, len(self.points))

    def append_triangles(
        self, triangles: np.ndarray, material: np.ndarray, corner_uvs: np.ndarray | None = None
    ) -> None:
        """Adds triangles; without `corner_uvs` (T, 3, 2) they have no place on the texture."""
        if corner_uvs is None:
            corner_uvs = np.zeros((len(triangles), 3, self.corner_uvs.shape[2]))
            corner_uvs[:, :] = 0.0 if self.blank is None else self.blank
        self.triangles = np.concatenate([self.triangles, triangles.astype(np.int32)])
        self.corner_uvs = np.concatenate([self.corner_uvs, corner_uvs.astype(np.float32)])
        self.material = np.concatenate([self.material, material.astype(np.int32)])

    def split(self, edges: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Puts a vertex on each edge, at `share` of the way from its first end; returns their numbers.

        edges: (E, 2), lower vertex first, in ascending order (as `edges` gives them).
        """
        count = len(self.points)
        a, b = edges.T
        t = share[:, None]
        both = self.front[a] & self.front[b]
        new = self.append(
            self.points[a] * (1 - t) + self.points[b] * t, self.weights[a] * (1 - t) + self.weights[b] * t, False
        )
        self.front[new] = both
        keys = a.astype(np.int64) * count + b
        ends = np.zeros(count, bool)
        ends[edges] = True
        touched = np.flatnonzero(ends[self.triangles].sum(1) >= 2)
        corners = self.triangles[touched]
        first, second = corners, corners[:, [1, 2, 0]]
        wanted = np.minimum(first, second).astype(np.int64) * count + np.maximum(first, second)
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        marked = keys[found] == wanted
        pattern = marked @ np.array([1, 2, 4])
        touched, corners, found, marked, pattern = (x[pattern > 0] for x in (touched, corners, found, marked, pattern))
        along = np.where(corners < corners[:, [1, 2, 0]], share[found], 1 - share[found])[:, :, None].astype(np.float32)
        uvs = self.corner_uvs[touched]
        slots = np.concatenate([corners, np.where(marked, new[found], 0)], 1)
        slot_uvs = np.concatenate([uvs, uvs * (1 - along) + uvs[:, [1, 2, 0]] * along], 1)
        self._replace(touched, slots, slot_uvs, pattern)
        return new

    def _replace(self, old: np.ndarray, slots: np.ndarray, slot_uvs: np.ndarray, pattern: np.ndarray) -> None:
        kept = np.ones(len(self.triangles), bool)
        kept[old] = False
        triangles, uvs, material = [self.triangles[kept]], [self.corner_uvs[kept]], [self.material[kept]]
        for code, ways in TEMPLATES.items():
            rows = np.flatnonzero(pattern == code)
            way = np.zeros(len(rows), int)
            if len(ways) == 2 and len(rows):
                (p, q), (r, s) = _diagonals(ways)
                at = self.points[slots[rows]]
                way = (
                    np.linalg.norm(at[:, r] - at[:, s], axis=1) < np.linalg.norm(at[:, p] - at[:, q], axis=1)
                ).astype(int)
            for k, template in enumerate(ways):
                some = rows[way == k]
                triangles.append(slots[some][:, template].reshape(-1, 3))
                uvs.append(slot_uvs[some][:, template].reshape(-1, 3, slot_uvs.shape[2]))
                material.append(np.repeat(self.material[old[some]], len(template)))
        self.triangles = np.concatenate(triangles).astype(np.int32)
        self.corner_uvs, self.material = np.concatenate(uvs), np.concatenate(material)


def _diagonals(ways: list[np.ndarray]) -> list[tuple[int, int]]:
    """The two slots that the second and third triangle of a way share."""
    pairs = [sorted(set(way[1].tolist()) & set(way[2].tolist())) for way in ways]
    return [(pair[0], pair[1]) for pair in pairs]


def refine(skin: Skin, low: np.ndarray, high: np.ndarray, length: float) -> None:
    """Halves edges of the front layer in the rectangle from `low` to `high` (u, v) until none is longer than
    `length`.
    """
    limit = len(skin.triangles) + MOST_TRIANGLES
    for _ in range(MOST_PASSES):
        near = np.flatnonzero(skin.front[skin.triangles].all(1))
        corners = skin.points[skin.triangles[near], :2]
        near = near[((corners.max(1) >= low) & (corners.min(1) <= high)).all(1)]
        edges = skin.edges(near)
        span = skin.points[edges[:, 0]] - skin.points[edges[:, 1]]
        edges = edges[np.linalg.norm(span, axis=1) > length]
        if not len(edges) or len(skin.triangles) + 2 * len(edges) > limit:
            return
        skin.split(edges, np.full(len(edges), 0.5))


def split_along(skin: Skin, low: np.ndarray, high: np.ndarray, side: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Puts vertices where edges of the front layer cross the line `side(uv) == 0` inside a rectangle; returns their
    numbers.

    side: (N, 2) -> (N,), negative on one side; a point on the line counts as above it.
    """
    near = np.flatnonzero(skin.front[skin.triangles].all(1))
    corners = skin.points[skin.triangles[near], :2]
    near = near[((corners.max(1) >= low) & (corners.min(1) <= high)).all(1)]
    edges = skin.edges(near)
    a, b = (side(skin.points[edges[:, k], :2]) for k in (0, 1))
    crossing = (a < 0) != (b < 0)
    edges, a, b = edges[crossing], a[crossing], b[crossing]
    share = np.clip(a / (a - b), END, 1 - END)
    at = skin.points[edges[:, 0], :2] * (1 - share[:, None]) + skin.points[edges[:, 1], :2] * share[:, None]
    inside = ((at >= low) & (at <= high)).all(1)
    if not inside.any():
        return np.zeros(0, np.int64)
    return skin.split(edges[inside], share[inside])
