# SPDX-License-Identifier: GPL-3.0-or-later
"""Which chains at a hand are fingers, and which finger each is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .tree import Tree

LONGEST = 1.25  # of the forearm, from the wrist to a finger's last joint; what reaches farther is held, not grown
# of the palm, as a spread of the fingers: how much their usual direction, front to back, counts against the measured
USUAL = 0.15
# Fingers nearer to each other than this share of the mean gap are taken in the file's order, if it correlates so well
# with theirs.
LISTED, TREND = 0.4, 0.75
THUMB = 0.5  # how much a chain must stand apart to be a thumb (see `_apart`)


@dataclass(frozen=True)
class Hand:
    """fingers: "Thumb" ... -> joints, nearest first; metacarpals: joints in the palm that VRM has no bone for.

    forward: how far the thumb lies towards -Y from the other fingers, in palm lengths; None where no thumb was found.
    clear: 0 to 1, how well the order of the fingers can be told.
    """

    fingers: dict[str, tuple[int, ...]]
    metacarpals: tuple[int, ...] = ()
    forward: float | None = None
    clear: float = 1.0


def read_hand(tree: Tree, lower: int, hand: int) -> Hand:
    """The fingers of a hand. lower: the forearm's joint. The palm may face down, inwards or forwards."""
    forearm = tree.distance(lower, hand)
    chains = _chains(tree, hand, forearm)
    if not chains:
        return Hand({})
    along = _unit(tree.heads[hand] - tree.heads[lower])
    if len(chains) > 1:
        along = _unit(along + _unit(np.mean([tree.heads[c].mean(0) for c in chains], axis=0) - tree.heads[hand]))
    thumb = _thumb(tree, hand, chains, along)
    chains, palms = _without_metacarpals(tree, hand, chains, thumb)
    others = [chain for k, chain in enumerate(chains) if k != thumb]
    palm = float(np.median([tree.distance(hand, chain[0]) for chain in others or chains])) or 1.0
    forward = None
    if thumb is not None and others:
        forward = (_middle(tree, others)[1] - _middle(tree, [chains[thumb]])[1]) / palm
    others, clear = _ordered(tree, hand, others, chains[thumb] if thumb is not None else None, along, palm)
    order = ("Index", "Middle", "Ring", "Little") if len(others) > 1 else ("Middle",)  # a mitten's moves them all
    fingers = dict(zip(order, others, strict=False))
    if thumb is not None:
        fingers = {"Thumb": chains[thumb]} | fingers
    return Hand({name: tuple(chain[:3]) for name, chain in fingers.items()}, tuple(palms), forward, clear)


def _chains(tree: Tree, hand: int, forearm: float) -> list[list[int]]:
    """Joints of each chain that may be a finger; at most five."""
    roots = []
    for child in tree.children[hand]:
        forks = [k for k in tree.children[child] if tree.size[k] >= 2]
        roots += forks if len(forks) >= 2 else [child]  # a palm bone that carries fingers
    chains = []
    for root in roots:
        chain = [root]
        while tree.children[chain[-1]]:
            chain.append(max(tree.children[chain[-1]], key=lambda k: (tree.size[k], tree.reach[k])))
        far = max(tree.distance(hand, k) for k in chain)
        if far <= LONGEST * forearm and (tree.distance(hand, root) > 0 or len(chain) > 1) and len(chain) <= 6:
            chains.append(chain)
    if any(len(chain) > 1 for chain in chains):
        chains = [chain for chain in chains if len(chain) > 1]
    elif len(chains) < 2:
        return []
    if len(chains) > 5:
        length = [sum(tree.distance(a, b) for a, b in zip([hand, *c], c, strict=False)) + 1e-9 for c in chains]
        usual = float(np.median(length))
        order = sorted(range(len(chains)), key=lambda k: abs(math.log(length[k] / usual)))
        chains = [chains[k] for k in sorted(order[:5])]
    return chains


def _thumb(tree: Tree, hand: int, chains: list[list[int]], along: np.ndarray) -> int | None:
    apart = [_apart(tree, hand, chains, k, along) for k in range(len(chains))]
    best = int(np.argmax(apart))
    return best if apart[best] > THUMB else None


def _apart(tree: Tree, hand: int, chains: list[list[int]], k: int, along: np.ndarray) -> float:
    """How a chain differs from the others: its tip reaches less far along the hand, and it points aside."""
    chain = chains[k]
    start = tree.heads[chain[0]] if len(chain) > 1 else tree.heads[hand]
    way = _unit(tree.heads[chain[-1]] - start)
    rest = [c for i, c in enumerate(chains) if i != k]
    if not rest:
        return math.acos(float(np.clip(way @ along, -1, 1)))
    ways = [_unit(tree.heads[c[-1]] - (tree.heads[c[0]] if len(c) > 1 else tree.heads[hand])) for c in rest]
    angle = math.acos(float(np.clip(way @ _unit(np.mean(ways, axis=0)), -1, 1)))
    tips = [float((tree.heads[c[-1]] - tree.heads[hand]) @ along) for c in rest]
    bases = [float((tree.heads[c[0]] - tree.heads[hand]) @ along) for c in rest]
    short = 1 - float((tree.heads[chain[-1]] - tree.heads[hand]) @ along) / max(float(np.median(tips)), 1e-9)
    low = 1 - float((tree.heads[chain[0]] - tree.heads[hand]) @ along) / max(float(np.median(bases)), 1e-9)
    return 0.6 * angle + 0.6 * max(-1.0, short) + 0.4 * max(-0.5, low)


def _without_metacarpals(
    tree: Tree, hand: int, chains: list[list[int]], thumb: int | None
) -> tuple[list[list[int]], list[int]]:
    """A bone that fills the palm starts near the wrist and is long; the thumb's own metacarpal stays."""

    def fills(chain: list[int]) -> bool:
        share = 0.8 if len(chain) > 3 else 0.6  # three joints are a whole finger more often
        return len(chain) >= 3 and tree.distance(hand, chain[0]) < share * tree.distance(chain[0], chain[1])

    others = [k for k in range(len(chains)) if k != thumb]
    if not others or sum(fills(chains[k]) for k in others) < 0.75 * len(others):
        return chains, []
    palms = [chains[k][0] for k in others if fills(chains[k])]
    return [chain[1:] if k in others and fills(chain) else chain for k, chain in enumerate(chains)], palms


def _ordered(
    tree: Tree, hand: int, others: list[list[int]], thumb: list[int] | None, along: np.ndarray, palm: float
) -> tuple[list[list[int]], float]:
    """From the thumb's side to the little finger's, and how clearly they lie apart."""
    if len(others) < 2:
        return others, 1.0
    middles = np.array([tree.heads[chain].mean(0) for chain in others])
    flat = middles - middles.mean(0)
    flat = flat - np.outer(flat @ along, along)
    front = np.array([0.0, -1.0, 0.0]) - along * -along[1]
    usual = (
        np.outer(front, front) * len(others) * (USUAL * palm) ** 2
    )  # palms face down or inwards more often than forwards
    across = np.linalg.eigh(flat.T @ flat + usual)[1][:, -1]
    towards = -across[1]  # without a thumb: the palms face down or inwards, and the index finger is in front
    if thumb is not None:
        towards += 3.0 * float((tree.heads[thumb].mean(0) - middles.mean(0)) @ across) / palm
    place = flat @ (across * (1.0 if towards >= 0 else -1.0))
    order = np.argsort(-place)
    gaps = -np.diff(place[order]) / palm
    gap = float(gaps.min())
    if (
        gap < LISTED * gaps.mean()
    ):  # uneven, so misplaced: riggers list the fingers in their order, from one side or the other
        listed = np.arange(len(others))
        trend = float(np.corrcoef(place, listed)[0, 1]) if np.ptp(place) > 0 else 0.0
        if abs(trend) > TREND:
            order = listed if trend < 0 else listed[::-1]
    return [others[k] for k in order], min(1.0, 0.3 + gap / 0.12 * 0.7)


def _middle(tree: Tree, chains: list[list[int]]) -> np.ndarray:
    return np.mean([tree.heads[chain].mean(0) for chain in chains], axis=0)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
