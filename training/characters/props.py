# SPDX-License-Identifier: GPL-3.0-or-later
"""Things that a character holds or carries, by formula. All are part "prop".

A held thing is made about the origin with its grip there, its long axis along Y; it is then turned to the hand.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .build import attach, rigid
from .character import PART, Character
from .frame import colour, height, position
from .shapes import Mesh, aligned, box, ellipsoid, lathe, merged, plate, rotation, tube, turned

Piece = tuple[Mesh, np.ndarray]
WOOD, STEEL, GOLD = np.array([120.0, 82, 50]), np.array([190.0, 195, 205]), np.array([215.0, 170, 60])


def _rod(low: float, high: float, radius: float) -> Mesh:
    return tube(np.linspace([0, low, 0], [0, high, 0], 3), [radius] * 3)


def _sword(random: np.random.Generator) -> list[Piece]:
    length, wide = float(random.uniform(0.35, 0.9)), float(random.uniform(0.015, 0.06))
    blade = np.array([[-wide, 0.05], [wide, 0.05], [wide, 0.9 * length], [0, length], [-wide, 0.9 * length]])
    metal = STEEL if random.random() < 0.7 else colour(random)
    guard = box((0, 0.04, 0), (0.16, 0.025, 0.03))
    return [(plate(blade, 0.012), metal), (guard, GOLD), (_rod(-0.07, 0.05, 0.014), WOOD)]


def _staff(random: np.random.Generator) -> list[Piece]:
    length = float(random.uniform(0.6, 1.2))
    radius = float(random.uniform(0.04, 0.1))
    head = ellipsoid((0, 0.55 * length, 0), (radius, radius * float(random.uniform(0.7, 1.8)), radius))
    return [(_rod(-0.5 * length, 0.55 * length, 0.014), WOOD), (head, colour(random))]


def _spear(random: np.random.Generator) -> list[Piece]:
    length = float(random.uniform(0.8, 1.4))
    tip = tube(np.array([[0, 0.6, 0], [0, 0.66, 0], [0, 0.8, 0]]) * length, [0.01, 0.04, 0.002], 0.3)
    return [(_rod(-0.4 * length, 0.6 * length, 0.012), WOOD), (tip, STEEL)]


def _axe(random: np.random.Generator) -> list[Piece]:
    length, size = float(random.uniform(0.4, 0.9)), float(random.uniform(0.08, 0.2))
    head = np.array([[0, 0.5], [1, 1.0], [1.15, 0], [1, -1.0], [0, -0.5], [-0.2, 0]]) * size
    head = head + [0, 0.75 * length]
    pieces = [(_rod(-0.15 * length, 0.85 * length, 0.015), WOOD), (plate(head, 0.03), STEEL)]
    return [*pieces, (plate(head * [-1, 1], 0.03), STEEL)] if random.random() < 0.4 else pieces


def _hammer(random: np.random.Generator) -> list[Piece]:
    length, size = float(random.uniform(0.35, 0.9)), float(random.uniform(0.06, 0.2))
    head = box((0, 0.8 * length, 0), (2.2 * size, size, size))
    return [(_rod(-0.1, 0.8 * length, 0.016), WOOD), (head, STEEL * random.uniform(0.4, 1))]


def _shield(random: np.random.Generator) -> list[Piece]:
    size = float(random.uniform(0.14, 0.34))
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    outline = np.column_stack([np.sin(angle), np.cos(angle)]) * size
    if random.random() < 0.5:
        outline = np.array([[-1, 1], [1, 1], [1, 0], [0.6, -0.8], [0, -1.3], [-0.6, -0.8], [-1, 0]]) * size
    paint, middle = colour(random), outline.mean(0)
    rim = plate(outline * 1.08 - middle * 0.08, 0.02)
    boss = ellipsoid((0, 0, 0.03), (0.3 * size, 0.3 * size, 0.03))
    return [(rim, STEEL), (plate(outline, 0.035), paint), (boss, colour(random))]


def _bag(random: np.random.Generator) -> list[Piece]:
    size = float(random.uniform(0.1, 0.25))
    angle = np.linspace(0, np.pi, 11)
    handle = np.column_stack([0.5 * size * np.cos(angle), 0.6 * size * np.sin(angle) - 0.6 * size, 0 * angle])
    body = box((0, -1.1 * size, 0), (1.4 * size, size, 0.5 * size), float(random.uniform(0.7, 1)))
    return [(tube(handle, [0.01] * 11), WOOD), (body, colour(random))]


def _book(random: np.random.Generator) -> list[Piece]:
    size = float(random.uniform(0.1, 0.2))
    return [
        (box((0, 0, 0), (size, 1.35 * size, 0.3 * size)), colour(random)),
        (box((0.05 * size, 0, 0), (size, 1.28 * size, 0.22 * size)), np.array([240.0, 235, 215])),
    ]


def _bow(random: np.random.Generator) -> list[Piece]:
    half, angle = float(random.uniform(0.3, 0.6)), np.linspace(-1.1, 1.1, 13)
    path = np.column_stack([0 * angle, half * np.sin(angle) / np.sin(1.1), 0.5 * half * (np.cos(angle) - 1)])
    string = np.stack([path[0], path[-1]])
    return [(tube(path, [0.013] * 13), WOOD), (tube(string, [0.004] * 2), np.array([230.0, 225, 210]))]


def _gun(random: np.random.Generator) -> list[Piece]:
    length = float(random.uniform(0.15, 0.7))
    dark = np.full(3, random.uniform(25, 110))
    parts = [box((0, 0.35 * length, 0.03), (0.03, length, 0.05)), box((0, 0, -0.02), (0.03, 0.05, 0.12))]
    if length > 0.35:
        parts.append(box((0, -0.25 * length, -0.02), (0.035, 0.3 * length, 0.09)))
    return [(merged(parts), dark)]


def _umbrella(random: np.random.Generator) -> list[Piece]:
    radius = float(random.uniform(0.3, 0.6))
    steps = np.linspace(0, 1, 6)
    dome = lathe([(radius * np.cos(1.5 * s), 0.75 + 0.5 * radius * np.sin(1.5 * s)) for s in steps])
    return [(_rod(-0.12, 0.8, 0.009), WOOD), (dome, colour(random))]


def _light(random: np.random.Generator) -> list[Piece]:
    if random.random() < 0.5:
        flame = ellipsoid((0, 0.36, 0), (0.05, 0.12, 0.05))
        return [(_rod(-0.1, 0.27, 0.018), WOOD), (flame, np.array([255.0, 170, 40]))]
    lantern = box((0, -0.22, 0), (0.12, 0.16, 0.12), 0.8)
    return [(_rod(-0.14, 0, 0.006), STEEL), (lantern, np.array([250.0, 220, 120]))]


def _broom(random: np.random.Generator) -> list[Piece]:
    brush = lathe([(0.02, 0.45), (0.09, 0.6), (0.12, 0.8), (0.0, 0.8)])
    return [(_rod(-0.5, 0.5, 0.013), WOOD), (brush, np.array([200.0, 165, 90]))]


def _flowers(random: np.random.Generator) -> list[Piece]:
    out: list[Piece] = [(lathe([(0.01, -0.1), (0.09, 0.16), (0.0, 0.16)]), np.array([90.0, 150, 70]))]
    for _ in range(int(random.integers(3, 10))):
        x, y, z = random.uniform(-0.08, 0.08), random.uniform(0.14, 0.25), random.uniform(-0.06, 0.06)
        out.append((ellipsoid((x, y, z), (0.04, 0.04, 0.04), 6, 8), colour(random)))
    return out


def _ball(random: np.random.Generator) -> list[Piece]:
    r = float(random.uniform(0.06, 0.18))
    return [(ellipsoid((0, 0, r), (r, r, r)), colour(random))]


def _cup(random: np.random.Generator) -> list[Piece]:
    r = float(random.uniform(0.035, 0.07))
    return [(lathe([(0.0, -r), (r, -r), (r * 1.15, 1.5 * r)]), colour(random))]


def _flag(random: np.random.Generator) -> list[Piece]:
    wide = float(random.uniform(0.25, 0.6))
    cloth = box((wide / 2, 0.75, 0), (wide, 0.3, 0.01))
    return [(_rod(-0.4, 0.9, 0.012), WOOD), (cloth, colour(random))]


def _balloon(random: np.random.Generator) -> list[Piece]:
    return [(_rod(0, 0.55, 0.004), STEEL), (ellipsoid((0, 0.72, 0), (0.15, 0.19, 0.15)), colour(random))]


def _fan(random: np.random.Generator) -> list[Piece]:
    angle = np.linspace(-1.1, 1.1, 13)
    outline = np.vstack([[[0, 0]], np.column_stack([np.sin(angle), np.cos(angle)]) * random.uniform(0.15, 0.35)])
    return [(plate(outline, 0.008), colour(random))]


HELD: dict[str, Callable[[np.random.Generator], list[Piece]]] = {
    "sword": _sword, "staff": _staff, "spear": _spear, "axe": _axe, "hammer": _hammer, "shield": _shield, "bag": _bag,
    "book": _book, "bow": _bow, "gun": _gun, "umbrella": _umbrella, "light": _light, "broom": _broom,
    "flowers": _flowers, "ball": _ball, "cup": _cup, "flag": _flag, "balloon": _balloon, "fan": _fan,
}  # fmt: skip
# Things that hang from the hand, so their long axis follows the arm, and that are held flat against the arm.
HANGING, FLAT = ("bag", "light"), ("shield", "book", "fan")


def held(character: Character, random: np.random.Generator, kind: str = "", side: str = "") -> Character:
    """A thing in one hand, any size from a cup to a flag."""
    kind = kind or str(random.choice(list(HELD)))
    side = side or str(random.choice(("left", "right")))
    joint = character.joint(side + "Hand")
    if joint is None:
        raise ValueError(f"{character.name} has no {side} hand")
    hand = position(character, side + "Hand")
    arm = hand - position(character, side + "LowerArm")
    length = float(np.linalg.norm(arm))
    if length < 1e-4:
        raise ValueError(f"{character.name} has no {side} forearm")
    arm /= length
    at = character.parts == PART[side + "Hand"]
    reach = (character.vertices[character.triangles[at]].reshape(-1, 3) - hand) @ arm if at.any() else np.zeros(1)
    palm = hand + arm * max(0.45 * float(reach.max()), 0.0)
    forward = np.array([0, 0, 1.0]) - arm * arm[2]
    forward /= np.linalg.norm(forward) + 1e-9
    across = np.cross(arm, forward)
    roll = float(random.uniform(0, 2 * np.pi) if random.random() < 0.35 else random.normal(0, 0.5))
    axis = np.cos(roll) * forward + np.sin(roll) * across + float(random.normal(0, 0.3)) * arm
    # Seen from the front most things are held upright: then the axis is as near to Y as the grip allows.
    upright = np.array([0, 1.0, 0]) - arm * arm[1]
    if random.random() < 0.4 and np.linalg.norm(upright) > 0.3:
        axis = upright / np.linalg.norm(upright) + 0.2 * arm * float(random.normal())
    if kind in HANGING:
        axis = -arm
    turn = aligned(np.array([0, 1.0, 0]), axis) @ rotation([0, 1, 0], float(random.uniform(0, 360)))
    if kind in FLAT:
        outward = np.array([np.sign(hand[0]) or 1.0, 0, 0]) + float(random.uniform(0, 2)) * np.array([0, 0, 1.0])
        turn = aligned(np.array([0, 0, 1.0]), outward) @ rotation([0, 0, 1], float(random.normal(0, 20)))
        palm = palm + 0.06 * length * outward
    scale = height(character) / 1.6 * float(random.uniform(0.8, 1.5))
    for mesh, paint in HELD[kind](random):
        placed = turned((mesh[0] * scale, mesh[1]), turn, palm)
        character = attach(character, placed, "prop", rigid(len(placed[0]), joint), paint, kind.capitalize())
    return character


def carried(character: Character, random: np.random.Generator, kind: str = "") -> Character:
    """Wings, a tail, a backpack, a quiver or a sword on the back."""
    kind = kind or str(random.choice(("wings", "bat", "tail", "backpack", "sword")))
    chest = next((j for j in map(character.joint, ("upperChest", "chest", "spine")) if j is not None), None)
    hips = character.joint("hips")
    if chest is None or hips is None:
        raise ValueError(f"{character.name} has no back")
    size = height(character)
    torso = character.vertices[character.triangles[character.parts == PART["torso"]]].reshape(-1, 3)
    if not len(torso):
        raise ValueError(f"{character.name} has no back")
    back = float(torso[:, 2].min())
    middle = np.array([character.joints[chest][0], character.joints[chest][1], back])
    paint = colour(random)
    if kind == "tail":
        root = np.array([character.joints[hips][0], character.joints[hips][1], back])
        steps = np.linspace(0, 1, 9)[:, None]
        sway = float(random.uniform(-1, 1)) * size * 0.35
        path = root + steps * [sway, 0.0, -0.25 * size] + np.sin(steps * 3.1) * [0, -0.1 * size, 0] + steps**2 * [
            0, float(random.uniform(-0.2, 0.45)) * size, 0,
        ]  # fmt: skip
        mesh = tube(path, np.linspace(0.035, 0.02, 9) * size * float(random.uniform(0.5, 2)))
        return attach(character, mesh, "prop", rigid(len(mesh[0]), hips), paint, "Tail")
    if kind == "backpack":
        wide = size * float(random.uniform(0.12, 0.25))
        mesh = box(middle - [0, 0, 0.3 * wide], (wide, 1.3 * wide, 0.6 * wide))
    elif kind == "sword":
        turn = rotation([0, 0, 1], float(random.choice((-35, 35))))
        mesh = merged(turned((m[0] * size * 0.6, m[1]), turn, middle + [0, 0, -0.03 * size]) for m, _ in _sword(random))
    else:
        mesh = _wings(random, kind, middle, size)
    return attach(character, mesh, "prop", rigid(len(mesh[0]), chest), paint, kind.capitalize())


def _wings(random: np.random.Generator, kind: str, middle: np.ndarray, size: float) -> Mesh:
    span, lift = size * float(random.uniform(0.2, 0.7)), float(random.uniform(-0.2, 0.9))
    if kind == "bat":
        outline = np.array(
            [[0, 0.2], [0.5, 0.6], [1, 0.5], [0.9, 0], [0.7, 0.1], [0.6, -0.25], [0.4, 0], [0.2, -0.3], [0, -0.2]]
        )
    else:
        outline = np.array(
            [[0, 0.2], [0.5, 0.55], [1, 0.6], [0.95, 0.2], [0.75, -0.1], [0.5, -0.3], [0.2, -0.4], [0, -0.2]]
        )
    outline = (outline + np.column_stack([0 * outline[:, 0], lift * outline[:, 0]])) * span
    sides = []
    for sign in (1, -1):
        mesh = plate(outline * [sign, 1], 0.02 * size)
        sides.append(turned(mesh, rotation([0, 1, 0], sign * 25), middle + [sign * 0.03 * size, 0, -0.02 * size]))
    return merged(sides)
