# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for a body: hips that carry two legs, a spine that rises from them to two arms, and a head above those."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

from .limbs import Pair, arm_splits, leg_splits, pairs
from .tree import Tree, log_cost, over

MOST_HEAD_JOINTS = 8
# Measured with benchmarks/skeletons.py: people of any build whose joints are where they should be stay below 8 (a
# game character two heads high comes to 11); an upright bird, the nearest of what is none, starts at 13. Joints off
# by 2 % of the height cost people up to 36.
SYMMETRIC_LIMIT, PER_UNEVENNESS, MOST_FORGIVEN = 11.5, 8.0, 25.0


@dataclass(frozen=True)
class Body:
    """One reading of a skeleton. spine: joints from above the hips to where the arms start; above: those from there
    to the head.

    costs: what speaks against a humanoid, by a sentence for the user.
    """

    hips: int
    legs: Pair
    spine: tuple[int, ...]
    arms: Pair
    above: tuple[int, ...]
    costs: dict[str, float] = field(default_factory=dict)

    @property
    def cost(self) -> float:
        return sum(self.costs.values())

    @property
    def limit(self) -> float:
        """The cost from which this is no humanoid. How uneven the limbs are tells how far off the joints are, and so
        what to forgive.
        """
        return SYMMETRIC_LIMIT + min(MOST_FORGIVEN, PER_UNEVENNESS * (self.legs.uneven + self.arms.uneven))


@dataclass
class Search:
    """What the search found: bodies, best first, and how far it came where there is none."""

    bodies: list[Body]
    legs: bool = False
    arms: bool = False


def search(tree: Tree) -> Search:
    """The best readings of the skeleton, X being its left and right."""
    found = Search([])
    arms_at: dict[int, list[Pair]] = {}
    for hips in tree.order:
        if tree.size[hips] < 14:
            continue
        legs = _legs(tree, hips)
        found.legs |= bool(legs)
        for pair in legs:
            taken = {limb.path[0] for limb in pair.limbs}
            for chest in tree.below(hips):
                if chest == hips or tree.size[chest] < 8 or tree.at[chest][2] <= tree.at[hips][2]:
                    continue
                spine = tree.path(hips, chest)[1:]
                if taken & set(spine):
                    continue
                if chest not in arms_at:
                    middle = tree.at[chest][0]
                    arms_at[chest] = pairs(tree, tree.children[chest], partial(arm_splits, tree, middle), middle)
                found.arms |= bool(arms_at[chest])
                for arms in arms_at[chest]:
                    found.bodies += _bodies(tree, hips, pair, spine, arms)
    found.bodies.sort(key=lambda body: body.cost)
    return found


def _legs(tree: Tree, hips: int) -> list[Pair]:
    roots = list(tree.children[hips])
    for child in tree.children[hips]:  # a pelvis joint between hips and thighs
        if len(tree.children[child]) >= 2 and tree.distance(hips, child) < 0.25 * tree.reach[child]:
            roots += tree.children[child]
    roots = [root for root in roots if tree.lowest[root] < tree.at[hips][2] - 0.3 * tree.reach[root]]
    return pairs(tree, roots, partial(leg_splits, tree, hips), tree.at[hips][0], 6)


def _bodies(tree: Tree, hips: int, legs: Pair, spine: list[int], arms: Pair) -> list[Body]:
    chest = spine[-1]
    taken = {limb.path[0] for limb in arms.limbs}
    shoulders = sum(tree.at[limb.joints[0]][2] for limb in arms.limbs) / 2
    torso = shoulders - tree.at[hips][2]
    if torso <= 0:
        return []
    heads = []
    for child in tree.children[chest]:
        if child not in taken:
            heads += _heads(tree, chest, child, shoulders, torso)
    heads.sort(key=lambda entry: entry[0])
    trunk = _trunk_costs(tree, hips, legs, spine, arms, shoulders, torso)
    costs = trunk | {
        "its legs do not bend like a person's": legs.cost,
        "its arms do not bend like a person's": arms.cost,
    }
    return [
        Body(hips, legs, tuple(spine), arms, above, costs | {"there is no head above its shoulders": cost})
        for cost, above in heads[:1]
    ]


def _heads(tree: Tree, chest: int, child: int, shoulders: float, torso: float) -> list[tuple[float, tuple[int, ...]]]:
    """(cost, joints from above the chest to the head) for each joint on the way up that could be the head."""
    path = [child]
    while len(path) < MOST_HEAD_JOINTS:
        up = [
            k for k in tree.children[path[-1]] if _rises(tree, path[-1], k) or tree.distance(path[-1], k) < 0.3 * torso
        ]
        if not up:
            break
        path.append(
            min(up, key=lambda k: abs(tree.at[k][0] - tree.at[chest][0]) - 0.3 * (tree.at[k][2] - tree.at[path[-1]][2]))
        )
    found, forked = [], 0.0
    for k, bone in enumerate(path):
        height = (tree.at[bone][2] - shoulders) / torso
        cost = log_cost(max(height, 0.03), 0.24, 0.55)
        (x, y, _), (x0, y0, _) = tree.at[bone], tree.at[chest]
        cost += over(math.hypot(x - x0, 0.5 * (y - y0)) / torso, 0.15, 0.12)
        steps = list(zip([chest, *path], path[: k + 1], strict=False))
        cost += sum(1.0 * (not _rises(tree, a, b)) * min(1.0, tree.distance(a, b) / (0.25 * torso)) for a, b in steps)
        doubled = (
            k + 1 < len(path) and tree.distance(bone, path[k + 1]) < 0.03 * torso
        )  # the head's own joint once more, for its face
        if k and tree.distance(path[k - 1], bone) < 0.03 * torso:
            cost += 1.5
        if k + 1 < len(path) and not doubled and tree.at[path[k + 1]][2] > tree.at[bone][2] - 0.15 * torso:
            crown = tree.distance(bone, path[k + 1]) / torso / max(height, 0.05)
            cost += 0.5 * (max(0.0, math.log(1.0 / max(crown, 1e-3))) / 0.45) ** 2
            cost += 0.5 * (max(0.0, 0.33 - tree.distance(bone, path[k + 1]) / torso) / 0.08) ** 2
        cost += forked
        carried = len(tree.children[path[k + 1] if doubled else bone])
        if carried >= 3:
            forked += 0.0 if doubled else 2.0
            cost -= 0.5
        elif carried == 2:
            forked += 0.5
        found.append((cost + 0.2 * max(0, k - 1), tuple(path[: k + 1])))
    return found


def _rises(tree: Tree, bone: int, child: int) -> bool:
    (x, y, z), (x1, y1, z1) = tree.at[bone], tree.at[child]
    return z1 - z > 0.8 * math.hypot(x1 - x, y1 - y)


def _trunk_costs(
    tree: Tree, hips: int, legs: Pair, spine: list[int], arms: Pair, shoulders: float, torso: float
) -> dict[str, float]:
    x0, y0, z0 = tree.at[hips]
    chest = tree.at[spine[-1]]
    leg = sum(limb.length(tree) for limb in legs.limbs) / 2
    arm = sum(limb.length(tree) for limb in arms.limbs) / 2
    feet = sum(tree.at[limb.joints[2]][2] for limb in legs.limbs) / 2
    hands = sum(tree.at[limb.joints[2]][2] for limb in arms.limbs) / 2
    thighs = [tree.at[limb.joints[0]] for limb in legs.limbs]
    upper = [tree.at[limb.joints[0]] for limb in arms.limbs]
    straight = math.dist(tree.at[hips], chest)
    lean = (chest[2] - z0) / max(straight, 1e-9)
    bow = sum(math.dist(tree.at[a], tree.at[b]) for a, b in zip([hips, *spine], spine, strict=False)) / max(
        straight, 1e-9
    )
    size = shoulders - feet
    depth = max(
        abs(sum(p[1] for p in thighs) / 2 - y0), 0.5 * abs(sum(tree.at[m.joints[2]][1] for m in legs.limbs) / 2 - y0)
    )
    hand_depth = abs(sum(tree.at[limb.joints[2]][1] for limb in arms.limbs) / 2 - chest[1])
    return {
        "its spine is not upright": over(1 - lean, 0.04, 0.05) + over(bow, 1.15, 0.1),
        "its spine is not in the middle": (
            sum(over(abs(tree.at[k][0] - x0) / size, 0.04, 0.03) for k in spine) / len(spine)
            + over(abs(sum(p[0] for p in upper) / 2 - x0) / size, 0.03, 0.03)
        ),
        "its legs are not between the torso and the ground": (
            log_cost(torso / leg, 0.8, 0.5)
            + log_cost((thighs[0][0] - thighs[1][0]) / leg, 0.26, 0.6)
            + over(depth / leg, 0.06, 0.05)
            + over(abs(sum(p[2] for p in thighs) / 2 - z0) / max(leg, torso), 0.25, 0.1)
        ),
        "its legs spread out from the hips": over(
            abs(tree.at[legs.plus.joints[2]][0] - tree.at[legs.minus.joints[2]][0] - thighs[0][0] + thighs[1][0]) / leg,
            0.15,
            0.12,
        ),
        "its arms do not have the proportions of a person's": (
            log_cost(arm / torso, 1.05, 0.35)
            + log_cost(arm / leg, 0.8, 0.4)
            + log_cost((upper[0][0] - upper[1][0]) / torso, 0.72, 0.45)
        ),
        "its arms rest on the ground": 0.5 * (max(0.0, 0.22 - (hands - feet) / size) / 0.06) ** 2,
        "its arms do not start at the chest": (
            over(abs(shoulders - chest[2]) / torso, 0.4, 0.12)
            + over(abs(sum(p[1] for p in upper) / 2 - chest[1]) / torso, 0.08, 0.08)
        ),
        "its arms point in an unusual direction": (
            over(hand_depth / arm, 0.2, 0.15) + over((hands - shoulders) / arm, 0.25, 0.15)
        ),
        "it has other limbs where arms should be": _other_limbs(tree, hips, spine, legs, arms, torso),
    }


def _other_limbs(tree: Tree, hips: int, spine: list[int], legs: Pair, arms: Pair, torso: float) -> float:
    """Long chains on both sides of the spine below the arms: then those were hair, ears or wings, and these
    the arms.
    """
    x0 = tree.at[hips][0]
    cost = 0.0
    for bone in spine[:-1]:
        aside = [k for k in tree.children[bone] if k not in spine and tree.size[k] >= 3 and tree.reach[k] > 0.5 * torso]
        left = any(max(tree.at[j][0] for j in tree.below(k)) - x0 > 0.4 * torso for k in aside)
        right = any(x0 - min(tree.at[j][0] for j in tree.below(k)) > 0.4 * torso for k in aside)
        cost += 2.5 * (left and right)
    return cost
