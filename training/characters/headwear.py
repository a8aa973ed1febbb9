# SPDX-License-Identifier: GPL-3.0-or-later
"""Hats, helmets, masks, hoods and glasses by formula. All are part "headgear" and move with the head."""

from __future__ import annotations

import numpy as np

from .build import attach, rigid
from .character import Character, Feature
from .frame import Skull, colour, skull
from .shapes import Mesh, box, ellipsoid, grid_triangles, lathe, merged, plate, rotation, tube, turned

# Profiles of hats above the brim line: (radius, height), in head radii and head sizes.
HATS: dict[str, tuple[tuple[float, float], ...]] = {
    "witch": ((2.1, -0.02), (1.1, 0.02), (1.0, 0.1), (0.55, 0.55), (0.25, 0.85), (0.02, 1.1)),
    "top": ((1.6, 0.0), (1.05, 0.01), (1.0, 0.6), (0.0, 0.6)),
    "straw": ((2.0, -0.03), (1.08, 0.02), (1.0, 0.28), (0.6, 0.36), (0.0, 0.37)),
    "cowboy": ((1.9, 0.06), (1.1, 0.0), (0.95, 0.35), (0.5, 0.38), (0.0, 0.34)),
    "beret": ((1.0, 0.0), (1.35, 0.1), (1.2, 0.22), (0.0, 0.28)),
    "beanie": ((1.08, -0.05), (1.1, 0.1), (1.0, 0.26), (0.6, 0.4), (0.0, 0.46)),
    "chef": ((1.0, 0.0), (1.0, 0.25), (1.35, 0.35), (1.3, 0.6), (0.0, 0.7)),
    "fez": ((1.0, 0.0), (0.8, 0.4), (0.0, 0.4)),
    "sombrero": ((2.8, 0.1), (2.6, 0.02), (1.05, 0.0), (0.8, 0.45), (0.0, 0.6)),
    "crown": ((1.0, 0.0), (1.1, 0.25)),
    "cone": ((1.0, -0.02), (0.02, 0.95)),
    "cap": ((1.05, -0.03), (1.05, 0.08), (0.8, 0.3), (0.0, 0.38)),
    "bowler": ((1.45, 0.02), (1.05, 0.0), (1.0, 0.2), (0.7, 0.34), (0.0, 0.4)),
}


def _shade(random: np.random.Generator) -> np.ndarray:
    return colour(random)


def hat(character: Character, random: np.random.Generator, kind: str = "") -> Character:
    head = skull(character)
    kind = kind or str(random.choice(list(HATS)))
    tilt = float(random.uniform(0.35, 0.8))
    y = head.centre[1] + head.radii[1] * np.sin(tilt)
    # Wide enough for the skull at that height, with its hair.
    wide = float(np.linalg.norm((head.at(np.pi / 2, tilt, 1.1) - head.centre)[[0, 2]]))
    tall = head.size * float(random.uniform(0.7, 1.3))
    profile = [(r * wide, h * tall) for r, h in HATS[kind]]
    depth = float(np.clip(head.radii[2] / head.radii[0], 0.7, 1.5))
    meshes = [lathe(profile, depth, 24)]
    meshes += [(meshes[0][0], meshes[0][1][:, ::-1])] if kind == "crown" else []
    if kind == "cap":
        angle = np.linspace(-1.0, 1.0, 9)
        inner = np.column_stack([np.sin(angle) * wide * 1.04, 0 * angle, np.cos(angle) * wide * 1.04 * depth])
        outer = inner * [1.1, 1, 1.7] + [0, -0.06 * head.size, 0]
        meshes.append((np.concatenate([inner, outer]), grid_triangles(2, 9, closed=False)))
    lean = rotation([1, 0, 0], float(random.uniform(-14, 6))) @ rotation([0, 0, 1], float(random.normal(0, 4)))
    mesh = turned(merged(meshes), lean, np.array([head.centre[0], y, head.centre[2]]))
    paint = _shade(random)
    out = attach(character, mesh, "headgear", rigid(len(mesh[0]), head.joint), paint, "Hat")
    if kind in ("witch", "top", "straw", "cowboy", "bowler") and random.random() < 0.7:
        band = lathe([(1.09 * wide, 0.02 * tall), (1.06 * wide, 0.11 * tall)], depth, 24)
        band = turned(band, lean, np.array([head.centre[0], y, head.centre[2]]))
        out = attach(out, band, "headgear", rigid(len(band[0]), head.joint), _shade(random), "Band")
    return out


def _dome(head: Skull, out: float, opening: tuple[float, float, float]) -> Mesh:
    """A shell about the head that leaves the face open: half angle of the opening, its lower and upper tilt."""
    half, low, high = opening
    rows, columns = 16, 40
    tilt = np.linspace(-1.2, np.pi / 2, rows)
    azimuth = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    points = head.at(azimuth[None, :], tilt[:, None], out).reshape(-1, 3)
    triangles = grid_triangles(rows, columns, closed=True)
    middle = np.arctan2(np.sin(azimuth), np.cos(azimuth))
    in_face = (np.abs(middle)[None, :] < half) & (tilt[:, None] > low) & (tilt[:, None] < high)
    return points, triangles[~in_face.reshape(-1)[triangles].all(1)]


def helmet(character: Character, random: np.random.Generator, kind: str = "") -> Character:
    """open: the face shows; visor: a slit shows the eyes or nothing; full: smooth, with a dark window."""
    head = skull(character)
    kind = kind or str(random.choice(("open", "visor", "full", "bucket"), p=(0.35, 0.25, 0.25, 0.15)))
    metal = random.uniform(60, 230) * np.ones(3) if random.random() < 0.6 else colour(random)
    out = float(random.uniform(1.12, 1.25))
    joint = head.joint
    if kind == "open":
        mesh = _dome(head, out, (float(random.uniform(0.7, 1.0)), -1.3, float(random.uniform(0.35, 0.6))))
    elif kind == "bucket":
        r = float(max(head.radii[0], head.radii[2])) * out
        bottom = head.centre[1] - 1.05 * head.radii[1]
        top = head.centre[1] + 1.1 * head.radii[1]
        profile = [(r, bottom), (r, top - 0.1 * head.size), (0.9 * r, top), (0, top)]
        mesh = turned(lathe(profile), np.eye(3), head.centre * [1, 0, 1])
    else:
        mesh = _dome(head, out, (0, 0, 0))
    result = attach(character, mesh, "headgear", rigid(len(mesh[0]), joint), metal, "Helmet")
    if kind != "open":
        tilt = (0.0, 0.22) if kind in ("visor", "bucket") else (-0.45, 0.5)
        azimuth = np.linspace(-0.9, 0.9, 15)
        rows = np.linspace(*tilt, 5)
        dark = np.array([15.0, 15, 20]) if kind != "full" or random.random() < 0.6 else colour(random) * 0.5
        grown = float(max(head.radii[0], head.radii[2])) / head.radii * out if kind == "bucket" else np.full(3, out)
        wide = Skull(head.centre, head.radii * grown * [1.02, 1, 1.02], head.size, joint, head.power)
        points = wide.at(azimuth[None, :], rows[:, None], 1.02).reshape(-1, 3)
        slit = (points, grid_triangles(5, 15, closed=False))
        result = attach(result, slit, "headgear", rigid(len(points), joint), dark, "Visor")
    if random.random() < 0.4:
        crest = tube(
            head.centre + head.radii * out * np.array([[0, np.cos(a), -np.sin(a)] for a in np.linspace(-0.7, 1.8, 9)]),
            [0.07 * head.size] * 9,
        )
        result = attach(result, crest, "headgear", rigid(len(crest[0]), joint), colour(random), "Crest")
    return result


def mask(character: Character, random: np.random.Generator) -> Character:
    """Over nose and mouth, or over the eyes with holes beside them, or over the whole face."""
    head = skull(character)
    kind = str(random.choice(("mouth", "scarf", "whole"), p=(0.45, 0.35, 0.2)))
    mouth = character.face.mouth.centre
    level = float(mouth[1]) if np.isfinite(mouth).all() else head.centre[1] - 0.5 * head.radii[1]
    middle = float(np.arcsin(np.clip((level - head.centre[1]) / head.radii[1], -0.9, 0.2)))
    low, high, half = {"mouth": (-0.5, 0.3, 0.75), "scarf": (-0.7, 0.35, np.pi), "whole": (-0.6, 1.4, 0.85)}[kind]
    azimuth = np.linspace(-half, half, 33)
    tilt = np.linspace(middle + low, middle + high, 9)
    points = head.at(azimuth[None, :], np.clip(tilt, -1.35, 1.35)[:, None], 1.06)
    front = np.isfinite(mouth).all() and float(mouth[2]) - float(head.at(0.0, middle, 1.0)[2])
    # Room for the nose in front.
    points[..., 2] += np.clip(front, 0, None) * np.clip(np.cos(azimuth), 0, 1)[None, :] + 0.05 * head.size * np.exp(
        -((azimuth / 0.4) ** 2)
    )
    mesh = points.reshape(-1, 3), grid_triangles(9, 33, closed=False)
    return attach(character, mesh, "headgear", rigid(len(mesh[0]), head.joint), colour(random), "Mask")


def glasses(character: Character, random: np.random.Generator) -> Character:
    """Frames, with dark lenses on every third pair."""
    head, face = skull(character), character.face
    eyes: list[Feature] = [face.left_eye, face.right_eye]
    if not np.isfinite([eye.centre for eye in eyes]).all():
        raise ValueError(f"{character.name} has no eyes to put glasses before")
    apart = float(np.linalg.norm(eyes[0].centre - eyes[1].centre))
    front = max(float(eye.centre[2]) for eye in eyes) + 0.12 * apart
    round_ = random.random() < 0.6
    a, b = 0.42 * apart, apart * float(random.uniform(0.3, 0.42))
    angle = np.linspace(0, 2 * np.pi, 17)
    power = 1.0 if round_ else 0.5
    ring = np.column_stack(
        [
            a * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power,
            b * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power,
            np.zeros(17),
        ]
    )
    middles = [np.array([eye.centre[0], eye.centre[1], front]) for eye in eyes]
    thick = apart * float(random.uniform(0.025, 0.06))
    frames = [tube(ring + middle, [thick] * 17) for middle in middles]
    bridge = np.stack([middles[1] + [a, 0, 0], middles[0] - [a, 0, 0]])
    frames.append(tube(bridge, [thick] * 2))
    for side, middle in zip((1, -1), middles, strict=True):
        ear = np.array([head.centre[0] + side * 1.02 * head.radii[0], middle[1], head.centre[2]])
        frames.append(tube(np.stack([middle + [side * a, 0, 0], ear]), [thick] * 2))
    mesh = merged(frames)
    out = attach(character, mesh, "headgear", rigid(len(mesh[0]), head.joint), colour(random) * 0.5, "Glasses")
    if random.random() < 0.35:
        lenses = merged(turned(plate(ring[:-1, :2], 0.02 * apart), np.eye(3), middle) for middle in middles)
        out = attach(out, lenses, "headgear", rigid(len(lenses[0]), head.joint), np.array([22.0, 20, 26]), "Lenses")
    return out


def headband(character: Character, random: np.random.Generator) -> Character:
    """A band with a bow, a flower, headphones' cups or cat's ears."""
    head = skull(character)
    azimuth = np.linspace(0, 2 * np.pi, 25)
    kind = str(random.choice(("bow", "headphones", "cat", "flower", "halo")))
    paint, joint, size = colour(random), head.joint, head.size
    over = head.centre + head.radii * 1.1 * np.column_stack(
        [np.cos(np.linspace(0, np.pi, 17)), np.sin(np.linspace(0, np.pi, 17)), np.zeros(17)]
    )
    meshes: list[Mesh] = []
    if kind == "halo":
        ring = head.at(azimuth, 0.0, 0.9) * [1, 0, 1] + [0, head.centre[1] + 1.35 * head.radii[1], 0]
        meshes.append(tube(ring, [0.03 * size] * 25))
    else:
        meshes.append(tube(over, [0.035 * size] * 17))
    if kind == "headphones":
        meshes += [ellipsoid(head.at(s * np.pi / 2, 0, 1.12), (0.08 * size, 0.2 * size, 0.2 * size)) for s in (1, -1)]
    elif kind == "cat":
        for side in (1, -1):
            start = head.at(side * 0.9, 1.0, 1.05)
            tip = start + [side * 0.1 * size, 0.38 * size, 0]
            meshes.append(tube(np.linspace(start, tip, 3), [0.16 * size, 0.1 * size, 0.004], 0.4))
    elif kind in ("bow", "flower"):
        at = head.at(float(random.choice((0.0, 0.7, -0.7))), 1.0, 1.18)
        span = size * float(random.uniform(0.15, 0.4))
        count = 2 if kind == "bow" else 6
        for k in range(count):
            turn = np.pi * k if count == 2 else 2 * np.pi * k / count
            away = np.array([np.cos(turn), np.sin(turn), 0]) * span
            meshes.append(tube(np.linspace(at, at + away, 4), [0.02 * size, 0.35 * span, 0.45 * span, 0.1 * span], 0.3))
    mesh = merged(meshes)
    return attach(character, mesh, "headgear", rigid(len(mesh[0]), joint), paint, "Headband")


def hood(character: Character, random: np.random.Generator) -> Character:
    """A hood about head and neck, open in front."""
    head = skull(character)
    mesh = _dome(head, float(random.uniform(1.18, 1.35)), (float(random.uniform(0.7, 1.0)), -1.3, 0.7))
    tip = head.at(np.pi, 0.6, 1.25)
    peak = tube(np.stack([tip, tip + [0, 0.05 * head.size, -0.35 * head.size]]), [0.3 * head.size, 0.02])
    both = merged([mesh, peak])
    return attach(character, both, "headgear", rigid(len(both[0]), head.joint), colour(random), "Hood")


def box_head(character: Character, random: np.random.Generator) -> Character:
    """A box over the head, as robots and people in costume wear: hides the whole face."""
    head = skull(character)
    mesh = box(head.centre, 2.25 * head.radii * float(random.uniform(1, 1.2)))
    return attach(character, mesh, "headgear", rigid(len(mesh[0]), head.joint), colour(random), "Box")
