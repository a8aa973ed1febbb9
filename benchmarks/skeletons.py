# SPDX-License-Identifier: GPL-3.0-or-later
"""Randomised skeletons with known truth, for the humanoid matcher: people in many kinds, and things that are no people.

Metres, Blender's axes: Z up, facing -Y, the character's left is +X. Bones have no names unless a kind gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")
PHALANGES = dict.fromkeys(FINGERS, ("Proximal", "Intermediate", "Distal")) | {
    "Thumb": ("Metacarpal", "Proximal", "Distal")
}


@dataclass
class Sample:
    """heads, tails: (J, 3); parents: (J,), -1 for a root; truth: VRM bone -> index, empty for what is no humanoid."""

    heads: np.ndarray
    tails: np.ndarray
    parents: np.ndarray
    truth: dict[str, int]
    aside: dict[int, str] = field(default_factory=dict)
    names: list[str] | None = None


class Builder:
    """Joints in the order they are added; `label` is the VRM bone, or what an extra joint belongs to after a colon
    (":hair").
    """

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []
        self.parents: list[int] = []
        self.labels: list[str] = []

    def add(self, parent: int, point, label: str = ":extra") -> int:
        self.points.append(np.asarray(point, float))
        self.parents.append(parent)
        self.labels.append(label)
        return len(self.points) - 1

    def chain(self, parent: int, points, label: str) -> int:
        for point in points:
            parent = self.add(parent, point, label)
        return parent

    def at(self, label: str) -> int:
        return self.labels.index(label)


@dataclass
class Look:
    """A person. Fractions are of the height; arm: degrees below horizontal; splits: twist joints inside a limb's
    segment.
    """

    height: float = 1.65
    legs: float = 0.5
    neck: float = 0.83
    head: float = 0.87
    arm: float = 0.31
    shoulder: float = 0.1
    hip: float = 0.055
    pose: float = 45.0
    elbow: float = 5.0
    spine: int = 3
    necks: int = 1
    shoulders: bool = True
    toes: bool = True
    fingers: int = 5
    phalanges: int = 3
    ends: bool = False
    twist_in: int = 0
    twist_side: bool = False
    hair: int = 0
    skirt: int = 0
    skirt_length: float = 0.25
    skirt_joints: int = 3
    flare: float = 1.0
    tail: int = 0
    wings: bool = False
    bat: bool = False
    root: bool = False
    pelvis: bool = False
    metacarpals: bool = False
    eyes: bool = False
    weapon: bool = False
    knee: float = 0.01
    toe_ends: bool = False
    bunches: bool = False
    bust: bool = False


def person(rng: np.random.Generator, look: Look) -> Builder:
    """The skeleton of one look, clean and exactly symmetric but for what is drawn at random in its extras."""
    b, h = Builder(), look.height
    parent = b.add(-1, (0, 0, 0), ":root") if look.root else -1
    hips_z = (look.legs + 0.035) * h
    hips = b.add(parent, (0, 0.005 * h, hips_z), "hips")
    thighs = b.add(hips, (0, 0.005 * h, hips_z - 0.01 * h), ":pelvis") if look.pelvis else hips
    top = look.neck * h
    chain_labels = _spine_labels(look.spine)
    parent = hips
    start = hips_z + (0.06 + 0.03 * rng.random()) * h * min(1.0, (top - hips_z) / (0.3 * h))
    end = top - 0.22 * (top - hips_z)
    for k, label in enumerate(chain_labels):
        t = k / max(look.spine - 1, 1)
        parent = b.add(
            parent,
            (0, (0.01 * np.sin(3 * t)) * h, start + (end - start) * t if look.spine > 1 else (start + end) / 2),
            label,
        )
    chest = parent
    head_z = look.head * h
    for k in range(look.necks):
        z = top + (head_z - top) * k / look.necks
        parent = b.add(parent, (0, 0.01 * h, z), "neck" if k == 0 else ":neck")
    head = b.add(parent, (0, 0.0, head_z), "head")
    if look.ends:
        b.add(head, (0, 0.0, h), ":end")
    if look.eyes:
        for sign, side in ((1, "left"), (-1, "right")):
            b.add(head, (sign * 0.018 * h, -0.05 * h, head_z + 0.35 * (h - head_z)), side + "Eye")
    for sign, side in ((1.0, "left"), (-1.0, "right")):
        _arm(b, rng, look, chest, sign, side)
        _leg(b, look, thighs, hips_z, sign, side)
    _extras(b, rng, look, hips, chest, head)
    return b


def _spine_labels(count: int) -> list[str]:
    """Spine, chest and upperChest are the first, the middle and the last joint, as far as there are so many."""
    if count <= 3:
        return ["spine", "chest", "upperChest"][:count]
    labels = [":spine"] * count
    labels[0], labels[count // 2], labels[-1] = "spine", "chest", "upperChest"
    return labels


def _arm(b: Builder, rng: np.random.Generator, look: Look, chest: int, sign: float, side: str) -> None:
    h = look.height
    shoulder = np.array([look.shoulder * h, 0.012 * h, (look.neck - 0.015) * h])
    upper, fore = look.arm * h * 0.53, look.arm * h * 0.47

    def placed(p: np.ndarray) -> np.ndarray:
        """A point of the arm stretched along +X from the shoulder, in the pose and on its side."""
        bend = np.radians(look.elbow)
        if p[0] > upper:
            x, y = p[0] - upper, p[1]
            p = np.array([upper + x * np.cos(bend) + y * np.sin(bend), y * np.cos(bend) - x * np.sin(bend), p[2]])
        a = np.radians(look.pose)
        q = np.array([p[0] * np.cos(a) + p[2] * np.sin(a), p[1], p[2] * np.cos(a) - p[0] * np.sin(a)]) + shoulder
        return q * [sign, 1, 1]

    parent = chest
    if look.shoulders:
        parent = b.add(parent, np.array([0.025 * h * sign, 0.012 * h, (look.neck - 0.03) * h]), side + "Shoulder")
    spots = [(0.0, side + "UpperArm"), (upper, side + "LowerArm"), (upper + fore, side + "Hand")]
    for k, (x, label) in enumerate(spots):
        parent = b.add(parent, placed(np.array([x, 0, 0])), label)
        if k < 2:
            gap = spots[k + 1][0] - x
            if look.twist_side:
                b.add(parent, placed(np.array([x + 0.5 * gap, 0, 0])), ":twist")
            for s in np.arange(1, look.twist_in + 1) / (look.twist_in + 1):
                parent = b.add(parent, placed(np.array([x + s * gap, 0, 0])), ":twist")
    wrist, palm = upper + fore, 0.052 * h * look.arm / 0.31
    for finger in FINGERS[: look.fingers]:
        _finger(b, look, parent, side, finger, lambda p: placed(np.array([wrist, 0, 0]) + p * palm))
    if look.fingers == 0 and look.ends:
        b.add(parent, placed(np.array([wrist + 1.8 * palm, 0, 0])), ":end")
    if look.weapon and side == "right":
        b.chain(parent, [placed(np.array([wrist + 0.7 * palm, -s * h, 0.2 * s * h])) for s in (0.02, 0.35)], ":prop")


def _finger(b: Builder, look: Look, hand: int, side: str, finger: str, placed: Callable) -> None:
    """In palm lengths from the wrist: x along the hand, -y towards the thumb."""
    k = FINGERS.index(finger)
    if finger == "Thumb":
        base, way = np.array([0.28, -0.28, -0.1]), np.array([0.72, -0.66, -0.2])
        lengths = [0.5, 0.38, 0.3]
    else:
        base = np.array([(1.0, 1.04, 0.99, 0.9)[k - 1], (-0.3, -0.07, 0.15, 0.36)[k - 1], (0, 0.02, 0, -0.03)[k - 1]])
        way = np.array([1.0, 0.12 * (k - 2.3), 0.0])
        lengths = [s * (1.0, 1.08, 1.0, 0.8)[k - 1] for s in (0.5, 0.3, 0.25)]
        if look.metacarpals:
            hand = b.add(hand, placed(base * [0.22, 0.6, 1]), ":metacarpal")
    way = way / np.linalg.norm(way)
    joints = [base]
    for length in lengths:
        joints.append(joints[-1] + way * length)
    labels = [side + finger + phalanx for phalanx in PHALANGES[finger]][: look.phalanges]
    if look.ends and look.phalanges == 3:
        labels.append(":end")
    for point, label in zip(joints, labels, strict=False):
        hand = b.add(hand, placed(point), label)


def _leg(b: Builder, look: Look, parent: int, hips_z: float, sign: float, side: str) -> None:
    h = look.height
    top, ankle = look.legs * h, 0.05 * h * min(1.0, look.legs / 0.45)
    knee = ankle + 0.49 * (top - ankle)
    x = look.hip * h * sign
    spots = [((x, 0, top), "UpperLeg"), ((x, -look.knee * h, knee), "LowerLeg"), ((x, 0.012 * h, ankle), "Foot")]
    for k, (point, label) in enumerate(spots):
        parent = b.add(parent, point, side + label)
        if k < 2:
            gap = np.array(spots[k + 1][0]) - point
            if look.twist_side:
                b.add(parent, point + 0.5 * gap, ":twist")
            for s in np.arange(1, look.twist_in + 1) / (look.twist_in + 1):
                parent = b.add(parent, point + s * gap, ":twist")
    length = 0.28 * (top - ankle)
    if look.toes:
        parent = b.add(parent, (x * 1.05, 0.012 * h - 0.9 * length, 0.25 * ankle), side + "Toes")
        if look.ends or look.toe_ends:
            b.add(parent, (x * 1.05, 0.012 * h - 1.4 * length, 0.2 * ankle), ":end")


def _extras(b: Builder, rng: np.random.Generator, look: Look, hips: int, chest: int, head: int) -> None:
    h = look.height
    crown = np.array([0, 0.0, b.points[head][2]]) + [0, 0, 0.6 * (h - b.points[head][2])]
    size = 0.7 * (h - b.points[head][2])
    for k in range(look.hair):
        angle = 2 * np.pi * (k + rng.random() * 0.4) / look.hair
        length = h * rng.uniform(0.06, 0.5 if np.sin(angle) > 0 else 0.15)
        base = crown + size * np.array([np.cos(angle), 0.9 * np.sin(angle), rng.uniform(-0.2, 0.5)])
        count = int(rng.integers(2, 6))
        b.chain(
            head,
            [base + [0.02 * h * np.cos(angle) * s, 0.02 * h * s, -length * s] for s in np.linspace(0, 1, count)],
            ":hair",
        )
    if look.bunches:
        for sign in (1, -1):
            out = np.array([sign, 0.15, 0])
            b.chain(
                head, [crown + out * (size + 0.03 * h * s) - [0, 0, 0.5 * h * s] for s in np.linspace(0, 1, 5)], ":hair"
            )
    for k in range(look.skirt):
        angle = 2 * np.pi * (k + 0.5 * (look.skirt % 4 == 2)) / look.skirt
        out = np.array([np.cos(angle), np.sin(angle), 0])
        waist, fall = b.points[hips] + [0, 0, -0.01 * h], look.skirt_length * h
        steps = np.linspace(0, 1, look.skirt_joints)
        b.chain(
            hips,
            [
                waist + out * h * (0.075 + look.flare * (0.05 + 0.2 * look.skirt_length) * s) - [0, 0, fall * s]
                for s in steps
            ],
            ":skirt",
        )
    if look.tail:
        rise = rng.uniform(-0.8, 0.7)
        base, step = (
            b.points[hips] + [0, 0.05 * h, -0.02 * h],
            np.array([rng.uniform(-0.15, 0.15), 1.0, rise]) * 0.07 * h,
        )
        b.chain(hips, [base + step * k for k in range(look.tail)], ":tail")
    if look.wings:
        lift, span, count = rng.uniform(-0.1, 0.8), rng.uniform(0.35, 0.7), int(rng.integers(3, 6))
        for sign in (1, -1):
            base = b.points[chest] + [sign * 0.04 * h, 0.06 * h, 0.03 * h]
            way = np.array([sign, 0.35, lift]) * span * h
            tip = b.chain(chest, [base + way * s for s in np.linspace(0, 1, count)], ":wing")
            for k in range(3):
                b.add(b.parents[tip], base + way * 0.8 + [sign * 0.05 * h * k, 0.05 * h, -0.12 * h * (k + 1)], ":wing")
    if look.bat:
        lift, span = rng.uniform(0.0, 0.8), rng.uniform(0.3, 0.6)
        for sign in (1, -1):
            base, way = b.points[chest] + [sign * 0.04 * h, 0.06 * h, 0.03 * h], np.array([sign, 0.3, lift]) * span * h
            hand = b.chain(chest, [base + way * s for s in (0, 0.45, 0.8)], ":wing")
            for k in range(4):
                b.chain(
                    hand,
                    [b.points[hand] + np.array([sign * 0.05, 0.02, -0.04 * k]) * h * s for s in (1, 2, 3)],
                    ":wing",
                )
    if look.bust:
        for sign in (1, -1):
            b.chain(chest, [b.points[chest] + np.array([sign * 0.045, y, -0.01]) * h for y in (-0.05, -0.085)], ":bust")


def adult(rng: np.random.Generator, **given) -> Look:
    look = Look(
        height=rng.uniform(1.4, 2.0),
        legs=rng.uniform(0.46, 0.54),
        neck=rng.uniform(0.8, 0.835),
        arm=rng.uniform(0.29, 0.35),
        shoulder=rng.uniform(0.085, 0.12),
        hip=rng.uniform(0.045, 0.065),
        pose=float(rng.choice([0, 15, 30, 45, 60])),
        elbow=rng.uniform(0, 15),
        knee=rng.uniform(0.0, 0.02),
        shoulders=bool(rng.random() < 0.85),
        toes=bool(rng.random() < 0.85),
        fingers=int(rng.choice([0, 5, 5, 5])),
        spine=int(rng.choice([2, 3, 3])),
        necks=1,
        root=bool(rng.random() < 0.3),
        toe_ends=bool(rng.random() < 0.3),
    )
    look.head = look.neck + rng.uniform(0.03, 0.065)
    for name, value in given.items():
        setattr(look, name, value)
    return look


def child(rng: np.random.Generator) -> Look:
    """Two to four heads high."""
    head = rng.uniform(0.22, 0.42)
    neck = 1 - head - 0.015
    legs = neck * rng.uniform(0.42, 0.55)
    arm = rng.uniform(0.36, 0.46) * neck
    look = adult(rng, neck=neck, head=neck + rng.uniform(0.02, 0.05), legs=legs, arm=arm, height=rng.uniform(0.5, 1.2))
    look.shoulder, look.hip = rng.uniform(0.1, 0.16) * neck, rng.uniform(0.07, 0.11) * neck
    return look


def giant(rng: np.random.Generator) -> Look:
    look = adult(
        rng,
        height=rng.uniform(4, 30),
        neck=rng.uniform(0.83, 0.87),
        arm=rng.uniform(0.34, 0.42),
        legs=rng.uniform(0.42, 0.58),
    )
    look.head, look.shoulder = look.neck + rng.uniform(0.025, 0.05), rng.uniform(0.12, 0.19)
    return look


Kind = Callable[[np.random.Generator], Look]
KINDS: dict[str, Kind] = {
    "no fingers": lambda r: adult(r, fingers=0, ends=bool(r.random() < 0.4)),
    "1 finger": lambda r: adult(r, fingers=1),
    "2 fingers": lambda r: adult(r, fingers=2),
    "3 fingers": lambda r: adult(r, fingers=3),
    "4 fingers": lambda r: adult(r, fingers=4),
    "5 fingers": lambda r: adult(r, fingers=5, ends=bool(r.random() < 0.5)),
    "two phalanges": lambda r: adult(r, fingers=5, phalanges=2),
    "metacarpals": lambda r: adult(r, fingers=5, metacarpals=True),
    "1 spine bone": lambda r: adult(r, spine=1),
    "4-7 spine bones": lambda r: adult(r, spine=int(r.integers(4, 8))),
    "neck variants": lambda r: adult(r, necks=int(r.choice([0, 2, 3]))),
    "twist inside": lambda r: adult(r, twist_in=int(r.integers(1, 4))),
    "twist beside": lambda r: adult(r, twist_side=True),
    "hair": lambda r: adult(r, hair=int(r.integers(1, 15)), eyes=bool(r.random() < 0.5)),
    "bunches": lambda r: adult(r, hair=int(r.integers(0, 6)), bunches=True),
    "skirt": lambda r: adult(
        r, skirt=int(r.choice([4, 6, 8, 12])), skirt_length=r.uniform(0.1, 0.35), skirt_joints=int(r.integers(2, 6))
    ),
    "robe": lambda r: adult(
        r,
        skirt=int(r.choice([6, 8, 12])),
        skirt_length=r.uniform(0.45, 0.54),
        skirt_joints=int(r.integers(3, 6)),
        flare=r.uniform(0.1, 1),
    ),
    "tail": lambda r: adult(r, tail=int(r.integers(2, 9))),
    "wings": lambda r: adult(r, wings=True, tail=int(r.choice([0, 4]))),
    "bat wings": lambda r: adult(r, bat=True, tail=int(r.choice([0, 4]))),
    "T-pose": lambda r: adult(r, pose=r.uniform(-5, 5)),
    "A-pose": lambda r: adult(r, pose=r.uniform(35, 65)),
    "arms down": lambda r: adult(r, pose=r.uniform(70, 88)),
    "child": child,
    "giant": giant,
    "weapon": lambda r: adult(r, weapon=True, bust=bool(r.random() < 0.5)),
    "end bones": lambda r: adult(r, ends=True, toes=True),
    "all at once": lambda r: adult(
        r,
        hair=8,
        bunches=True,
        skirt=8,
        skirt_joints=4,
        tail=4,
        wings=True,
        twist_side=True,
        fingers=5,
        bust=True,
        pelvis=True,
    ),
    "any axes": lambda r: adult(r),
    "noise, body": lambda r: adult(r, fingers=0),
    "noise, hands": lambda r: adult(r, fingers=int(r.integers(1, 6))),
    "noise, all": lambda r: adult(r, fingers=int(r.integers(1, 6))),
}
NOISE = 0.02


def sample(kind: str, rng: np.random.Generator) -> Sample:
    """One skeleton of a kind in KINDS."""
    look = KINDS[kind](rng)
    built = person(rng, look)
    points = np.array(built.points)
    spread = 0.002 * look.height
    points = points + rng.normal(size=points.shape) * spread / np.sqrt(3)
    if kind.startswith(
        "noise"
    ):  # each joint is off by 2 % of the height (root mean square); fingers lie nearer to each other than that
        hand = np.array([kind == "noise, hands" and any(f in label for f in FINGERS) for label in built.labels])
        size = NOISE * look.height * np.where(hand, look.arm * 0.47, 1.0)
        points = points + rng.normal(size=points.shape) * size[:, None] / np.sqrt(3)
    return finish(built, points, rng, axes=kind in ("any axes", "all at once"))


def finish(built: Builder, points: np.ndarray, rng: np.random.Generator, axes: bool = False) -> Sample:
    """Tails towards the first child, or anywhere; bones in a random order that keeps parents first."""
    parents = np.array(built.parents)
    tails = points + [0, 0, 0.03]
    size = float(np.ptp(points, axis=0).max())
    for k in range(len(points)):
        below = np.flatnonzero(parents == k)
        if len(below):
            tails[k] = points[below[0]]
        if axes:
            way = rng.normal(size=3)
            tails[k] = points[k] + way / np.linalg.norm(way) * rng.uniform(0.01, 0.1) * size
    order, ready = [], [int(k) for k in np.flatnonzero(parents < 0)]
    while ready:
        k = ready.pop(int(rng.integers(len(ready))))
        order.append(k)
        ready += [int(c) for c in np.flatnonzero(parents == k)]
    place = {old: new for new, old in enumerate(order)}
    truth = {label: place[k] for k, label in enumerate(built.labels) if not label.startswith(":")}
    aside = {place[k]: label[1:] for k, label in enumerate(built.labels) if label.startswith(":")}
    new_parents = np.array([place[parents[k]] if parents[k] >= 0 else -1 for k in order])
    return Sample(points[order], tails[order], new_parents, truth, aside)
