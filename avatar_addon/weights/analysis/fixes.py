# SPDX-License-Identifier: GPL-3.0-or-later
"""What fixes a place: new weights for some vertices. No bpy.

Every function returns (rows, weights): indices of vertices (n,) and their new weights (n, J), bones in the order of
the skin's names, at most four a vertex, sums 1. locked: (J,) bool, bones whose weights stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...mesh.measures import to_segment
from ...report.limits import LIMITS
from ...report.measured import LIMBS
from ...vrm.spec.human_bones import PARENTS
from .skin import LEAST, WeightedSkin

MOST = int(LIMITS["influences"].good)
PART = 0.05  # of a vertex: from this share on it is a limb's
BORDER = 3  # rings of vertices over which a limb's new weights go over into those around
MARGIN = 2  # rings around a place that are smoothed with it
ROUNDS = 25
SAME = 1e-4  # weights that differ less are the same
CLOSENESS = 4  # exponent by which a finger takes what lies near it

Change = tuple[np.ndarray, np.ndarray]


def settle(skin: WeightedSkin, rows: np.ndarray, wanted: np.ndarray, locked: np.ndarray) -> Change:
    """Wanted weights (n, J) as they can be: locked bones keep theirs, the strongest four stay, sums are 1. Rows that
    stay are left out.
    """
    old = skin.weights[rows]
    held = np.where(locked, old, 0.0)
    free = np.where(locked, 0.0, np.maximum(wanted, 0.0))
    nothing = free.sum(1) <= LEAST
    free[nothing] = np.where(locked, 0.0, old[nothing])
    places = MOST - (held > LEAST).sum(1, keepdims=True)
    order = np.argsort(-free, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(free.shape[1])[None].repeat(len(free), 0), 1)
    free = np.where((rank < places) & (free > 1e-3 * free.max(1, keepdims=True)), free, 0.0)
    room = np.maximum(1 - held.sum(1, keepdims=True), 0.0)
    total = free.sum(1, keepdims=True)
    new = held + np.where(total > 0, free * room / np.where(total > 0, total, 1.0), 0.0)
    changed = np.abs(new - old).max(1, initial=0) > SAME / 10
    return rows[changed], new[changed]


def normalise(skin: WeightedSkin, locked: np.ndarray) -> Change:
    """Every vertex that follows too many bones, or whose weights do not sum to 1."""
    wrong = ((skin.weights > LEAST).sum(1) > MOST) | (np.abs(skin.total - 1) > SAME)
    rows = np.flatnonzero(wrong & ~skin.empty)
    return settle(skin, rows, skin.even[rows], locked)


def bind(skin: WeightedSkin, rows: np.ndarray, bone: int, locked: np.ndarray) -> Change:
    """The whole loose parts that these vertices are of follow one bone alone."""
    rows = np.flatnonzero(np.isin(skin.island, np.unique(skin.island[rows])))
    wanted = np.zeros((len(rows), len(skin.names)))
    wanted[:, bone] = 1
    return settle(skin, rows, wanted, locked)


def smooth(skin: WeightedSkin, rows: np.ndarray, locked: np.ndarray, rounds: int = ROUNDS) -> Change:
    """The weights around a place go evenly over into each other: each round the mean of the neighbours, from the ring
    beyond inwards.
    """
    some = np.zeros(len(skin.rest), bool)
    some[rows] = True
    rows = np.flatnonzero(skin.grown(some, MARGIN))
    return settle(skin, rows, _averaged(skin, skin.even, rows, rounds)[rows], locked)


def fill(skin: WeightedSkin, rows: np.ndarray, locked: np.ndarray) -> Change:
    """Vertices without weights within a skin that has them take those of their neighbours, ring by ring, and blend."""
    weights, known = skin.even.copy(), ~skin.empty
    a, b = skin.edges.T
    missing = np.zeros(len(skin.rest), bool)
    missing[skin.weld[rows]] = True
    while True:
        at = missing[a] & known[b] & ~known[a]
        if not at.any():
            break
        sums, points = _sums(weights, a[at], b[at])
        weights[points] = sums / np.maximum(sums.sum(1, keepdims=True), LEAST)
        known[points] = True
    filled = rows[known[skin.weld[rows]]]
    weights[filled] = weights[skin.weld[filled]]
    return settle(skin, filled, _averaged(skin, weights, filled, ROUNDS)[filled], locked)


def close(skin: WeightedSkin, locked: np.ndarray) -> Change:
    """Vertices at the same place get the same weights, the mean of theirs; those without weights do not count."""
    count = np.bincount(skin.weld[~skin.empty], minlength=len(skin.rest))
    rows = np.flatnonzero(np.bincount(skin.weld, minlength=len(skin.rest))[skin.weld] > 1)
    rows = rows[count[skin.weld[rows]] > 0]
    if not len(rows):
        return rows, np.zeros((0, len(skin.names)))
    order = np.argsort(skin.weld[rows], kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.r_[True, np.diff(skin.weld[rows]) > 0])
    mean = np.add.reduceat(skin.even[rows], starts) / count[skin.weld[rows[starts]]][:, None]
    wanted = np.repeat(mean, np.diff(np.r_[starts, len(rows)]), axis=0)
    apart = np.abs(wanted - skin.even[rows]).max(1) > SAME
    return settle(skin, rows[apart], wanted[apart], locked)


def reweight(
    skin: WeightedSkin, fresh: Mapping[str, np.ndarray], limb: str, place: np.ndarray, locked: np.ndarray
) -> Change:
    """New weights for a limb's skin: what a rigger gives (VRM bone -> (V,)), blended into what is around.

    limb: of find.PARTS; place: (n,) vertices that are to be taken from it whatever they are weighted to. The limb's
    skin is what follows it now and what should. A bone that the rigger does not know, such as a finger or a twist
    bone, keeps its share of its parent's skin, and skin that follows hair or cloth bones stays as it is.
    """
    wanted = with_details(skin, fresh)
    mine = members(skin, limb)
    aside = np.array([k not in skin.bones.values() for k in range(len(skin.names))]) & ~mine
    region = (wanted[:, mine].sum(1) > PART) | (skin.even[:, mine].sum(1) > PART)
    region &= skin.even[:, aside].sum(1) <= 0.5
    region[place] = True
    region |= skin.grown(region, 1) & skin.empty
    amount = region.astype(float)[:, None]
    near = np.flatnonzero(skin.grown(region, BORDER))
    amount = _averaged(skin, amount, near, BORDER)[:, 0]
    amount[place] = 1
    amount[skin.empty] = region[skin.empty]
    rows = np.flatnonzero(amount > 0)
    a = amount[rows, None]
    return settle(skin, rows, a * wanted[rows] + (1 - a) * skin.even[rows], locked)


def members(skin: WeightedSkin, limb: str) -> np.ndarray:
    """(J,) bool: the bones of a part of the body (find.PARTS), with what hangs from them."""
    limbs = [LIMBS[name][0] for name in LIMBS]
    roots = [LIMBS[limb][0]] if limb in LIMBS else ["neck", "head"] if limb == "head" else ["hips"]
    out = np.zeros(len(skin.names), bool)
    for root in roots:
        if root in skin.bones:
            out[list(skin.below[skin.bones[root]])] = True
    if limb == "torso":
        for root in (*limbs, "neck", "head"):
            if root in skin.bones:
                out[list(skin.below[skin.bones[root]])] = False
    return out


def with_details(skin: WeightedSkin, fresh: Mapping[str, np.ndarray]) -> np.ndarray:
    """(V, J) a rigger's weights on the bones that this skin has: those it lacks fall to their parent, and what a bone
    of the rigger's has is divided among it and the bones below that the rigger does not know, as it is now, or by
    nearness among fingers.
    """
    out = np.zeros_like(skin.even)
    for name, weight in fresh.items():
        target: str | None = name
        while target is not None and target not in skin.bones:
            target = PARENTS.get(target)
        out[:, skin.bones[target] if target else skin.bones["hips"]] += weight
    known = {skin.bones[name] for name in fresh if name in skin.bones}
    names = {k: name for name, k in skin.bones.items()}
    for bone in known:
        family = [bone, *(k for k in skin.below[bone] if k not in known and _above(skin, k, known) == bone)]
        if len(family) == 1:
            continue
        rows = np.flatnonzero(out[:, bone] > 0)
        now = skin.even[rows][:, family]
        total = now.sum(1, keepdims=True)
        fingers = [k for k in family if k in names]
        apart = np.stack([to_segment(skin.rest[rows], skin.joints[k], skin.tails[k])[0] for k in fingers], 1)
        near = np.zeros_like(now)
        near[:, [family.index(k) for k in fingers]] = (1 / np.maximum(apart, LEAST)) ** CLOSENESS
        part = np.where(total > PART, now / np.maximum(total, PART), near / near.sum(1, keepdims=True))
        out[rows[:, None], family] = out[rows, bone][:, None] * part
    return out


def _above(skin: WeightedSkin, bone: int, known: set[int]) -> int:
    bone = skin.parents[bone]
    while bone >= 0 and bone not in known:
        bone = skin.parents[bone]
    return bone


def _averaged(skin: WeightedSkin, values: np.ndarray, rows: np.ndarray, rounds: int) -> np.ndarray:
    """(V, k) values of which those of `rows` became their neighbours' mean, so many times; vertices at one place have
    one value.
    """
    out = values.copy()
    free = np.zeros(len(out), bool)
    free[skin.weld[rows]] = True
    near = skin.edges[free[skin.edges[:, 0]]]
    near = near[(out[near[:, 1]].sum(1) > 0) | free[near[:, 1]]]  # what has no weights has nothing to give
    if len(near):
        for _ in range(rounds):
            sums, points = _sums(out, near[:, 0], near[:, 1])
            out[points] = sums / np.bincount(near[:, 0], minlength=len(out))[points][:, None]
    out[rows] = out[skin.weld[rows]]
    return out


def _sums(values: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of values[b] for each of the points in `a`, which is sorted; (sums, points)."""
    starts = np.flatnonzero(np.r_[True, np.diff(a) > 0])
    return np.add.reduceat(values[b], starts), a[starts]
