# SPDX-License-Identifier: GPL-3.0-or-later
"""Skeletons that are no humanoids, randomised: animals, vehicles and props. Metres, Blender's axes."""

from __future__ import annotations

import numpy as np

from .skeletons import Builder, Sample, finish


def sample(kind: str, rng: np.random.Generator) -> Sample:
    """One skeleton of a kind in KINDS, with an empty truth, in one of four directions."""
    built = Builder()
    KINDS[kind](built, rng)
    points = np.array(built.points) * rng.uniform(0.3, 4)
    points = points + rng.normal(size=points.shape) * 0.004 * float(np.ptp(points, axis=0).max())
    turn = rng.integers(4) * np.pi / 2
    c, s = np.cos(turn), np.sin(turn)
    built.labels = [":part"] * len(points)
    return finish(built, points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]), rng)


def _quadruped(b: Builder, r: np.random.Generator, neck: float = 0.5) -> None:
    height, long = 1.0, r.uniform(1.0, 1.6)
    hips = b.add(-1, (0, long / 2, height))
    spine = b.chain(
        hips,
        [(0, long / 2 - long * s, height + 0.05 * np.sin(3 * s)) for s in np.linspace(0.2, 1, int(r.integers(2, 6)))],
        ":",
    )
    way = np.array([0, -r.uniform(0.5, 1), neck + r.uniform(0, 0.8)])
    head = b.chain(spine, [b.points[spine] + way * s for s in np.linspace(0.2, 0.9, int(r.integers(2, 6)))], ":")
    b.add(head, b.points[head] + [0, -0.25, -0.05])
    for sign in (1, -1):
        b.add(head, b.points[head] + [sign * 0.08, 0.02, 0.12])
        for start, bend in ((hips, 0.12), (spine, -0.1)):
            at, count = b.points[start] * [0, 1, 0], int(r.integers(3, 5))
            steps = np.linspace(0.95, 0.0, count + 1)
            b.chain(start, [at + [sign * 0.16, bend * np.sin(6 * s), s * height] for s in steps], ":")
    if r.random() < 0.8:
        b.chain(hips, [(0, long / 2 + 0.15 * k, height - 0.1 * k) for k in range(1, int(r.integers(3, 7)))], ":")


def _bird(b: Builder, r: np.random.Generator) -> None:
    tilt = r.uniform(0.0, 0.75)  # of the trunk above the horizontal, radians
    fore = np.array([0, -np.cos(tilt), np.sin(tilt)])
    hips = b.add(-1, (0, 0, 0.45))
    chest = b.chain(hips, [b.points[hips] + fore * s for s in (0.15, 0.3)], ":")
    neck = fore * 0.4 + [0, 0, 0.6]
    b.chain(
        chest,
        [b.points[chest] + neck * s * r.uniform(0.4, 1.0) for s in np.linspace(0.2, 0.8, int(r.integers(2, 6)))],
        ":",
    )
    span = r.uniform(0.5, 1.2)
    for sign in (1, -1):
        way = np.array([sign, r.uniform(-0.1, 0.4), r.uniform(-0.3, 0.5)])
        tip = b.chain(
            chest,
            [b.points[chest] + [0.08 * sign, 0, 0] + way * span * s for s in np.linspace(0, 1, int(r.integers(3, 6)))],
            ":",
        )
        for k in range(int(r.integers(0, 4))):
            b.add(tip, b.points[tip] + np.array([sign * 0.05 * k, 0.15, -0.05]))
        leg = [(0.08, 0.02, 0.4), (0.09, -0.1, 0.25), (0.09, 0.08, 0.1), (0.09, 0.03, 0.01)]
        foot = b.chain(hips, [np.array(p) * [sign, 1, 1] for p in leg], ":")
        for k in (-1, 0, 1):
            b.add(foot, b.points[foot] + [0.05 * k, -0.08, 0])
    b.chain(hips, [b.points[hips] - fore * s for s in (0.15, 0.3)], ":")


def _penguin(b: Builder, r: np.random.Generator) -> None:
    """An upright bird: short legs, no elbows to speak of."""
    hips = b.add(-1, (0, 0, 0.25))
    chest = b.chain(hips, [(0, -0.02 * k, 0.25 + 0.13 * k) for k in (1, 2)], ":")
    b.chain(chest, [(0, -0.03, 0.65), (0, -0.05, 0.78), (0, -0.2, 0.78)], ":")
    for sign in (1, -1):
        b.chain(chest, [(sign * (0.14 + 0.05 * k), 0, 0.55 - 0.12 * k) for k in range(int(r.integers(2, 4)))], ":")
        foot = b.chain(hips, [(sign * 0.08, 0, 0.18), (sign * 0.1, -0.04, 0.12), (sign * 0.1, 0.02, 0.02)], ":")
        for k in (-1, 0, 1):
            b.add(foot, b.points[foot] + [0.05 * k, -0.1, 0])
    b.chain(hips, [(0, 0.1, 0.15), (0, 0.2, 0.08)], ":")


def _theropod(b: Builder, r: np.random.Generator) -> None:
    """A dinosaur on two legs: its trunk and tail lie level, its arms are short."""
    tilt = r.uniform(0.0, 0.6)
    fore = np.array([0, -np.cos(tilt), np.sin(tilt)])
    hips = b.add(-1, (0, 0, 1))
    chest = b.chain(hips, [b.points[hips] + fore * s for s in (0.2, 0.45, 0.7)], ":")
    head = b.chain(chest, [b.points[chest] + (fore + [0, 0, 1]) * s for s in (0.15, 0.3, 0.4)], ":")
    b.add(head, b.points[head] + [0, -0.4, 0])
    for sign in (1, -1):
        hand = b.chain(
            chest,
            [b.points[chest] + [0.12 * sign, y, z] for y, z in ((-0.02, -0.1), (0.02, -0.25), (-0.08, -0.35))],
            ":",
        )
        for k in (-1, 1):
            b.chain(hand, [b.points[hand] + [0.03 * k, -0.05 * s, -0.03 * s] for s in (1, 2)], ":")
        foot = b.chain(
            hips, [(0.17 * sign, y, z) for y, z in ((0.0, 0.95), (-0.2, 0.55), (0.15, 0.25), (0.0, 0.04))], ":"
        )
        for k in (-1, 0, 1):
            b.add(foot, b.points[foot] + [0.08 * k, -0.15, -0.03])
    b.chain(hips, [b.points[hips] - fore * s for s in (0.2, 0.5, 0.8, 1.1, 1.4)], ":")


def _snake(b: Builder, r: np.random.Generator) -> None:
    count = int(r.integers(8, 40))
    rise = r.random() < 0.5
    b.chain(
        -1,
        [
            (0.2 * np.sin(k / 3), -0.1 * k, 0.05 + (0.02 * max(0, k - count + 8) ** 2 if rise else 0))
            for k in range(count)
        ],
        ":",
    )


def _fish(b: Builder, r: np.random.Generator) -> None:
    body = b.add(-1, (0, 0, 0))
    head = b.chain(body, [(0, -0.2 * k, 0) for k in (1, 2)], ":")
    b.chain(body, [(0, 0.2 * k, 0) for k in (1, 2, 3)], ":")
    for sign in (1, -1):
        b.chain(head, [(sign * 0.1 * k, -0.2, -0.05 * k) for k in (1, 2, 3)], ":")
        b.chain(body, [(sign * 0.05 * k, 0.3, -0.06 * k) for k in (1, 2, 3)], ":")


def _spider(b: Builder, r: np.random.Generator) -> None:
    body = b.add(-1, (0, 0, 0.4))
    head = b.add(body, (0, -0.2, 0.42))
    b.chain(body, [(0, 0.2, 0.45), (0, 0.4, 0.5)], ":")
    for k in range(4):
        for sign in (1, -1):
            out = np.array([sign * np.cos(0.4 * (k - 1.5)), 0.9 * np.sin(0.4 * (k - 1.5)), 0])
            b.chain(
                head if k == 0 else body,
                [out * s + [0, 0, z] for s, z in ((0.1, 0.4), (0.4, 0.7), (0.7, 0.35), (0.9, 0.0))],
                ":",
            )


def _dragon(b: Builder, r: np.random.Generator) -> None:
    _quadruped(b, r, 0.8)
    chest = int(np.argmin([abs(p[1] + 0.5) + abs(p[0]) + abs(p[2] - 1) for p in b.points]))
    for sign in (1, -1):
        way = np.array([sign, 0.2, 0.6])
        b.chain(chest, [b.points[chest] + [0.1 * sign, 0.1, 0.1] + way * s for s in (0, 0.5, 1.0, 1.4)], ":")


def _car(b: Builder, r: np.random.Generator) -> None:
    root = b.add(-1, (0, 0, 0))
    body = b.add(root, (0, 0, 0.6))
    for sign in (1, -1):
        for y in (-1.3, 1.3):
            hub = b.add(body, (sign * 0.7, y, 0.45))
            b.add(hub, (sign * 0.8, y, 0.35))
        b.chain(body, [(sign * 0.8, -0.5, 0.9), (sign * 0.85, 0.3, 0.9)], ":")
    b.chain(body, [(0, -0.4, 1.0), (0, -0.45, 1.2)], ":")
    if r.random() < 0.5:
        b.chain(body, [(0, 0.5, 1.4), (0, -0.5, 1.6), (0, -1.8, 1.7)], ":")


def _aeroplane(b: Builder, r: np.random.Generator) -> None:
    body = b.add(-1, (0, 0, 1))
    b.chain(body, [(0, -1.0, 1), (0, -2.0, 1)], ":")
    tail = b.chain(body, [(0, 1.0, 1), (0, 2.0, 1.1)], ":")
    b.chain(tail, [(0, 2.1, 1.6)], ":")
    for sign in (1, -1):
        b.chain(body, [(sign * x, 0.1 * x, 1) for x in (0.3, 1.2, 2.2)], ":")
        b.chain(tail, [(sign * x, 2.1, 1.1) for x in (0.2, 0.7)], ":")
        b.chain(body, [(sign * 0.4, 0.2, z) for z in (0.8, 0.4, 0.1)], ":")


def _tree(b: Builder, r: np.random.Generator) -> None:
    tips = [b.chain(-1, [(0, 0, 0.3 * k) for k in range(4)], ":")]
    for _ in range(int(r.integers(2, 4))):
        fresh = []
        for tip in tips:
            for angle in r.uniform(0, 2 * np.pi) + np.arange(3) * 2.1:
                out = np.array([np.cos(angle), np.sin(angle), 0.7]) * r.uniform(0.15, 0.35)
                fresh.append(b.chain(tip, [b.points[tip] + out * s for s in (0.5, 1.0)], ":"))
        tips = fresh[:9]


def _chair(b: Builder, r: np.random.Generator) -> None:
    seat = b.add(-1, (0, 0, 0.5))
    for x in (0.25, -0.25):
        for y in (0.25, -0.25):
            b.chain(seat, [(x, y, z) for z in (0.5, 0.25, 0.0)], ":")
    back = b.chain(seat, [(0, 0.25, z) for z in (0.6, 0.9, 1.1)], ":")
    for sign in (1, -1):
        b.chain(back, [(0.2 * sign, 0.25, 1.1), (0.25 * sign, 0.0, 1.1)], ":")


def _crane(b: Builder, r: np.random.Generator) -> None:
    base = b.add(-1, (0, 0, 0))
    wrist = b.chain(base, [(0, 0, 0.3), (0, -0.2, 1.0), (0, -0.9, 1.3), (0, -1.2, 1.1)], ":")
    for sign in (1, -1):
        b.chain(wrist, [(sign * 0.1, -1.3, 1.05), (sign * 0.1, -1.4, 1.0), (sign * 0.03, -1.5, 0.95)], ":")


def _sword(b: Builder, r: np.random.Generator) -> None:
    b.chain(-1, [(0, 0, 0.2 * k) for k in range(int(r.integers(1, 6)))], ":")


KINDS = {
    "quadruped": _quadruped,
    "bird": _bird,
    "penguin": _penguin,
    "theropod": _theropod,
    "snake": _snake,
    "fish": _fish,
    "spider": _spider,
    "dragon": _dragon,
    "car": _car,
    "aeroplane": _aeroplane,
    "tree": _tree,
    "chair": _chair,
    "robot arm": _crane,
    "sword": _sword,
}
