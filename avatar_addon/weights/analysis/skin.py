# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar's skin as it is in the scene, as arrays that the report's measures can look at. No bpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from ...mesh.islands import island_of
from ...report.measured import Degrees, SkinnedBody, rotation
from ...report.skin_measures import coincident

LEAST = 1e-4  # from this weight on a bone moves a vertex


class WeightedSkin(SkinnedBody):
    """Metres, glTF axes (Y up, facing +Z) as in the report. weights: (V, J) as painted, not normalised; J in the
    order of names.

    vertices: (V, 3); triangles: (T, 3); names, parents, heads, tails: the bones, (J,) and (J, 3), parents -1 for a
    root, in any order; humanoid: VRM 1.0 bone -> bone name.
    """

    def __init__(
        self,
        vertices: np.ndarray,
        triangles: np.ndarray,
        weights: np.ndarray,
        names: Sequence[str],
        parents: Sequence[int],
        heads: np.ndarray,
        tails: np.ndarray,
        humanoid: Mapping[str, str],
    ) -> None:
        self.rest = np.asarray(vertices, np.float64)
        self.triangles = np.asarray(triangles, np.int64).reshape(-1, 3)
        self.weights = np.asarray(weights, np.float64)
        self.names, self.parents = list(names), [int(parent) for parent in parents]
        self.joints, self.tails = np.asarray(heads, np.float64), np.asarray(tails, np.float64)
        index = {name: k for k, name in enumerate(self.names)}
        self.bones = {vrm: index[bone] for vrm, bone in humanoid.items() if bone in index}
        self.heads = {vrm: self.joints[k] for vrm, k in self.bones.items()}
        self._order = self._parents_first()

    @cached_property
    def total(self) -> np.ndarray:
        """(V,) sum of a vertex' weights."""
        return np.asarray(self.weights.sum(1))

    @cached_property
    def empty(self) -> np.ndarray:
        """(V,) whether no bone moves a vertex."""
        return np.asarray(self.total <= LEAST)

    @cached_property
    def owner(self) -> np.ndarray:
        return np.where(self.empty, -1, self.weights.argmax(1) if self.weights.shape[1] else -1)

    @cached_property
    def even(self) -> np.ndarray:
        """(V, J) weights that sum to 1, as Blender and the exporter use them; 0 where no bone moves the vertex."""
        return np.where(self.empty[:, None], 0.0, self.weights / np.where(self.empty, 1.0, self.total)[:, None])

    def posed(self, pose: dict[str, Degrees]) -> np.ndarray:
        turns = {self.bones[name]: rotation(degrees) for name, degrees in pose.items() if name in self.bones}
        moves = np.tile(np.eye(3, 4), (len(self.names), 1, 1))
        for bone in self._order:
            above = self.parents[bone]
            turn = moves[above, :, :3] if above >= 0 else np.eye(3)
            joint = turn @ self.joints[bone] + moves[above, :, 3] if above >= 0 else self.joints[bone]
            turn = turns[bone] @ turn if bone in turns else turn
            moves[bone, :, :3], moves[bone, :, 3] = turn, joint - turn @ self.joints[bone]
        matrix = (self.even @ moves.reshape(len(moves), 12)).reshape(-1, 3, 4)
        matrix[self.empty] = np.eye(3, 4)
        return np.asarray((matrix[:, :, :3] @ self.rest[:, :, None])[:, :, 0] + matrix[:, :, 3])

    @cached_property
    def weld(self) -> np.ndarray:
        """(V,) the same number for vertices at the same place."""
        number = np.arange(len(self.rest))
        return self._islands(coincident(self.rest), number) if len(number) else number

    @cached_property
    def edges(self) -> np.ndarray:
        """(E, 2) directed edges between welded points, each once."""
        corners = self.weld[self.triangles]
        pairs = np.concatenate([corners[:, [i, j]] for i in range(3) for j in range(3) if i != j])
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        keys = np.unique(pairs[:, 0] * np.int64(len(self.rest)) + pairs[:, 1])  # far faster than rows
        return np.column_stack(np.divmod(keys, max(len(self.rest), 1)))

    @cached_property
    def island(self) -> np.ndarray:
        """(V,) the same number for vertices that hang together."""
        return island_of(self.weld[self.triangles], len(self.rest))[self.weld]

    def clusters(self, some: np.ndarray) -> list[np.ndarray]:
        """The vertices of `some` (V,) bool as sorted indices, in groups that hang together by edges among themselves;
        the largest first.
        """
        points = np.zeros(len(self.rest), bool)
        points[self.weld[some]] = True
        label = self._islands(self.edges[points[self.edges].all(1)], np.arange(len(self.rest)))[self.weld]
        rows = np.flatnonzero(some)
        _, group = np.unique(label[rows], return_inverse=True)
        order = np.argsort(group, kind="stable")
        groups = np.split(rows[order], np.flatnonzero(np.diff(group[order])) + 1) if len(rows) else []
        return sorted(groups, key=len, reverse=True)

    def grown(self, some: np.ndarray, rings: int) -> np.ndarray:
        """(V,) bool with so many rings of neighbours around."""
        points = np.zeros(len(self.rest), bool)
        points[self.weld[some]] = True
        for _ in range(rings):
            points[self.edges[points[self.edges[:, 0]], 1]] = True
        return np.asarray(points[self.weld])

    @staticmethod
    def _islands(pairs: np.ndarray, number: np.ndarray) -> np.ndarray:
        return island_of(
            np.column_stack([pairs, pairs[:, :1]]) if len(pairs) else np.zeros((0, 3), np.int64), len(number)
        )

    def _parents_first(self) -> list[int]:
        order = [k for k, parent in enumerate(self.parents) if parent < 0]
        for bone in order:
            order.extend(k for k, parent in enumerate(self.parents) if parent == bone)
        return order
