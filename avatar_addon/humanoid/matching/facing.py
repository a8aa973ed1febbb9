# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the two directions across left and right a body faces, by evidence added as log odds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .body import Body
from .fingers import Hand
from .names import Name
from .tree import Tree

CONVENTION = 4.0  # log odds that a character faces as the caller says it does
SURE, AGAINST = 2.0, 1.0


@dataclass(frozen=True)
class Facing:
    """odds: log odds that the body faces -Y; expected, named: parts of them."""

    odds: float
    expected: float = 0.0
    named: float = 0.0

    @property
    def sure(self) -> bool:
        """Neither undecided nor held by the expectation alone against what is seen."""
        seen = self.odds - self.expected
        return abs(self.odds) >= SURE and seen * np.sign(self.odds) > -AGAINST

    @property
    def disputed(self) -> bool:
        """The names' left and right are not where the body's shape puts them."""
        shape = self.odds - self.named
        return self.named * shape < 0 and abs(self.named) > SURE and abs(shape) > CONVENTION + SURE


def facing(tree: Tree, body: Body, hands: Sequence[Hand], read: Sequence[Name], expected: float) -> Facing:
    """expected: log odds of -Y before looking. The evidence is symmetric: seen from behind, all of it changes sign."""
    seen = [expected]
    feet = [tree.at[limb.joints[2]][2] for limb in body.legs.limbs]
    height = max(tree.at[body.above[-1]][2] - sum(feet) / 2, 1e-9)

    def add(size: float, limit: float) -> None:
        seen.append(float(np.clip(size, -limit, limit)))

    toes = [tree.at[m.joints[2]][1] - tree.at[m.extra][1] for m in body.legs.limbs if m.extra >= 0]
    if toes:
        add(2.0 * float(np.mean(toes)) / (0.03 * height), 5.0)
    forward = [hand.forward for hand in hands if hand.forward is not None]
    if forward:
        add(2.5 * float(np.mean(forward)), 1.5 if len(forward) == 2 else 0.8)
    knees = [_bend(tree, limb.joints) for limb in body.legs.limbs]
    add(0.5 * float(np.mean(knees)) / (0.015 * height), 1.0)
    elbows = [_bend(tree, limb.joints) for limb in body.arms.limbs]
    add(-0.5 * float(np.mean(elbows)) / (0.015 * height), 1.0)
    add(_eyes(tree, body, read, height), 4.0)
    add(_tail(tree, body, height), 1.5)
    add(_hair(tree, body, height), 0.7)
    named = _named(tree, body, read)
    add(named, 8.0)
    return Facing(sum(seen), expected, named)


def _bend(tree: Tree, joints: tuple[int, int, int]) -> float:
    """How far the middle joint lies towards -Y of the straight line."""
    a, b, c = (tree.heads[k] for k in joints)
    way = c - a
    t = float(np.clip((b - a) @ way / max(float(way @ way), 1e-12), 0, 1))
    return float((a + t * way - b)[1])


def _eyes(tree: Tree, body: Body, read: Sequence[Name], height: float) -> float:
    """Bones below the head that are called eyes lie before its joint."""
    head = body.above[-1]
    ahead = [tree.at[head][1] - tree.at[k][1] for k in tree.below(head) if read and read[k].role == "Eye"]
    return 2.0 * float(np.mean(ahead)) / (0.03 * height) if ahead else 0.0


def _tail(tree: Tree, body: Body, height: float) -> float:
    legs = {limb.path[0] for limb in body.legs.limbs}
    x, y, _ = tree.at[body.hips]
    best = 0.0
    for child in tree.children[body.hips]:
        if (
            child in legs
            or child == body.spine[0]
            or tree.size[child] < 2
            or abs(tree.at[child][0] - x) > 0.04 * height
        ):
            continue
        ends = [tree.at[k][1] - y for k in tree.below(child)]
        far = max(ends, key=abs)
        if abs(far) > 0.12 * height and abs(far) > abs(best):
            best = far
    return 6.0 * best / height


def _hair(tree: Tree, body: Body, height: float) -> float:
    """Hair hangs down behind the head; in front it would hide the face."""
    head = body.above[-1]
    low = [tree.at[k][1] - tree.at[head][1] for k in tree.below(head) if tree.at[k][2] < tree.at[head][2]]
    return 6.0 * float(np.mean(low)) / height if len(low) > 2 else 0.0


def _named(tree: Tree, body: Body, read: Sequence[Name]) -> float:
    votes = 0
    for limb, side in (
        (body.legs.plus, "left"),
        (body.legs.minus, "right"),
        (body.arms.plus, "left"),
        (body.arms.minus, "right"),
    ):
        for joint in limb.joints:
            if read and read[joint].side:
                votes += 1 if read[joint].side == side else -1
    return 8.0 * votes / 12 if abs(votes) >= 4 else 0.0
