# SPDX-License-Identifier: GPL-3.0-or-later
"""Which joints of a chain are thigh, shin, foot and toes, or shoulder, upper arm, forearm and hand; and which chains
make a pair.

Costs are half squared deviations from how people are built, so that they add like negative logarithms of likelihoods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from .tree import Tree, log_cost, over, twist_fit

SKIPPED, MORE_SKIPPED = 0.3, 0.08  # joints inside a segment: twist bones
DOUBLED = 0.1  # the segment's own joint once more
LEFT_OUT = 1.0  # a joint at the chain's root or end that nothing explains


@dataclass(frozen=True)
class Limb:
    """joints: (upper, lower, foot or hand); extra: toes or shoulder, -1 for none; path: the whole chain from
    its root.
    """

    cost: float
    joints: tuple[int, int, int]
    extra: int
    path: tuple[int, ...]

    def length(self, tree: Tree) -> float:
        a, b, c = self.joints
        return tree.distance(a, b) + tree.distance(b, c)


@dataclass(frozen=True)
class Pair:
    """The limb on +X and the limb on -X. uneven: the part of the cost for what is not mirrored."""

    cost: float
    plus: Limb
    minus: Limb
    uneven: float

    @property
    def limbs(self) -> tuple[Limb, Limb]:
        return self.plus, self.minus


def _segment(tree: Tree, a: int, b: int, between: Sequence[int]) -> float:
    if not between:
        return 0.0
    apart = [k for k in between if tree.distance(a, k) > 0.05 * tree.distance(a, b)]
    if not apart:
        return DOUBLED * len(between)
    between = apart
    off, uneven = twist_fit(tree, a, b, between)
    return SKIPPED + MORE_SKIPPED * (len(between) - 1) + over(off, 0.08, 0.08) + over(uneven, 0.15, 0.12)


def leg_splits(tree: Tree, hips: int, path: list[int]) -> list[Limb]:
    """The best ways to read a chain as a leg."""
    found = []
    for i, j, k in combinations(range(len(path)), 3):
        if i > 2:
            break
        upper, lower, foot = path[i], path[j], path[k]
        thigh, shin = tree.distance(upper, lower), tree.distance(lower, foot)
        length = thigh + shin
        if thigh <= 0 or shin <= 0:
            continue
        fall = tree.at[upper][2] - tree.at[foot][2]
        if fall < 0.6 * length:
            continue
        cost = log_cost(thigh / max(shin, 1e-9), 1.0, 0.22) + over(1 - fall / length, 0.03, 0.08)
        cost += LEFT_OUT * sum(tree.distance(hips, path[m]) > 0.05 * length for m in range(i))
        cost += _segment(tree, upper, lower, path[i + 1 : j]) + _segment(tree, lower, foot, path[j + 1 : k])
        rest = path[k + 1 :]
        cost += over((tree.at[foot][2] - tree.lowest[foot]) / length, 0.25, 0.1)
        choices = [(cost + 1.5 * len(rest), -1)]
        if rest:
            choices.append(
                (
                    cost
                    + _toe(tree, foot, rest[0], length)
                    + 0.15 * len(rest[1:])
                    + _after_toes(tree, foot, rest, length),
                    rest[0],
                )
            )
        found += [Limb(c, (upper, lower, foot), toes, tuple(path)) for c, toes in choices]
    return sorted(found, key=lambda limb: limb.cost)[:4]


def _toe(tree: Tree, foot: int, toes: int, leg: float) -> float:
    step = tree.distance(foot, toes)
    (x, y, _), (x1, y1, _) = tree.at[foot], tree.at[toes]
    level = ((x1 - x) ** 2 + (y1 - y) ** 2) ** 0.5 / max(step, 1e-9)
    return 0.5 * (max(0.0, 0.75 - level) / 0.22) ** 2 + log_cost(step / leg, 0.22, 0.6) - 0.5


def _after_toes(tree: Tree, foot: int, rest: Sequence[int], leg: float) -> float:
    return over(sum(tree.distance(a, b) for a, b in zip(rest, rest[1:], strict=False)) / leg, 0.25, 0.1)


def arm_splits(tree: Tree, middle: float, path: list[int]) -> list[Limb]:
    """The best ways to read a chain as an arm. middle: the body's x."""
    found = []
    for i, j, k in combinations(range(len(path)), 3):
        if i > 3:
            break
        upper, lower, hand = path[i], path[j], path[k]
        first, second = tree.distance(upper, lower), tree.distance(lower, hand)
        length = first + second
        aside = abs(tree.at[upper][0] - middle)
        if first <= 0 or second <= 0 or aside <= 0:
            continue
        cost = log_cost(first / max(second, 1e-9), 1.1, 0.22) + log_cost(aside / length, 0.34, 0.4)
        cost += over(1 - tree.distance(upper, hand) / length, 0.12, 0.1)
        cost += _segment(tree, upper, lower, path[i + 1 : j]) + _segment(tree, lower, hand, path[j + 1 : k])
        cost += _hand(tree, path, k, length)
        cost += 2.0 * sum(_forks(tree, bone) for bone in path[:k])
        choices = [(cost + LEFT_OUT * i, -1)]
        if i:
            inner = abs(tree.at[path[i - 1]][0] - middle) / aside
            length_cost = log_cost(tree.distance(path[i - 1], upper) / first, 0.45, 0.6)
            choices.append((cost + over(inner, 0.45, 0.18) + length_cost + 0.7 * (i - 1) - 0.2, path[i - 1]))
        found += [Limb(c, (upper, lower, hand), shoulder, tuple(path)) for c, shoulder in choices]
    return sorted(found, key=lambda limb: limb.cost)[:5]


def _forks(tree: Tree, bone: int) -> bool:
    """Whether fingers may start here: three chains of which two have more than one joint, or four of any length."""
    chains = tree.children[bone]
    return len(chains) >= 4 or (len(chains) >= 2 and sum(tree.size[c] > 1 for c in chains) >= 2)


def _hand(tree: Tree, path: list[int], k: int, arm: float) -> float:
    hand, rest = path[k], path[k + 1 :]
    cost = min(over(tree.reach[hand] / arm, 0.55, 0.12), 2.0)  # what the hand holds may be long
    if _forks(tree, hand):
        return cost - 1.0
    if any(_forks(tree, bone) for bone in rest):
        return cost + 2.5
    if not rest:
        return cost + 0.1
    return cost + over(tree.distance(hand, rest[0]) / arm, 0.3, 0.08) + 0.05 * len(rest)


def pairs(
    tree: Tree, roots: Sequence[int], split: Callable[[list[int]], list[Limb]], middle: float, keep: int = 4
) -> list[Pair]:
    """The best pairs among the chains that start at `roots`, one on each side of the plane x = middle."""
    limbs: dict[int, list[Limb]] = {}
    for root in roots:
        if tree.size[root] < 3:
            continue
        read = [limb for path in tree.ways(root) if len(path) >= 3 for limb in split(path)]
        distinct = {(limb.joints, limb.extra): limb for limb in sorted(read, key=lambda limb: -limb.cost)}
        limbs[root] = sorted(distinct.values(), key=lambda limb: limb.cost)[:6]
    found = []
    for a, b in combinations(limbs, 2):
        options = [pair for one in limbs[a] for other in limbs[b] if (pair := _pair(tree, one, other, middle))]
        found += sorted(options, key=lambda pair: pair.cost)[:2]
    return sorted(found, key=lambda pair: pair.cost)[:keep]


def _pair(tree: Tree, a: Limb, b: Limb, middle: float) -> Pair | None:
    scale = (a.length(tree) + b.length(tree)) / 2
    xs = [(tree.at[j][0], tree.at[k][0]) for j, k in zip(a.joints, b.joints, strict=True)]
    if sum(x for x, _ in xs) < sum(x for _, x in xs):
        a, b, xs = b, a, [(q, p) for p, q in xs]
    if xs[0][0] - xs[0][1] < 0.04 * scale or xs[2][0] - xs[2][1] < 0.02 * scale:
        return None
    cost = 0.0
    for j, k in zip(a.joints, b.joints, strict=True):
        (x, y, z), (x1, y1, z1) = tree.at[j], tree.at[k]
        cost += ((x + x1) / 2 - middle) ** 2 + ((y - y1) / 2) ** 2 + ((z - z1) / 2) ** 2
    uneven = 0.5 * cost / (0.05 * scale) ** 2 / 3
    different = 2.5 * ((a.extra < 0) != (b.extra < 0)) + 0.3 * abs(len(a.path) - len(b.path))
    if len(a.path) == len(b.path):
        different += 1.0 * ([a.path.index(j) for j in a.joints] != [b.path.index(j) for j in b.joints])
    return Pair(a.cost + b.cost + uneven + different, a, b, uneven)
