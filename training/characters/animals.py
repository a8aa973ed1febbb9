# SPDX-License-Identifier: GPL-3.0-or-later
"""Animals by formula, each looking along +X."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .frame import colour
from .shapes import ellipsoid, lathe, plate, rotation, tube, turned
from .solids import INK, WHITE, Pieces, eyes, legs

X = np.array([1.0, 0, 0])


@dataclass(frozen=True)
class Quadruped:
    """Lengths in metres; paint None is any colour."""

    body: tuple[float, float, float] = (0.6, 0.28, 0.25)
    leg: float = 0.4
    thick: float = 0.07
    neck: tuple[float, float] = (0.3, 45)  # length and degrees above horizontal
    head: float = 0.2
    snout: float = 0.15
    ears: tuple[float, float] = (0.12, 0.05)  # length, radius
    tail: tuple[float, float] = (0.4, 30)  # length and degrees above horizontal
    paint: tuple[int, int, int] | None = None
    extra: str = ""  # mane, horns, trunk, spots, hump, shell, antlers


QUADRUPEDS = {
    "cat": Quadruped((0.45, 0.18, 0.16), 0.28, 0.05, (0.15, 50), 0.17, 0.06, (0.13, 0.07), (0.5, 60), (200, 140, 80)),
    "dog": Quadruped((0.5, 0.22, 0.2), 0.4, 0.06, (0.22, 50), 0.18, 0.2, (0.18, 0.07), (0.35, 50), (150, 110, 75)),
    "horse": Quadruped((0.8, 0.32, 0.28), 0.9, 0.09, (0.6, 55), 0.22, 0.35, (0.14, 0.05), (0.6, -50),
        (120, 75, 45), "mane"),
    "cow": Quadruped((0.85, 0.42, 0.38), 0.6, 0.1, (0.25, 25), 0.26, 0.22, (0.16, 0.07), (0.6, -70),
        (235, 230, 225), "spots horns"),
    "pig": Quadruped((0.65, 0.38, 0.34), 0.3, 0.09, (0.1, 10), 0.26, 0.18, (0.15, 0.09), (0.2, 20), (240, 170, 170)),
    "sheep": Quadruped((0.6, 0.4, 0.38), 0.35, 0.06, (0.15, 30), 0.18, 0.12, (0.15, 0.05), (0.1, 0), (240, 238, 228)),
    "elephant": Quadruped((1.0, 0.6, 0.5), 0.8, 0.17, (0.2, 20), 0.4, 0.1, (0.3, 0.3), (0.5, -70),
        (140, 140, 148), "trunk"),
    "giraffe": Quadruped((0.7, 0.35, 0.28), 1.1, 0.08, (1.5, 72), 0.18, 0.25, (0.12, 0.05), (0.5, -70),
        (225, 180, 100), "spots"),
    "rabbit": Quadruped((0.35, 0.24, 0.2), 0.15, 0.06, (0.1, 60), 0.16, 0.06, (0.4, 0.06), (0.08, 40), (225, 215, 205)),
    "mouse": Quadruped((0.35, 0.2, 0.18), 0.1, 0.04, (0.1, 20), 0.15, 0.14, (0.14, 0.12), (0.8, 10), (160, 160, 165)),
    "camel": Quadruped((0.75, 0.35, 0.3), 0.9, 0.08, (0.7, 50), 0.19, 0.22, (0.1, 0.05), (0.4, -60),
        (205, 165, 110), "hump"),
    "deer": Quadruped((0.6, 0.26, 0.22), 0.75, 0.05, (0.45, 60), 0.16, 0.2, (0.16, 0.05), (0.12, 30),
        (165, 105, 60), "antlers"),
    "turtle": Quadruped((0.6, 0.2, 0.5), 0.15, 0.1, (0.25, 15), 0.16, 0.05, (0.01, 0.01), (0.15, -10),
        (110, 140, 80), "shell"),
    "crocodile": Quadruped((0.95, 0.16, 0.25), 0.12, 0.08, (0.2, 0), 0.18, 0.5, (0.01, 0.01), (1.2, 3), (85, 115, 70)),
    "dinosaur": Quadruped((1.1, 0.5, 0.45), 0.6, 0.16, (1.3, 50), 0.2, 0.2, (0.01, 0.01), (1.6, 8), None),
}  # fmt: skip


def quadruped(kind: Quadruped, r: np.random.Generator) -> Pieces:
    paint = np.array(kind.paint, float) * r.uniform(0.7, 1.1) if kind.paint and r.random() < 0.7 else colour(r)
    a, b, c = (v * r.uniform(0.9, 1.15) for v in kind.body)
    y = kind.leg + 0.7 * b
    out: Pieces = [(ellipsoid((0, y, 0), (a, b, c)), paint)]
    places = [(x * a * 0.7, z * c * 0.6) for x in (1, -1) for z in (1, -1)]
    out += legs(places, y, kind.thick, paint * 0.9)
    angle = np.radians(kind.neck[1] + r.uniform(-15, 10))
    start = np.array([0.75 * a, y + 0.35 * b, 0])
    head = start + kind.neck[0] * np.array([np.cos(angle), np.sin(angle), 0]) + [0.5 * kind.head, 0, 0]
    out.append(
        (tube(np.stack([start - [0.1 * a, 0.1 * b, 0], head]), [0.55 * kind.head + 0.1 * b, 0.6 * kind.head]), paint)
    )
    size = kind.head
    out.append((ellipsoid(head, (size, 0.85 * size, 0.8 * size)), paint))
    out.append(
        (
            ellipsoid(
                head + [0.8 * size + 0.4 * kind.snout, -0.25 * size, 0],
                (0.3 * size + kind.snout, 0.45 * size, 0.5 * size),
            ),
            paint * 0.9,
        )
    )
    nose = head + [1.1 * size + 1.35 * kind.snout, -0.2 * size, 0]
    out.append((ellipsoid(nose, [0.16 * size] * 3), INK))
    out += eyes(head + [0.6 * size, 0.3 * size, 0], 0.55 * size, 0.16 * size, X)
    for side in (1, -1):
        root = head + [-0.2 * size, 0.65 * size, side * 0.5 * size]
        tip = root + [-0.2 * kind.ears[0], 0.9 * kind.ears[0], side * 0.4 * kind.ears[0]]
        out.append(
            (tube(np.stack([root, (root + tip) / 2, tip]), [0.7 * kind.ears[1], kind.ears[1], 0.01], 0.5), paint * 0.85)
        )
    fall = np.radians(kind.tail[1])
    end = np.array([-0.95 * a - kind.tail[0] * np.cos(fall), y + 0.2 * b + kind.tail[0] * np.sin(fall), 0])
    thick = 0.4 * b if kind.tail[0] > 1 else 0.04
    out.append((tube(np.stack([[-0.9 * a, y + 0.2 * b, 0], end]), [thick, 0.02]), paint * 0.9))
    return out + _extras(kind, r, head, (a, b, c), y)


def _extras(
    kind: Quadruped, r: np.random.Generator, head: np.ndarray, body: tuple[float, float, float], y: float
) -> Pieces:
    a, b, c = body
    size = kind.head
    out: Pieces = []
    if "mane" in kind.extra:
        out += [
            (ellipsoid(head + [-0.1 - 0.12 * k, 0.1 - 0.12 * k, 0], (0.12, 0.18, 0.06)), INK + 20) for k in range(5)
        ]
    if "horns" in kind.extra:
        for side in (1, -1):
            path = head + np.array([[0, 0.7, 0.4 * side], [0, 1.0, 0.9 * side], [0.1, 1.5, side]]) * size
            out.append((tube(path, [0.05, 0.04, 0.005]), WHITE * 0.85))
    if "antlers" in kind.extra:
        for side in (1, -1):
            path = head + np.array([[0, 0.7, 0.3 * side], [-0.6, 1.8, 0.9 * side], [0.2, 3.0, 1.3 * side]]) * size
            out.append((tube(path, [0.03, 0.025, 0.01]), WHITE * 0.6))
            out.append(
                (tube(path[1] + np.array([[0, 0, 0], [0.9, 0.9, 0.2 * side]]) * size, [0.025, 0.01]), WHITE * 0.6)
            )
    if "trunk" in kind.extra:
        steps = np.linspace(0, 1, 8)[:, None]
        path = head + [0.9 * size, -0.1, 0] + steps * [0.35, -1.0, 0] + steps**2 * [0.1, 0.1, 0]
        out.append((tube(path, np.linspace(0.16, 0.06, 8)), np.array([135.0, 135, 142])))
        out += [
            (
                tube(head + [0.7 * size, -0.3, s * 0.2] + np.array([[0, 0, 0], [0.45, -0.05, 0.05 * s]]), [0.05, 0.01]),
                WHITE,
            )
            for s in (1, -1)
        ]
    if "spots" in kind.extra:
        dark = INK + 20 if kind.leg < 1 else np.array([150.0, 95, 45])
        for _ in range(9):
            t, p = r.uniform(-0.9, 0.9), r.uniform(-1, 1)
            flank = float(r.choice((1, -1)))
            at = np.array(
                [t * a * 0.8, y + p * 0.5 * b, flank * c * np.sqrt(max(0.0, 1 - (0.8 * t) ** 2 - (0.5 * p) ** 2))]
            )
            out.append((ellipsoid(at, (0.13 * a, 0.22 * b, 0.03), 6, 10), dark))
    if "hump" in kind.extra:
        out += [(ellipsoid((x, y + 0.9 * b, 0), (0.22, 0.28, 0.18)), np.array([195.0, 155, 100])) for x in (-0.3, 0.25)]
    if "shell" in kind.extra:
        out.append((ellipsoid((0, y + 0.1, 0), (0.62, 0.38, 0.55)), colour(r) * 0.6))
    return out


def bird(
    r: np.random.Generator, long: float = 0.4, neck: float = 0.15, beak: float = 0.18, leg: float = 0.25
) -> Pieces:
    paint = colour(r)
    y = leg + 0.3
    head = np.array([0.75 * long + 0.4 * neck, y + 0.25 + neck, 0])
    out: Pieces = [
        (ellipsoid((0, y, 0), (long, 0.26, 0.24)), paint),
        (ellipsoid(head, (0.16, 0.16, 0.15)), paint * 0.9),
    ]
    out.append((tube(np.stack([[0.5 * long, y + 0.05, 0], head]), [0.15, 0.1]), paint))
    out.append(
        (
            tube(np.stack([head + [0.1, 0, 0], head + [0.12 + beak, -0.03, 0]]), [0.06, 0.005]),
            np.array([240.0, 165, 40]),
        )
    )
    out += eyes(head + [0.08, 0.05, 0], 0.12, 0.035, X)
    for side in (1, -1):
        out.append((ellipsoid((-0.1, y + 0.05, side * 0.22), (0.7 * long, 0.15, 0.05)), paint * 0.75))
    out.append(
        (
            tube(
                np.array([[-0.8 * long, y, 0], [-1.6 * long, y + 0.12, 0.0]]), [0.12, 0.16], 0.3, np.array([0, 1.0, 0])
            ),
            paint * 0.8,
        )
    )
    return out + legs([(0, 0.1), (0, -0.1)], y, 0.02, np.array([230.0, 150, 50]))


def owl(r: np.random.Generator) -> Pieces:
    paint = colour(r) * 0.8
    out: Pieces = [
        (ellipsoid((0, 0.6, 0), (0.4, 0.55, 0.38)), paint),
        (ellipsoid((0, 1.15, 0), (0.36, 0.3, 0.34)), paint * 0.9),
    ]
    for z in (0.15, -0.15):
        out.append((ellipsoid((0.3, 1.2, z), (0.06, 0.14, 0.14)), WHITE))
        out.append((ellipsoid((0.36, 1.2, z), (0.03, 0.07, 0.07)), INK))
        out.append((ellipsoid((0, 0.6, 2.4 * z), (0.25, 0.4, 0.06)), paint * 0.7))
    return [*out, (tube(np.array([[0.33, 1.1, 0], [0.42, 1.0, 0.0]]), [0.06, 0.005]), np.array([240.0, 165, 40]))]


def fish(r: np.random.Generator, long: float = 0.7, high: float = 0.35) -> Pieces:
    paint = colour(r)
    y = 0.8
    tail = plate(np.array([[-0.8, 0], [-1.4, 0.45], [-1.2, 0], [-1.4, -0.45]]) * [long, high / 0.35] + [0, y], 0.04)
    fin = plate(np.array([[-0.3, 0.2], [0.2, 0.25], [-0.35, 0.6]]) * [long, high / 0.35] + [0, y], 0.04)
    out: Pieces = [(ellipsoid((0, y, 0), (long, high, 0.18)), paint), (tail, paint * 0.75), (fin, paint * 0.75)]
    return out + eyes(np.array([0.65 * long, y + 0.2 * high, 0]), 0.1, 0.06, X)


def shark(r: np.random.Generator) -> Pieces:
    grey = np.array([120.0, 130, 145]) * r.uniform(0.8, 1.2)
    out = fish(np.random.default_rng(int(r.integers(1 << 30))), 1.3, 0.3)
    out = [(mesh, grey if k < 3 else paint) for k, (mesh, paint) in enumerate(out)]
    return [*out, (plate(np.array([[-0.2, 1.0], [0.3, 1.0], [-0.3, 1.6]]), 0.05), grey * 0.9)]


def snake(r: np.random.Generator) -> Pieces:
    s = np.linspace(0, 1, 40)
    path = np.column_stack(
        [2.4 * s - 1.2, 0.08 + 0.5 * np.clip(s - 0.8, 0, 1) * 4 * 0.5, 0.35 * np.sin(s * r.uniform(10, 18))]
    )
    paint = colour(r)
    out: Pieces = [(tube(path, 0.09 * np.sin(np.pi * (0.04 + 0.9 * s)) ** 0.4), paint)]
    return [*out, (ellipsoid(path[-1], (0.18, 0.1, 0.12)), paint), *eyes(path[-1] + [0.08, 0.06, 0], 0.08, 0.03, X)]


def frog(r: np.random.Generator) -> Pieces:
    paint = np.array([90.0, 160, 70]) * r.uniform(0.7, 1.2)
    out: Pieces = [
        (ellipsoid((0, 0.35, 0), (0.5, 0.32, 0.42)), paint),
        (ellipsoid((0.4, 0.5, 0), (0.3, 0.2, 0.34)), paint),
    ]
    for z in (0.4, -0.4):
        out.append((ellipsoid((-0.3, 0.2, z), (0.35, 0.18, 0.16)), paint * 0.85))
        out.append((tube(np.array([[0.25, 0.3, z * 0.7], [0.4, 0, z]]), [0.08, 0.06]), paint * 0.85))
    return out + eyes(np.array([0.45, 0.72, 0]), 0.2, 0.11, X)


def many_legged(r: np.random.Generator, pairs: int, claws: bool) -> Pieces:
    paint = colour(r)
    out: Pieces = [(ellipsoid((0, 0.4, 0), (0.4, 0.22, 0.5 if claws else 0.3)), paint)]
    if not claws:
        out.append((ellipsoid((-0.6, 0.45, 0), (0.4, 0.32, 0.34)), paint * 0.8))
    for k in range(pairs):
        for side in (1, -1):
            x = 0.3 - 0.6 * k / max(pairs - 1, 1)
            knee = np.array([1.4 * x, 0.75, 0.7 * side])
            out.append(
                (
                    tube(np.array([[x, 0.4, 0.3 * side], knee, [2 * x, 0, 1.05 * side]]), [0.05, 0.045, 0.02]),
                    paint * 0.8,
                )
            )
    if claws:
        for side in (1, -1):
            out.append((tube(np.array([[0.35, 0.4, 0.4 * side], [0.8, 0.55, 0.6 * side]]), [0.06, 0.08]), paint))
            out.append((ellipsoid((0.95, 0.6, 0.55 * side), (0.22, 0.12, 0.14)), paint))
    return out + eyes(np.array([0.38, 0.55, 0]), 0.12, 0.06, X)


def butterfly(r: np.random.Generator) -> Pieces:
    paint, inner = colour(r), colour(r)
    out: Pieces = [(ellipsoid((0, 0.8, 0), (0.07, 0.45, 0.07)), INK)]
    for side in (1, -1):
        for size, y in ((0.5, 1.15), (0.36, 0.5)):
            out.append((ellipsoid((side * size * 1.05, y, 0), (size, size * 0.8, 0.03)), paint))
            out.append((ellipsoid((side * size * 1.1, y, 0.03), (size * 0.5, size * 0.4, 0.02)), inner))
        out.append((tube(np.array([[0, 1.2, 0], [side * 0.2, 1.55, 0.0]]), [0.015, 0.015]), INK))
    return out


def snail(r: np.random.Generator) -> Pieces:
    angle = np.linspace(0, 5 * np.pi, 50)
    radius = 0.45 * (1 - angle / (5.6 * np.pi))
    spiral = np.column_stack([-0.1 + radius * np.cos(angle), 0.6 + radius * np.sin(angle), 0 * angle])
    paint = np.array([190.0, 160, 120]) * r.uniform(0.7, 1.2)
    out: Pieces = [(tube(spiral, 0.2 * radius / 0.45 + 0.05), colour(r))]
    out.append((tube(np.array([[-0.8, 0.06, 0], [0.4, 0.12, 0], [0.75, 0.4, 0.0]]), [0.03, 0.14, 0.12]), paint))
    for side in (1, -1):
        out.append((tube(np.array([[0.78, 0.45, 0.05 * side], [0.9, 0.75, 0.12 * side]]), [0.025, 0.02]), paint))
        out.append((ellipsoid((0.9, 0.78, 0.12 * side), (0.05, 0.05, 0.05)), INK))
    return out


def octopus(r: np.random.Generator) -> Pieces:
    paint = colour(r)
    out: Pieces = [(ellipsoid((0, 1.0, 0), (0.4, 0.5, 0.4)), paint)]
    for k in range(8):
        away = rotation([0, 1, 0], 45 * k + 20) @ X
        s = np.linspace(0, 1, 9)[:, None]
        path = np.array([0, 0.65, 0]) + s * away * 1.1 + np.array([0, 1, 0]) * (-0.55 * s + 0.12 * np.sin(7 * s))
        out.append((tube(path, np.linspace(0.13, 0.02, 9)), paint * 0.9))
    return out + [(turned(m, rotation([0, 1, 0], -60)), c) for m, c in eyes(np.array([0.38, 0.95, 0]), 0.16, 0.08, X)]


def jellyfish(r: np.random.Generator) -> Pieces:
    paint = colour(r)
    out: Pieces = [(lathe([(0.55, 1.0), (0.62, 1.1), (0.5, 1.45), (0, 1.65)]), paint)]
    for _ in range(9):
        x, z = r.uniform(-0.4, 0.4, 2)
        y = np.linspace(1.05, r.uniform(0, 0.4), 9)
        path = np.column_stack([x + 0.06 * np.sin(9 * y), y, np.full(9, z)])
        out.append((tube(path, np.linspace(0.04, 0.01, 9)), paint * 0.8))
    return out


def _four(name: str) -> Callable[[np.random.Generator], Pieces]:
    return lambda r: quadruped(QUADRUPEDS[name], r)


ANIMALS: dict[str, Callable[[np.random.Generator], Pieces]] = {
    **{name: _four(name) for name in QUADRUPEDS},
    "bird": bird,
    "flamingo": lambda r: bird(r, 0.35, 0.7, 0.15, 0.9),
    "duck": lambda r: bird(r, 0.45, 0.12, 0.22, 0.1),
    "owl": owl,
    "fish": fish,
    "shark": shark,
    "snake": snake,
    "frog": frog,
    "spider": lambda r: many_legged(r, 4, False),
    "crab": lambda r: many_legged(r, 3, True),
    "butterfly": butterfly,
    "snail": snail,
    "octopus": octopus,
    "jellyfish": jellyfish,
}
