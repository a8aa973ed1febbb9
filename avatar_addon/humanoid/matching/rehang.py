# SPDX-License-Identifier: GPL-3.0-or-later
"""Game rigs made for inverse kinematics: the feet hang from the root, or the legs beside the hips. Where a skeleton is
no humanoid, bones that would make it one are hung where they belong; so are arms on the neck and fingers on the
forearm, which cost a humanoid its neck and those fingers. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from .matcher import Match, match
from .names import read_names
from .tree import Tree

ALIKE = 0.03  # of the skeleton's size that a bone may be off its counterpart's mirrored place
NEAR_GROUND = 0.2  # of the size that a foot's joint may lie above the lowest
BELOW = 0.35  # of the size that a foot may lie aside of its knee
NEAR_HAND = 0.4  # of the forearm that a finger may start before the wrist
MOST_PAIRS = 6


def rehung(heads: np.ndarray, parents: Sequence[int], names: Sequence[str]) -> tuple[dict[int, int], Match] | None:
    """(bone -> its new parent, the match then) of a skeleton that `match` refuses; None where nothing helps."""
    tree = Tree(np.asarray(heads, float), parents)
    best: tuple[dict[int, int], Match] | None = None
    for legs in ({}, *_legs_to_hips(tree)):
        changed = [legs.get(bone, parent) for bone, parent in enumerate(parents)]
        for feet in ({}, *_feet_to_knees(Tree(tree.heads, changed), names)):
            moves = legs | feet
            if not moves:
                continue
            found = match(heads, [moves.get(bone, parent) for bone, parent in enumerate(parents)], names)
            if found.humanoid and (best is None or found.confidence > best[1].confidence + 1e-3):
                best = moves, found
    return best


def stray_fingers(
    heads: np.ndarray, parents: Sequence[int], names: Sequence[str], found: Match
) -> tuple[dict[int, int], Match] | None:
    """(bone -> hand, the match then) of fingers that hang from the forearm, beside their hand; None without any."""
    tree, read = Tree(np.asarray(heads, float), parents), read_names(names)
    moves: dict[int, int] = {}
    for side in ("left", "right"):
        lower, hand = (found.mapping.get(f"{side}{part}", -1) for part in ("LowerArm", "Hand"))
        if min(lower, hand) < 0 or tree.parents[hand] != lower:
            continue
        near = NEAR_HAND * tree.distance(lower, hand)
        moves |= {
            bone: hand
            for bone in tree.children[lower]
            if bone != hand and 2 <= tree.size[bone] <= 4 and tree.distance(bone, hand) < near and not read[bone].kind
        }
    if not moves:
        return None
    again = match(heads, [moves.get(bone, parent) for bone, parent in enumerate(parents)], names)
    return (moves, again) if set(moves) <= set(again.mapping.values()) else None


def stray_arms(
    heads: np.ndarray, parents: Sequence[int], names: Sequence[str], found: Match
) -> tuple[dict[int, int], Match] | None:
    """(bone -> what the neck hangs from, the match then) of arms that hang from the neck, which VRM forbids; None
    without any.
    """
    tree, read = Tree(np.asarray(heads, float), parents), read_names(names)
    path = tree.path(found.mapping["hips"], found.mapping["head"])
    necks = [bone for bone in path[2:-1] if found.mapping.get("neck") == bone or read[bone].role == "neck"]
    if not necks:
        return None
    arms = [tree.path(necks[0], found.mapping[f"{side}UpperArm"]) for side in ("left", "right")]
    moves = {arm[1]: tree.parents[necks[0]] for arm in arms if arm}
    if not moves:
        return None
    again = match(heads, [moves.get(bone, parent) for bone, parent in enumerate(parents)], names)
    return (moves, again) if again.mapping.get("neck") == necks[0] else None


def _pairs(tree: Tree, bones: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Bones that lie side by side at one height, with the skeleton's middle between them."""
    size = float(np.ptp(tree.heads, axis=0).max()) or 1.0
    middle = np.median(tree.heads, axis=0)
    for a, b in combinations(bones, 2):
        apart = tree.heads[a] - tree.heads[b]
        wide = float(np.hypot(apart[0], apart[1]))
        if wide < ALIKE * size or abs(apart[2]) > ALIKE * size or tree.size[a] != tree.size[b]:
            continue
        across = apart[:2] / wide
        off = ((tree.heads[a] + tree.heads[b]) / 2 - middle)[:2] @ across
        if abs(off) < 2 * ALIKE * size:
            yield a, b


def _legs_to_hips(tree: Tree) -> Iterator[dict[int, int]]:
    """Two chains beside a third that carries the rest of the body: they hang from it then."""
    for root, children in enumerate(tree.children):
        if len(children) < 3 or (tree.parents[root] >= 0 and len(tree.children[tree.parents[root]]) > 1):
            continue
        hips = max(children, key=lambda bone: tree.size[bone])
        for a, b in list(_pairs(tree, [bone for bone in children if bone != hips]))[:MOST_PAIRS]:
            if tree.lowest[a] < tree.at[hips][2] and tree.size[a] < tree.size[hips]:
                yield {a: hips, b: hips}


def _feet_to_knees(tree: Tree, names: Sequence[str]) -> Iterator[dict[int, int]]:
    """Two bones near the ground that hang from above the legs, and two chains that end above them."""
    low, size = tree.heads[:, 2].min(), float(np.ptp(tree.heads, axis=0).max()) or 1.0
    control = {bone for bone, name in enumerate(read_names(names)) if name.kind in ("control", "end")}
    grounded = [
        k for k, at in enumerate(tree.at) if at[2] < low + NEAR_GROUND * size and tree.size[k] < 6 and k not in control
    ]
    ends = [k for k, below in enumerate(tree.children) if not set(below) - control and tree.parents[k] >= 0]
    knees = [k for k in ends if tree.at[tree.parents[k]][2] > tree.at[k][2] > low + 0.05 * size]
    for knee_pair in list(_pairs(tree, knees))[:MOST_PAIRS]:
        for foot_pair in list(_pairs(tree, grounded))[:MOST_PAIRS]:
            feet = sorted(foot_pair, key=lambda bone: np.hypot(*(tree.heads[bone] - tree.heads[knee_pair[0]])[:2]))
            moves = dict(zip(feet, knee_pair, strict=True))
            if all(_below(tree, foot, knee, size) for foot, knee in moves.items()):
                yield moves


def _below(tree: Tree, foot: int, knee: int, size: float) -> bool:
    aside = float(np.hypot(*(tree.heads[foot] - tree.heads[knee])[:2]))
    hangs_there = bool(tree.path(foot, knee)) or tree.parents[foot] == knee
    return not hangs_there and tree.at[foot][2] < tree.at[knee][2] and aside < BELOW * size
