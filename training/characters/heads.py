# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads by formula instead of a body's own: smooth toon skulls of many shapes, ears, snouts and beaks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from .build import attach, rigid, without
from .character import PART, Character, Face, Feature
from .repaint import skin_colour
from .shapes import Mesh, ellipsoid, grid_triangles, merged, rotation, tube, turned


@dataclass(frozen=True)
class Head:
    """height in metres; width and depth as shares of it; jaw: width of the chin as a share of the head's width;
    ears: none, round, long, animal, small.
    """

    height: float = 0.24
    width: float = 0.85
    depth: float = 0.9
    jaw: float = 0.4
    square: float = 0.0  # 0 an ellipsoid, 1 nearly a box
    nose: float = 0.05  # how far it stands out, of the width
    ears: str = "small"


def random_head(random: np.random.Generator, height: float) -> Head:
    u = random.uniform
    return Head(
        height=height, width=float(u(0.72, 1.15)), depth=float(u(0.75, 1.1)), jaw=float(u(0.15, 0.95)),
        square=float(max(0, u(-1.2, 0.75))), nose=float(max(0, u(-0.05, 0.14))),
        ears=str(random.choice(("none", "small", "round", "long", "animal"), p=(0.25, 0.4, 0.1, 0.15, 0.1))),
    )  # fmt: skip


def skull(head: Head) -> Mesh:
    """The skull with its chin at y = 0, its middle on the axis, looking along +Z."""
    rows, columns = 30, 40
    tilt, turn = np.meshgrid(
        np.linspace(-np.pi / 2, np.pi / 2, rows), np.linspace(0, 2 * np.pi, columns, endpoint=False), indexing="ij"
    )
    x, y, z = np.cos(tilt) * np.sin(turn), np.sin(tilt), np.cos(tilt) * np.cos(turn)
    # A superellipsoid: the higher the power, the squarer.
    power = 2 + 4 * head.square
    size = (np.abs(x) ** power + np.abs(y) ** power + np.abs(z) ** power) ** (-1 / power)
    x, y, z = x * size, y * size, z * size
    low = np.clip((-y + 0.05) / 1.05, 0, 1) ** 1.6
    x *= 1 - (1 - head.jaw) * low * 0.75
    # The back of the head ends above the chin; the chin itself stands a little forward.
    back = np.clip(-z, 0, 1)
    y = y + 0.35 * low * back
    z = z * (1 - 0.25 * low) + 0.12 * low
    half_width, half_depth = head.width * head.height / 2, head.depth * head.height / 2
    bump = head.nose * head.width * np.exp(-((x / 0.13) ** 2) - ((y + 0.28) / 0.12) ** 2) * (z > 0)
    points = np.stack([x * half_width, (y + 1) / 2 * head.height, z * half_depth + bump * head.height], -1)
    return points.reshape(-1, 3), grid_triangles(rows, columns, closed=True)


def ears(head: Head) -> list[Mesh]:
    out = []
    w, h = head.width * head.height / 2, head.height
    for side in (1, -1):
        if head.ears == "small":
            out.append(ellipsoid((side * w * 0.97, 0.4 * h, -0.02 * h), (0.04 * h, 0.1 * h, 0.06 * h)))
        elif head.ears == "round":
            out.append(ellipsoid((side * w * 0.8, 0.95 * h, 0), (0.2 * h, 0.2 * h, 0.07 * h)))
        elif head.ears == "long":
            tip = np.array([side * (w + 0.4 * h), 0.62 * h, -0.1 * h])
            start = np.array([side * w * 0.9, 0.4 * h, 0])
            out.append(tube(np.linspace(start, tip, 5), [0.09 * h, 0.1 * h, 0.08 * h, 0.05 * h, 0.004], 0.4))
        elif head.ears == "animal":
            start, tip = np.array([side * w * 0.55, 0.85 * h, 0]), np.array([side * w * 0.85, 1.35 * h, 0])
            out.append(tube(np.linspace(start, tip, 4), [0.17 * h, 0.15 * h, 0.09 * h, 0.004], 0.4))
    return out


def replace_head(character: Character, head: Head, skin: np.ndarray) -> Character:
    """The body's own head goes, the formula's stands on its neck. The face has no eyes yet; its places for them are
    estimates (state "none").
    """
    joint = character.joint("head")
    if joint is None:
        raise ValueError(f"{character.name} has no head joint")
    neck = character.joints[character.joint("neck") if character.joint("neck") is not None else joint]
    chin_height = float(character.face.chin[1])
    old = character.parts == PART["face"]
    middles = character.vertices[character.triangles].mean(1)
    # What lies below the chin and behind the face is neck.
    stays = old & (middles[:, 1] < chin_height) & (middles[:, 2] < character.joints[joint][2] + 0.03)
    parts = character.parts.copy()
    parts[stays] = PART["neck"]
    bare = without(character.replace(parts=parts), old & ~stays)
    foot = np.array([0.0, chin_height - 0.04 * head.height, neck[2] + 0.1 * head.depth * head.height])
    mesh = merged([skull(head), *(m for m in ears(head) if head.ears not in ("animal", "round"))])
    mesh = turned(mesh, np.eye(3), foot)
    out = attach(bare, mesh, "face", rigid(len(mesh[0]), joint), skin, "Skin")
    if head.ears in ("animal", "round"):
        mesh = turned(merged(ears(head)), np.eye(3), foot)
        out = attach(out, mesh, "headgear", rigid(len(mesh[0]), joint), skin * 0.85, "Ears")
    front = foot[2] + head.depth * head.height / 2
    level, apart = foot[1] + 0.42 * head.height, 0.42 * head.width * head.height

    def place(x: float, y: float) -> Feature:
        return Feature(np.array([x, y, front]))

    face = Face(
        place(apart / 2, level),
        place(-apart / 2, level),
        place(0, level - 0.9 * apart * 0.8),
        foot + [0, head.height, 0],
        np.array([0, foot[1], front - 0.1 * head.depth * head.height]),
    )
    return out.replace(face=face)


def snout(character: Character, random: np.random.Generator, kind: str = "") -> Character:
    """A muzzle or beak over nose and mouth. The mouth is drawn on a muzzle, none on a beak (the beak's tip is no
    mouth that a reader should place).
    """
    face, joint = character.face, character.joint("head")
    if joint is None or not np.isfinite([face.left_eye.centre, face.right_eye.centre, face.mouth.centre]).all():
        raise ValueError(f"{character.name} has no place for a snout")
    kind = kind or str(random.choice(("muzzle", "beak", "pig", "long"), p=(0.45, 0.2, 0.15, 0.2)))
    apart = float(np.linalg.norm(face.left_eye.centre - face.right_eye.centre))
    between = (face.left_eye.centre + face.right_eye.centre) / 2
    base = np.array([between[0], 0.4 * between[1] + 0.6 * face.mouth.centre[1], min(between[2], face.mouth.centre[2])])
    skin = skin_colour(character)
    out_by = apart * {"muzzle": 0.55, "beak": 0.9, "pig": 0.4, "long": 1.2}[kind] * float(random.uniform(0.8, 1.25))
    if kind == "beak":
        path = np.linspace(base + [0, 0, -0.1 * apart], base + [0, -0.25 * apart, out_by], 5)
        mesh = tube(path, [0.42 * apart, 0.4 * apart, 0.3 * apart, 0.17 * apart, 0.01], 0.6, np.array([0, 1.0, 0]))
        colour = np.array([random.uniform(200, 255), random.uniform(120, 190), random.uniform(20, 70)])
        out = attach(character, mesh, "face", rigid(len(mesh[0]), joint), colour, "Beak")
        return out.replace(face=dataclasses.replace(face, mouth=Feature(base, state="none")))
    wide = apart * {"muzzle": 0.55, "pig": 0.4, "long": 0.42}[kind]
    mesh = ellipsoid(base, (wide, wide * 0.8, out_by))
    light = skin * 0.5 + 128 if random.random() < 0.5 else skin * float(random.uniform(0.8, 1.0))
    out = attach(character, mesh, "face", rigid(len(mesh[0]), joint), light, "Muzzle")
    tip = base + [0, 0.35 * wide, out_by * 0.9]
    nose = ellipsoid(tip, (0.3 * wide, 0.2 * wide, 0.15 * wide))
    out = attach(out, nose, "face", rigid(len(nose[0]), joint), np.array([35.0, 25, 28]), "Nose")
    # The mouth: a dark bent line on the muzzle's front.
    half, drop = 0.5 * wide, 0.35 * wide
    x = np.linspace(-half, half, 9)
    y = -drop - 0.3 * half * (1 - (x / half) ** 2)
    z = out_by * np.sqrt(np.clip(1 - (x / wide) ** 2 - (y / (0.8 * wide)) ** 2, 0.02, 1))
    line = tube(base + np.column_stack([x, y, z]), [0.045 * apart] * 9)
    out = attach(out, line, "face", rigid(len(line[0]), joint), np.array([45.0, 20, 25]), "Mouth")
    mouth = Feature(
        base + np.array([0, -drop - 0.15 * half, float(z.max())]),
        half + 0.045 * apart,
        0.15 * half + 0.045 * apart,
        "drawn",
    )
    return out.replace(face=dataclasses.replace(face, mouth=mouth))


def horns(character: Character, random: np.random.Generator) -> Character:
    """A pair of horns on the crown, part headgear."""
    joint, face = character.joint("head"), character.face
    if joint is None or not np.isfinite(face.head_top).all():
        raise ValueError(f"{character.name} has no head")
    size = float(face.head_top[1] - face.chin[1])
    meshes = []
    bend, length = float(random.uniform(-40, 60)), size * float(random.uniform(0.25, 0.7))
    for side in (1, -1):
        steps = np.linspace(0, 1, 6)
        path = np.column_stack([steps * 0, steps * length, 0.25 * length * steps**2])
        path = path @ rotation([0, 0, 1], -side * (25 + bend * 0.5)).T
        start = face.head_top + [side * 0.22 * size, -0.12 * size, 0.05 * size]
        meshes.append(tube(path + start, [0.09 * size * (1 - 0.95 * s) for s in steps]))
    mesh = merged(meshes)
    colour = random.uniform([40, 30, 30], [240, 230, 215])
    return attach(character, mesh, "headgear", rigid(len(mesh[0]), joint), colour, "Horns")
