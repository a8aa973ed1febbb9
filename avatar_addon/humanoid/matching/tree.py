# SPDX-License-Identifier: GPL-3.0-or-later
"""A skeleton as a tree of joints, in a frame where the character's left and right lie along X."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


class Tree:
    """heads: (J, 3) any unit, Z up; parents: (J,) -1 for a root, in any order. `at` holds plain tuples: the search is
    scalar.
    """

    def __init__(self, heads: np.ndarray, parents: Sequence[int]) -> None:
        self.heads = heads
        self.at: list[tuple[float, float, float]] = [(float(x), float(y), float(z)) for x, y, z in heads]
        self.parents = list(parents)
        self.children: list[list[int]] = [[] for _ in self.parents]
        for bone, parent in enumerate(self.parents):
            if parent >= 0:
                self.children[parent].append(bone)
        self.order: list[int] = []  # parents first
        stack = [bone for bone, parent in enumerate(self.parents) if parent < 0][::-1]
        while stack:
            bone = stack.pop()
            self.order.append(bone)
            stack += self.children[bone][::-1]
        self.size = [1] * len(self.parents)
        self.lowest = [z for _, _, z in self.at]
        self.reach = [0.0] * len(self.parents)  # the longest way along bones to a leaf
        for bone in reversed(self.order):
            parent = self.parents[bone]
            if parent >= 0:
                self.size[parent] += self.size[bone]
                self.lowest[parent] = min(self.lowest[parent], self.lowest[bone])
                self.reach[parent] = max(self.reach[parent], self.reach[bone] + self.distance(parent, bone))

    def distance(self, a: int, b: int) -> float:
        return math.dist(self.at[a], self.at[b])

    def path(self, top: int, bone: int) -> list[int]:
        """From `top` down to `bone`, both included; empty where `bone` does not hang from `top`."""
        found = [bone]
        while found[-1] != top:
            parent = self.parents[found[-1]]
            if parent < 0:
                return []
            found.append(parent)
        return found[::-1]

    def below(self, top: int) -> list[int]:
        """`top` and everything that hangs from it, parents first."""
        found = [top]
        for bone in found:
            found += self.children[bone]
        return found

    def ways(self, top: int, most: int = 12) -> list[list[int]]:
        """The paths from `top` to where its limb may end: of the leaves below one fork, the two farthest of each."""
        groups: dict[int, list[tuple[float, int]]] = {}
        for bone in self.below(top):
            if self.children[bone]:
                continue
            fork = self.parents[bone]
            while fork != top and fork >= 0 and len(self.children[fork]) < 2:
                fork = self.parents[fork]
            groups.setdefault(fork, []).append((self.distance(top, bone), bone))
        ends = [bone for group in groups.values() for _, bone in sorted(group)[-2:]]
        ends.sort(key=lambda bone: -self.distance(top, bone))
        return [self.path(top, bone)[:11] for bone in ends[:most]]


def twist_fit(tree: Tree, a: int, b: int, between: Sequence[int]) -> tuple[float, float]:
    """How far the joints between a and b are off the straight segment, and off parting it evenly, over its length:
    twist bones are not.
    """
    start, way = tree.heads[a], tree.heads[b] - tree.heads[a]
    length = max(float(np.linalg.norm(way)), 1e-9)
    rel = tree.heads[list(between)] - start
    along = rel @ way / length**2
    even = np.arange(1, len(between) + 1) / (len(between) + 1)
    off = np.linalg.norm(rel - np.clip(along, 0, 1)[:, None] * way, axis=1).max() / length
    return float(off), float(np.abs(along - even).max())


def log_cost(value: float, usual: float, spread: float) -> float:
    """Half the squared deviation of a ratio from its usual value, in spreads of its logarithm."""
    return 0.5 * (math.log(max(value, 1e-3) / usual) / spread) ** 2


def over(value: float, limit: float, spread: float) -> float:
    """Half the squared excess over a limit, in spreads."""
    return 0.5 * (max(0.0, value - limit) / spread) ** 2
