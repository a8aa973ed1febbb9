# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the arms that move are the arms that are seen: their skin lies around their bones, all along them, beside the
body hangs nothing that looks like another arm, and nothing is torn off.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..mesh.islands import island_of
from ..mesh.measures import to_segment, triangle_areas
from .limits import LIMITS, Check, line
from .measured import LIMBS, Measured

HAND = 0.6  # of the forearm: how far a hand reaches beyond the wrist
SHOULDER = 0.3  # of the upper arm: as far as the shoulder's skin goes
STRAY = 0.4  # of the arm's length: skin that is farther from its bones is no arm
FIX = "Use a picture or model with the arms away from the body, or move the arm markers and make the avatar again."
ROOT, SAMPLES = 0.3, 9  # of the upper arm: from here on it has skin all around; places along each bone
TIP = 0.4  # of the forearm: how far beyond the wrist there is still a hand
AIR = 0.01  # of the height: a gap that is seen
FAR = 1000  # such gaps: beyond, distances do not count
A_LIMB = 0.03  # of the skin: so much in one piece is no scrap; some robots have floating arms
CLOSE = 1e-5  # metres within which two vertices are one point of the skin
TOUCHES = 0.05  # of the height: a hand's palm is so far from what it holds, at most
MOST = 600  # points that a distance between two pieces is measured with
BESIDE = 1.8  # of half of the distance between the shoulders: the widest body


def arms(m: Measured) -> Iterator[Check]:
    """Needs the required bones and skin, in T-pose."""
    girth, stray = arm_shape(m)
    yield line(
        "arm_girth",
        "Thickness of the arms",
        LIMITS["arm_girth"].judge(girth),
        f"{100 * girth:.0f} % of their length",
        "hair, a cape or part of the body is joined to an arm and moves with it",
        "generate",
        FIX,
    )
    yield line(
        "arm_stray",
        "Arms around their bones",
        LIMITS["arm_stray"].judge(stray),
        f"{100 * stray:.1f} % of the skin",
        "something that is not an arm is lifted together with the arm",
        "generate",
        FIX,
    )
    gap = arm_gap(m)
    yield line(
        "arm_gap",
        "Arms and hands complete",
        LIMITS["arm_gap"].judge(gap),
        f"{100 * gap:.0f} % of the arm's length from bone to skin",
        "an arm or a hand is missing, or it is not where its bones are",
        "generate",
        FIX,
    )
    scraps = loose_share(m)
    yield line(
        "scraps",
        "Nothing torn off",
        LIMITS["scraps"].judge(scraps),
        f"{100 * scraps:.1f} % of the skin",
        "pieces float in the air beside the body, torn off an arm or a sleeve",
        "generate",
        FIX,
    )
    value = beside_share(m)
    yield line(
        "beside",
        "Nothing hangs beside the body",
        LIMITS["beside"].judge(value),
        f"{100 * value:.1f} % of the skin",
        "a second arm, a sleeve or a sheet of cloth stays behind when the arms move",
        "generate",
        FIX,
    )


def arm_shape(m: Measured) -> tuple[float, float]:
    """(the wider arm's median distance from its bones over its length, the share of all skin that an arm holds far
    from its bones, of the worse arm). What a hand holds, such as a sword or a shield, is no part of the arm.
    """
    area, girth, stray = triangle_areas(m.rest, m.triangles), 0.0, 0.0
    piece = pieces(m)
    for side in ("left", "right"):
        upper, lower, hand = (m.heads[name] for name in LIMBS[f"{side}Arm"])
        length = max(float(np.linalg.norm(hand - upper)), 1e-9)
        off, along = to_segment(m.rest, upper, lower)
        off = np.minimum(off, to_segment(m.rest, lower, hand + HAND * (hand - lower))[0])
        held = m.held_by(f"{side}UpperArm") & ~held_things(m, side, piece)
        beyond = held & (along > SHOULDER)
        if beyond.any():
            girth = max(girth, float(np.median(off[beyond])) / length)
        far = held[m.triangles].all(1) & (off[m.triangles].mean(1) > STRAY * length)
        stray = max(stray, float(area[far].sum() / max(float(area.sum()), 1e-12)))
    return girth, stray


def pieces(m: Measured) -> np.ndarray:
    """(V,) a number for each piece of skin that hangs together; vertices at one place are one."""
    keys = np.round(np.nan_to_num(m.rest) / CLOSE).astype(np.int64)
    _, place = np.unique(keys, axis=0, return_inverse=True)
    place = place.reshape(-1)
    return island_of(place[m.triangles], int(place.max(initial=-1)) + 1)[place]


def held_things(m: Measured, side: str, piece: np.ndarray) -> np.ndarray:
    """(V,) what a hand holds: pieces of their own that follow nothing but the hand's bones, and touch it or another
    such thing. piece: `pieces`.
    """
    in_hand = m.held_by(f"{side}Hand")
    whole = np.bincount(piece, ~in_hand, len(piece)) == 0
    alone = whole[piece] & in_hand
    things = np.zeros(len(piece), bool)
    loose = {int(number): np.flatnonzero(piece == number) for number in np.unique(piece[alone])}
    touched = np.flatnonzero(in_hand & ~alone)
    if not len(touched) and loose:  # the hand is a piece of its own, as robots have them
        arm = m.rest[m.held_by(f"{side}LowerArm") & ~in_hand]
        wrist = arm if len(arm) else m.heads[f"{side}Hand"][None]
        touched = loose.pop(min(loose, key=lambda number: _gap(m.rest[loose[number]], wrist)))
    near = TOUCHES * max(float(np.ptp(m.rest[:, 1])), 1e-6)
    while loose and len(touched):
        found = [number for number, some in loose.items() if _gap(m.rest[some], m.rest[touched]) < near]
        if not found:
            break
        touched = np.concatenate([loose.pop(number) for number in found])
        things[touched] = True
    return things


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    """The least distance between two sets of points (n, 3), of at most MOST of each."""
    a, b = (points[:: -(-len(points) // MOST)] for points in (a, b))
    return float(np.linalg.norm(a[:, None] - b[None], axis=2).min())


def arm_gap(m: Measured) -> float:
    """The farthest that a place on an arm's bones is from the arm's own skin, over the arm's length; the worse arm."""
    worst = 0.0
    for side in ("left", "right"):
        upper, lower, hand = (m.heads[name] for name in LIMBS[f"{side}Arm"])
        own = m.rest[m.held_by(f"{side}UpperArm")]
        if not len(own):
            return 1.0
        length = max(float(np.linalg.norm(lower - upper) + np.linalg.norm(hand - lower)), 1e-9)
        share = np.linspace(0, 1, SAMPLES)[:, None]
        root, tip = upper + ROOT * (lower - upper), hand + TIP * (hand - lower)
        for place in np.concatenate([root + share * (lower - root), lower + share * (tip - lower)]):
            worst = max(worst, float(np.linalg.norm(own - place, axis=1).min()) / length)
    return min(worst, 1.0)


def loose_share(m: Measured) -> float:
    """0 to 1: of all skin, how much are scraps that neither touch the body nor anything that does."""
    if not np.isfinite(m.rest).all():
        return 0.0  # another check says it
    cell = AIR * max(float(np.ptp(m.rest[:, 1])), 1e-6)
    at = np.floor(np.clip((m.rest - m.heads["hips"]) / cell, -FAR, FAR)).astype(np.int64)
    strides = np.array([(2 * FAR + 3) ** 2, 2 * FAR + 3, 1])
    keys, number = np.unique(at @ strides, return_inverse=True)
    number = number.reshape(-1)
    links = [number[m.triangles]]
    for step in np.ndindex(3, 3, 3):
        beside = keys + (np.array(step) - 1) @ strides
        found = np.minimum(np.searchsorted(keys, beside), len(keys) - 1)
        there = np.flatnonzero((keys[found] == beside) & (found > np.arange(len(keys))))
        links.append(np.column_stack([there, found[there], there]))
    piece = island_of(np.concatenate(links), len(keys))[number[m.triangles[:, 0]]]
    area = np.bincount(piece, weights=triangle_areas(m.rest, m.triangles))
    whole = max(float(area.sum()), 1e-12)
    return float(area[area < A_LIMB * whole].sum() / whole)


def beside_share(m: Measured) -> float:
    """0 to 1: of all skin, how much neither arms nor head hold, between hips and neck and far beside the body."""
    limbs = np.any([m.held_by(f"{side}UpperArm") for side in ("left", "right")], axis=0)
    hips, neck = m.heads["hips"], m.heads.get("neck", m.heads["head"])
    half = abs(float(m.heads["leftUpperArm"][0] - m.heads["rightUpperArm"][0])) / 2
    height = m.rest[:, 1]
    body = ~limbs & ~m.in_head & (height > hips[1]) & (height < neck[1])
    here = body[m.triangles].all(1) & (np.abs(m.rest[m.triangles, 0].mean(1) - hips[0]) > BESIDE * half)
    area = triangle_areas(m.rest, m.triangles)
    return float(area[here].sum() / max(float(area.sum()), 1e-12))
