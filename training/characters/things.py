# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no humanoid, by formula: animals, buildings, vehicles, plants and things, each kind by name.

A thing is a Character with one joint and no face, so whatever draws characters draws it.

python -m training.characters.things FOLDER [--seed 0] [--side 640]   writes one picture of every kind
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from .animals import ANIMALS
from .build import attach, rigid
from .character import PART, Character, Face, vertex_normals
from .frame import colour
from .raster import colours, rasterise
from .shapes import box, ellipsoid, lathe, merged, plate, rotation, tube, turned
from .solids import Pieces, wheel

GLASS, DARK, WOOD, METAL, LEAF = (
    np.array(c, float) for c in ((150, 195, 220), (40, 40, 45), (130, 90, 55), (150, 155, 165), (70, 135, 60))
)


def _roof(out: Pieces, x: float, y: float, z: float, wide: float, deep: float, high: float) -> None:
    roof = lathe([(0.75 * wide, 0), (0, high)], deep / wide, 4)
    turn = rotation([0, 1, 0], 45)
    out.append((turned(roof, turn, np.array([x, y, z])), colour_of(out)))


def colour_of(out: Pieces) -> np.ndarray:
    return np.array([165.0, 70, 55]) + 15 * (len(out) % 4)


def _windows(out: Pieces, x: float, z: float, wide: float, low: float, high: float, columns: int, rows: int) -> None:
    for cx in np.linspace(-wide / 2, wide / 2, columns):
        for cy in np.linspace(low, high, rows):
            out.append((box((x + cx, cy, z), (0.4 * wide / columns, 0.5 * (high - low + 0.2) / rows, 0.03)), GLASS))


def house(r: np.random.Generator) -> Pieces:
    w, h, d = r.uniform(1, 1.8), r.uniform(0.7, 1.3), r.uniform(0.8, 1.2)
    out: Pieces = [(box((0, h / 2, 0), (w, h, d)), colour(r))]
    _roof(out, 0, h, 0, w, d, r.uniform(0.4, 0.9))
    out.append((box((0, 0.25, d / 2), (0.25, 0.5, 0.04)), WOOD))
    _windows(out, 0, d / 2, 0.7 * w, 0.6 * h, 0.62 * h, 2, 1)
    out.append((box((0.3 * w, h + 0.4, 0), (0.15, 0.5, 0.15)), colour(r)))
    return out


def skyscraper(r: np.random.Generator) -> Pieces:
    h = r.uniform(2, 4)
    out: Pieces = [(box((0, h / 2, 0), (1, h, 1)), colour(r))]
    _windows(out, 0, 0.5, 0.8, 0.3, h - 0.2, 5, int(3 * h))
    return [*out, (tube(np.array([[0, h, 0], [0, h + 0.6, 0.0]]), [0.03, 0.01]), METAL)]


def castle(r: np.random.Generator) -> Pieces:
    stone = np.full(3, r.uniform(120, 190))
    out: Pieces = [(box((0, 0.5, 0), (2.2, 1, 0.4)), stone), (box((0, 0.3, 0.21), (0.4, 0.6, 0.05)), WOOD)]
    for x in (-1.1, 0, 1.1):
        high = r.uniform(1.3, 2.2)
        out.append(
            (
                turned(
                    lathe([(0.3, 0), (0.28, high), (0.36, high), (0.36, high + 0.2)]), np.eye(3), np.array([x, 0, 0])
                ),
                stone,
            )
        )
        out.append(
            (turned(lathe([(0.36, high + 0.2), (0, high + 0.9)]), np.eye(3), np.array([x, 0, 0])), colour_of(out))
        )
    return out


def church(r: np.random.Generator) -> Pieces:
    out = house(r)
    out.append((box((-1.1, 1.0, 0), (0.5, 2, 0.5)), colour(r)))
    _roof(out, -1.1, 2, 0, 0.5, 0.5, 1.0)
    out.append((box((-1.1, 3.2, 0), (0.05, 0.4, 0.05)), METAL))
    return out


def windmill(r: np.random.Generator) -> Pieces:
    out: Pieces = [(lathe([(0.7, 0), (0.45, 1.8), (0.0, 2.3)]), colour(r))]
    start = float(r.uniform(0, 60))
    for k in range(4):
        blade = box((0.75, 0.1, 0), (1.3, 0.25, 0.02))
        turn = rotation([0, 0, 1], 90 * k + start)
        out.append((turned(blade, turn, np.array([0, 1.8, 0.6])), np.array([235.0, 230, 220])))
    return out


def lighthouse(r: np.random.Generator) -> Pieces:
    out: Pieces = []
    for k in range(5):
        band = lathe([(0.5 - 0.06 * k, 0.5 * k), (0.44 - 0.06 * k, 0.5 * k + 0.5)])
        out.append((band, np.array([230.0, 230, 225]) if k % 2 else np.array([200.0, 50, 45])))
    return [*out, (lathe([(0.3, 2.5), (0.15, 2.6), (0.15, 2.9), (0.22, 2.9), (0, 3.2)]), DARK)]


def tent(r: np.random.Generator) -> Pieces:
    out: Pieces = [(lathe([(1.2, 0), (1.1, 0.5), (0, 1.6)], 1, int(r.integers(4, 10))), colour(r))]
    return [*out, (box((0, 0.3, 1.0), (0.3, 0.7, 0.05)), DARK)]


def bridge(r: np.random.Generator) -> Pieces:
    stone = colour(r)
    angle = np.linspace(0, np.pi, 13)
    arch = np.column_stack([1.2 * np.cos(angle), 0.6 * np.sin(angle), 0 * angle])
    return [
        (tube(arch, [0.12] * 13, 3.0), stone),
        (box((0, 0.75, 0), (3.4, 0.12, 0.8)), stone * 0.85),
        (box((0, 0.9, 0.38), (3.4, 0.12, 0.05)), stone * 0.7),
    ]


def car(r: np.random.Generator) -> Pieces:
    w, paint = r.uniform(1.5, 2.2), colour(r)
    out: Pieces = [
        (box((0, 0.45, 0), (w, 0.4, 0.8)), paint),
        (box((0, 0.8, 0), (0.55 * w, 0.35, 0.72), 0.75), paint * 0.9),
    ]
    out.append((box((0, 0.8, 0), (0.45 * w, 0.22, 0.76)), GLASS))
    return out + [p for x in (-0.32, 0.32) for z in (-0.4, 0.4) for p in wheel(x * w, 0.25, z, 0.25)]


def truck(r: np.random.Generator) -> Pieces:
    out: Pieces = [(box((-0.4, 0.95, 0), (2, 1.1, 0.9)), colour(r)), (box((1, 0.75, 0), (0.7, 0.8, 0.85)), colour(r))]
    out.append((box((1.2, 0.9, 0), (0.35, 0.3, 0.9)), GLASS))
    return out + [p for x in (-1, 0, 1) for z in (-0.4, 0.4) for p in wheel(x, 0.28, z, 0.28)]


def bus(r: np.random.Generator) -> Pieces:
    out: Pieces = [(box((0, 0.75, 0), (2.8, 0.95, 0.8)), colour(r))]
    _windows(out, 0, 0.4, 2.4, 0.9, 0.95, 6, 1)
    return out + [p for x in (-0.9, 0.9) for z in (-0.4, 0.4) for p in wheel(x, 0.26, z, 0.26)]


def train(r: np.random.Generator) -> Pieces:
    paint = colour(r)
    boiler = turned(
        lathe([(0, -0.9), (0.38, -0.9), (0.38, 0.9), (0, 0.9)]), rotation([0, 0, 1], 90), np.array([0, 0.75, 0])
    )
    out: Pieces = [
        (boiler, paint),
        (box((-0.95, 1, 0), (0.7, 1.1, 0.8)), paint * 0.7),
        (lathe([(0.1, 1), (0.16, 1.6)]), DARK),
    ]
    return out + [p for x in (-1, -0.4, 0.2, 0.8) for z in (-0.4, 0.4) for p in wheel(x, 0.25, z, 0.25)]


def bicycle(r: np.random.Generator) -> Pieces:
    angle, paint = np.linspace(0, 2 * np.pi, 25), colour(r)
    out: Pieces = []
    for x in (-0.6, 0.6):
        ring = np.column_stack([x + 0.42 * np.cos(angle), 0.42 + 0.42 * np.sin(angle), 0 * angle])
        out.append((tube(ring, [0.035] * 25), DARK))
    hub, axle, crank, seat, bar = (-0.6, 0.42), (0.6, 0.42), (-0.15, 0.42), (-0.28, 1.05), (0.45, 0.95)
    for a, b in ((hub, crank), (crank, bar), (hub, seat), (seat, bar), (axle, (0.42, 1.1)), (crank, seat)):
        out.append((tube(np.array([[*a, 0], [*b, 0.0]]), [0.03, 0.03]), paint))
    return [
        *out,
        (ellipsoid((-0.28, 1.08, 0), (0.15, 0.04, 0.08)), DARK),
        (box((0.42, 1.12, 0), (0.05, 0.04, 0.5)), DARK),
    ]


def airplane(r: np.random.Generator) -> Pieces:
    paint = colour(r)
    wing = plate(np.array([[-0.25, 0], [0.25, 0], [-0.1, 1.5], [-0.35, 1.5]]), 0.05)
    out: Pieces = [(ellipsoid((0, 0.5, 0), (1.6, 0.25, 0.25)), paint)]
    for side in (1, -1):
        out.append((turned(wing, rotation([1, 0, 0], 90 * side), np.array([0, 0.48, 0])), paint * 0.8))
        out.append((ellipsoid((0.1, 0.35, 0.6 * side), (0.3, 0.1, 0.1)), METAL))
    out.append((plate(np.array([[-1.5, 0.5], [-1.1, 0.5], [-1.4, 1.15], [-1.65, 1.15]]), 0.05), paint * 0.8))
    return [
        *out,
        (box((-1.4, 0.6, 0), (0.3, 0.04, 0.9)), paint * 0.8),
        (ellipsoid((1.2, 0.6, 0), (0.2, 0.1, 0.16)), GLASS),
    ]


def helicopter(r: np.random.Generator) -> Pieces:
    paint = colour(r)
    return [
        (ellipsoid((0.2, 0.6, 0), (0.7, 0.45, 0.4)), paint),
        (ellipsoid((0.55, 0.65, 0), (0.4, 0.3, 0.33)), GLASS),
        (tube(np.array([[-0.3, 0.65, 0], [-1.5, 0.8, 0.0]]), [0.12, 0.05]), paint),
        (box((-1.5, 0.9, 0), (0.1, 0.5, 0.04)), paint * 0.7),
        (box((0.2, 1.15, 0), (2.6, 0.03, 0.12)), DARK),
        (box((0.2, 1.08, 0), (0.08, 0.15, 0.08)), DARK),
        *[(box((0.2, 0.08, z), (1.2, 0.05, 0.06)), DARK) for z in (-0.3, 0.3)],
    ]


def sailing_ship(r: np.random.Generator) -> Pieces:
    hull = plate(np.array([[-1.1, 0.5], [1.3, 0.6], [0.9, 0], [-0.8, 0]]), 0.5)
    out: Pieces = [(hull, WOOD * r.uniform(0.7, 1.3))]
    for x in (-0.4, 0.5):
        out.append((tube(np.array([[x, 0.5, 0], [x, 2.2, 0.0]]), [0.04, 0.03]), WOOD * 0.7))
        sail = plate(np.array([[x + 0.05, 0.7], [x + 0.7, 0.75], [x + 0.05, 2.1]]), 0.03)
        out.append((sail, np.array([240.0, 238, 228]) if r.random() < 0.6 else colour(r)))
    return out


def rocket(r: np.random.Generator) -> Pieces:
    paint = colour(r)
    out: Pieces = [(lathe([(0, 0.3), (0.35, 0.3), (0.42, 1.2), (0.3, 2.2), (0, 2.9)]), np.array([225.0, 225, 230]))]
    for k in range(3):
        fin = plate(np.array([[0.3, 0.9], [0.8, 0.2], [0.75, 0.0], [0.3, 0.35]]), 0.05)
        out.append((turned(fin, rotation([0, 1, 0], 120 * k + 30)), paint))
    return [*out, (ellipsoid((0, 1.7, 0.32), (0.15, 0.15, 0.08)), GLASS)]


def tank(r: np.random.Generator) -> Pieces:
    paint = np.array([95.0, 105, 70]) * r.uniform(0.7, 1.4)
    return [
        (box((0, 0.5, 0), (2, 0.35, 1)), paint), (box((-0.1, 0.85, 0), (0.9, 0.35, 0.7), 0.8), paint * 0.9),
        (tube(np.array([[0.2, 0.88, 0], [1.6, 0.95, 0.0]]), [0.07, 0.06]), paint * 0.7),
        *[(box((0, 0.22, z), (2.1, 0.4, 0.25)), DARK) for z in (-0.45, 0.45)],
    ]  # fmt: skip


def balloon(r: np.random.Generator) -> Pieces:
    out: Pieces = [(ellipsoid((0, 2, 0), (0.9, 1.05, 0.9)), colour(r)), (box((0, 0.3, 0), (0.4, 0.3, 0.4)), WOOD)]
    return out + [(tube(np.array([[x, 0.4, 0], [2.5 * x, 1.3, 0.0]]), [0.01, 0.01]), DARK) for x in (-0.18, 0.18)]


def tree(r: np.random.Generator) -> Pieces:
    high = r.uniform(0.8, 1.6)
    out: Pieces = [(tube(np.array([[0, 0, 0], [0.05, high, 0.0]]), [0.16, 0.1]), WOOD)]
    for _ in range(int(r.integers(4, 9))):
        size = r.uniform(0.3, 0.6)
        out.append(
            (
                ellipsoid((r.uniform(-0.5, 0.5), high + r.uniform(0, 0.7), r.uniform(-0.4, 0.4)), (size, size, size)),
                LEAF * r.uniform(0.7, 1.4),
            )
        )
    return out


def fir(r: np.random.Generator) -> Pieces:
    out: Pieces = [(lathe([(0.12, 0), (0.1, 0.5)]), WOOD)]
    return out + [
        (lathe([(0.8 - 0.17 * k, 0.3 + 0.45 * k), (0, 1.1 + 0.45 * k)]), LEAF * r.uniform(0.6, 1)) for k in range(4)
    ]


def palm(r: np.random.Generator) -> Pieces:
    steps = np.linspace(0, 1, 7)[:, None]
    trunk = steps * [0.4, 1.9, 0] + steps**2 * [0.2, 0, 0]
    out: Pieces = [(tube(trunk, [0.1] * 7), WOOD)]
    for k in range(8):
        away = rotation([0, 1, 0], 45 * k + 10) @ np.array([1.0, 0, 0])
        leaf = trunk[-1] + steps * away * 0.9 + [0, 1, 0] * (0.5 * steps - 0.9 * steps**2)
        out.append((tube(leaf, [0.02, 0.1, 0.12, 0.1, 0.08, 0.05, 0.01], 0.2, np.array([0, 1.0, 0])), LEAF))
    return out


def cactus(r: np.random.Generator) -> Pieces:
    green = LEAF * r.uniform(0.8, 1.2)
    out: Pieces = [
        (ellipsoid((0, 0.8, 0), (0.25, 0.8, 0.25)), green),
        (lathe([(0.3, -0.3), (0.4, 0.1), (0, 0.1)]), colour_of([])),
    ]
    arm = np.array([[0.2, 0.7, 0], [0.5, 0.75, 0], [0.55, 1.2, 0.0]])
    return [*out, (tube(arm, [0.1, 0.11, 0.08]), green)]


def flower(r: np.random.Generator) -> Pieces:
    out: Pieces = [(tube(np.array([[0, 0, 0], [0.05, 0.7, 0], [0, 1.4, 0.0]]), [0.03] * 3), LEAF)]
    paint, count = colour(r), int(r.integers(5, 12))
    for k in range(count):
        a = 2 * np.pi * k / count
        out.append((ellipsoid((0.35 * np.cos(a), 1.45 + 0.35 * np.sin(a), 0), (0.2, 0.2, 0.05)), paint))
    return [*out, (ellipsoid((0, 1.45, 0.05), (0.2, 0.2, 0.08)), np.array([230.0, 180, 50]))]


def mushroom(r: np.random.Generator) -> Pieces:
    cap = lathe([(0.2, 0.75), (0.7, 0.7), (0.65, 0.95), (0.4, 1.2), (0, 1.3)])
    return [(lathe([(0.25, 0), (0.18, 0.5), (0.2, 0.8)]), np.array([235.0, 225, 205])), (cap, colour(r))]


def chair(r: np.random.Generator) -> Pieces:
    paint = WOOD * r.uniform(0.6, 1.5)
    legs = [box((x, 0.25, z), (0.07, 0.5, 0.07)) for x in (-0.3, 0.3) for z in (-0.3, 0.3)]
    return [
        (merged(legs), paint),
        (box((0, 0.52, 0), (0.7, 0.08, 0.7)), colour(r)),
        (box((0, 0.95, -0.32), (0.7, 0.8, 0.07)), paint),
    ]


def table(r: np.random.Generator) -> Pieces:
    legs = [box((x, 0.35, z), (0.09, 0.7, 0.09)) for x in (-0.7, 0.7) for z in (-0.4, 0.4)]
    return [
        (merged(legs), WOOD),
        (box((0, 0.73, 0), (1.7, 0.07, 1.0)), WOOD * 1.3),
        (ellipsoid((0.3, 0.85, 0), (0.1, 0.1, 0.1)), colour(r)),
    ]


def sofa(r: np.random.Generator) -> Pieces:
    paint = colour(r)
    return [
        (box((0, 0.3, 0), (1.8, 0.35, 0.8)), paint), (box((0, 0.65, -0.33), (1.8, 0.6, 0.2)), paint * 0.9),
        *[(box((x, 0.45, 0), (0.2, 0.5, 0.85)), paint * 0.8) for x in (-0.9, 0.9)],
    ]  # fmt: skip


def lamp(r: np.random.Generator) -> Pieces:
    shade = lathe([(0.45, 1.1), (0.25, 1.6)])
    return [(lathe([(0.3, 0), (0.28, 0.06), (0.04, 0.1), (0.04, 1.2)]), METAL), (shade, colour(r))]


def teapot(r: np.random.Generator) -> Pieces:
    paint = colour(r)
    angle = np.linspace(-1.4, 1.4, 9)
    handle = np.column_stack([-0.55 - 0.25 * np.cos(angle), 0.5 + 0.3 * np.sin(angle), 0 * angle])
    return [
        (lathe([(0.35, 0), (0.6, 0.3), (0.55, 0.7), (0.25, 0.95), (0.05, 1.0), (0.08, 1.1), (0, 1.15)]), paint),
        (tube(handle, [0.05] * 9), paint * 0.8),
        (tube(np.array([[0.5, 0.4, 0], [0.8, 0.6, 0], [0.95, 0.9, 0.0]]), [0.12, 0.08, 0.05]), paint * 0.9),
    ]


def bottle(r: np.random.Generator) -> Pieces:
    body = lathe([(0, 0), (0.3, 0), (0.3, 0.9), (0.1, 1.25), (0.1, 1.55), (0, 1.55)])
    return [(body, colour(r)), (lathe([(0.305, 0.25), (0.305, 0.75)]), np.array([235.0, 230, 215]))]


def clock(r: np.random.Generator) -> Pieces:
    turn = rotation([1, 0, 0], 90)
    face = turned(lathe([(0, -0.1), (0.8, -0.1), (0.8, 0.1), (0.72, 0.1)]), turn, np.array([0, 0.9, 0]))
    dial = turned(lathe([(0.72, 0.08), (0, 0.08)]), turn, np.array([0, 0.9, 0]))
    hands = [box((0, 1.1, 0.12), (0.05, 0.45, 0.02)), box((0.15, 0.9, 0.12), (0.35, 0.06, 0.02))]
    return [(face, colour(r)), (dial, np.array([245.0, 243, 235])), (merged(hands), DARK)]


def guitar(r: np.random.Generator) -> Pieces:
    return [
        (ellipsoid((0, 0.4, 0), (0.45, 0.38, 0.12)), WOOD * 1.3),
        (ellipsoid((0, 0.9, 0), (0.33, 0.3, 0.11)), WOOD * 1.3),
        (ellipsoid((0, 0.75, 0.1), (0.13, 0.13, 0.03)), DARK), (box((0, 1.6, 0.05), (0.12, 1.1, 0.06)), WOOD * 0.6),
        (box((0, 2.2, 0.05), (0.2, 0.3, 0.06)), colour(r) * 0.5),
    ]  # fmt: skip


def crate(r: np.random.Generator) -> Pieces:
    out: Pieces = [(box((0, 0.5, 0), (1, 1, 1)), WOOD * r.uniform(0.8, 1.4))]
    for x in (-0.45, 0.45):
        out.append((box((x, 0.5, 0.51), (0.12, 1.02, 0.05)), WOOD * 0.7))
        out.append((box((0, 0.5 + x, 0.51), (1.02, 0.12, 0.05)), WOOD * 0.7))
    return out


def barrel(r: np.random.Generator) -> Pieces:
    out: Pieces = [(lathe([(0, 0), (0.42, 0), (0.55, 0.6), (0.42, 1.2), (0, 1.2)]), WOOD * r.uniform(0.8, 1.3))]
    return out + [
        (lathe([(radius, y), (radius, y + 0.08)]), METAL * 0.6)
        for radius, y in ((0.48, 0.15), (0.48, 0.95), (0.56, 0.56))
    ]


def chest(r: np.random.Generator) -> Pieces:
    lid = turned(lathe([(0, -0.6), (0.4, -0.6), (0.4, 0.6), (0, 0.6)]), rotation([0, 0, 1], 90), np.array([0, 0.5, 0]))
    return [
        (box((0, 0.28, 0), (1.2, 0.55, 0.8)), WOOD),
        (lid, WOOD * r.uniform(0.7, 1.2)),
        (box((0, 0.5, 0.42), (0.2, 0.25, 0.05)), np.array([215.0, 170, 60])),
    ]


def cake(r: np.random.Generator) -> Pieces:
    out: Pieces = [(lathe([(0, 0), (0.8 - 0.2 * k, 0), (0.8 - 0.2 * k, 0.35), (0, 0.35)]), colour(r)) for k in range(3)]
    out = [((m[0] + [0, 0.35 * k, 0], m[1]), c) for k, (m, c) in enumerate(out)]
    return out + [(tube(np.array([[x, 1.05, 0], [x, 1.35, 0.0]]), [0.03] * 2), colour(r)) for x in (-0.2, 0, 0.2)]


def telephone(r: np.random.Generator) -> Pieces:
    out: Pieces = [(box((0, 0.9, 0), (0.9, 1.8, 0.1)), DARK), (box((0, 0.95, 0.06), (0.8, 1.45, 0.02)), colour(r))]
    return out + [
        (box((-0.25 + 0.25 * (k % 3), 0.6 + 0.3 * (k // 3), 0.08), (0.17, 0.2, 0.02)), colour(r)) for k in range(9)
    ]


def umbrella(r: np.random.Generator) -> Pieces:
    dome = lathe([(np.cos(s), 1.3 + 0.55 * np.sin(s)) for s in np.linspace(0, 1.5, 7)], 1, 8)
    hook = np.array([[0, 1.3, 0], [0, 0.2, 0], [0.1, 0.1, 0], [0.2, 0.2, 0.0]])
    return [(dome, colour(r)), (tube(hook, [0.03] * 4), WOOD)]


def planet(r: np.random.Generator) -> Pieces:
    angle = np.linspace(0, 2 * np.pi, 33)
    ring = np.column_stack([1.6 * np.cos(angle), 1 + 0.25 * np.cos(angle), 1.6 * np.sin(angle)])
    return [
        (ellipsoid((0, 1, 0), (1, 1, 1)), colour(r)),
        (tube(ring, [0.15] * 33, 0.2, np.array([0, 1.0, 0])), colour(r)),
    ]


BUILDINGS = {f.__name__: f for f in (house, skyscraper, castle, church, windmill, lighthouse, tent, bridge)}
VEHICLES = {
    f.__name__: f for f in (car, truck, bus, train, bicycle, airplane, helicopter, sailing_ship, rocket, tank, balloon)
}
PLANTS = {f.__name__: f for f in (tree, fir, palm, cactus, flower, mushroom)}
OBJECTS = {
    f.__name__: f
    for f in (
        chair,
        table,
        sofa,
        lamp,
        teapot,
        bottle,
        clock,
        guitar,
        crate,
        barrel,
        chest,
        cake,
        telephone,
        umbrella,
        planet,
    )
}
KINDS: dict[str, Callable[[np.random.Generator], Pieces]] = {**ANIMALS, **BUILDINGS, **VEHICLES, **PLANTS, **OBJECTS}


def make_thing(kind: str, seed: int) -> Character:
    """One of KINDS, about a metre and more in size, its feet on y = 0; part "prop", one joint "root", no face.

    Raises KeyError for a kind that is none.
    """
    random = np.random.default_rng([seed, list(KINDS).index(kind) if kind in KINDS else 0])
    out = Character(
        np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 3, 2), np.float32),
        np.zeros(0, np.int16), (), (), np.zeros(0, np.uint8), np.zeros((0, 4), np.int16), np.zeros((0, 4), np.float32),
        np.zeros((1, 3), np.float32), np.array([-1], np.int16), ("root",), Face(),
        {"name": f"{kind}_{seed}", "kind": kind, "style": "thing", "source": "formula", "licence": "GPL-3.0-or-later"},
    )  # fmt: skip
    for mesh, paint in KINDS[kind](random):
        out = attach(out, mesh, "prop", rigid(len(mesh[0]), 0), paint, kind)
    lift = np.array([0, out.vertices[:, 1].min(), 0], np.float32)
    assert (out.parts == PART["prop"]).all()
    return out.replace(vertices=out.vertices - lift)


def picture(thing: Character, seed: int, side: int = 640) -> Image.Image:
    """(side, side) RGB: the thing lit, from a little above, turned by the seed, on a plain or shaded ground."""
    random = np.random.default_rng(seed)
    turn = rotation([1, 0, 0], random.uniform(4, 22)) @ rotation([0, 1, 0], random.uniform(-50, 50))
    vertices = thing.vertices @ turn.T
    low, high = vertices.min(0), vertices.max(0)
    big = 2 * side
    scale = big * random.uniform(0.6, 0.9) / float((high - low)[:2].max())
    middle = ((low + high) / 2)[:2]
    ids, _, weights = rasterise(vertices, thing.triangles, (float(middle[0]), float(middle[1])), scale, (big, big))
    normals = vertex_normals(vertices, thing.triangles)[thing.triangles[ids]]
    light = np.abs(np.einsum("yxk,yxkc->yxc", weights, normals) @ (np.array([0.4, 0.6, 0.7]) / 1.005))
    seen = ids >= 0
    image = colours(thing, ids, weights) * np.where(seen, 0.45 + 0.6 * light, 1)[..., None]
    ground = random.uniform(90, 255, 3) * (1 - random.uniform(0, 0.4) * np.linspace(0, 1, big)[:, None, None])
    pixels = np.clip(np.where(seen[..., None], image, ground), 0, 255)
    pixels = pixels.reshape(side, 2, side, 2, 3).mean((1, 3))
    return Image.fromarray(pixels.round().astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=640)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for number, kind in enumerate(KINDS):
        image = picture(make_thing(kind, options.seed), options.seed * len(KINDS) + number, options.side)
        image.save(options.folder / f"{kind}.png")


if __name__ == "__main__":
    main()
