# SPDX-License-Identifier: GPL-3.0-or-later
"""Loose clothes by formula: skirts, coats, robes, capes, ponchos, aprons, scarves. All are part "cloth"."""

from __future__ import annotations

import numpy as np

from .build import Weights, attach, blended, nearest, rigid
from .character import Character
from .clothes import shell
from .frame import cloth, colour, height, is_part, position, ring, shares
from .shapes import Mesh, grid_triangles, merged, plate, tube

SECTORS = 32


def _uvs(rows: int, columns: int, triangles: np.ndarray) -> np.ndarray:
    r, c = np.divmod(np.arange(rows * columns), columns)
    return (np.column_stack([c / columns * 3 % 1, r / max(rows - 1, 1)]) * 0.999)[triangles]


def _levels(character: Character) -> tuple[float, float, float]:
    """Heights of hips, neck and soles."""
    hips = (position(character, "leftUpperLeg")[1] + position(character, "rightUpperLeg")[1]) / 2
    neck = character.joint("neck")
    top = character.joints[neck][1] if neck is not None else position(character, "head")[1]
    return float(hips), float(top), float(character.vertices[:, 1].min())


def _hanging(character: Character, points: np.ndarray, hips: float, sole: float) -> Weights:
    """Cloth below the hips follows the thighs the more the lower it hangs, either side its own."""
    joints = [character.joint(name) for name in ("hips", "leftUpperLeg", "rightUpperLeg")]
    if any(joint is None for joint in joints):
        raise ValueError(f"{character.name} has no legs")
    low = np.clip((hips - points[:, 1]) / max(0.5 * (hips - sole), 1e-6), 0, 1)
    width = np.ptp(points[:, 0]) / 2 + 1e-6
    side = np.clip(0.5 + 0.9 * (points[:, 0] - points[:, 0].mean()) / width, 0, 1)
    body, left, right = (int(joint) for joint in joints if joint is not None)
    return blended({body: 1 - 0.7 * low, left: 0.7 * low * side, right: 0.7 * low * (1 - side)})


def _drape(
    character: Character, random: np.random.Generator, upper: float, hem: float, gap: float, flare: float
) -> tuple[Mesh, int]:
    """Cloth from a height down to a hem about the body; gap: half angle that stays open in front."""
    hips, _, _ = _levels(character)
    rows = 10
    columns = SECTORS if gap == 0 else SECTORS + 1
    angle = np.linspace(gap, 2 * np.pi - gap, columns, endpoint=gap != 0)
    size = height(character)
    heights = np.linspace(upper, hem, rows)
    points = np.zeros((rows, columns, 3))
    pleats, depth = int(random.integers(5, 14)), float(random.uniform(0, 0.09))
    widest: np.ndarray | None = None
    for k, y in enumerate(heights):
        if y > hips - 0.03 * size or widest is None:
            found = ring(character, max(float(y), hips - 0.02 * size), 64)
            turns = np.linspace(0, 2 * np.pi, 64, endpoint=False)
            middle = (found.min(0) + found.max(0)) / 2
            reach = np.linalg.norm(found - middle, axis=1)
            radius = np.interp(angle, np.append(turns, 2 * np.pi), np.append(reach, reach[0])) + 0.012 * size
            widest = radius if widest is None or y < hips + 0.1 * size else np.maximum(radius, 0)
        share = max(0.0, (upper - y) / max(upper - hem, 1e-6))
        grown = widest * (1 + flare * share) * (1 + depth * share * np.sin(pleats * angle))
        points[k] = np.column_stack(
            [middle[0] + grown * np.sin(angle), np.full(columns, y), middle[1] + grown * np.cos(angle)]
        )
    return (points.reshape(-1, 3), grid_triangles(rows, columns, closed=gap == 0)), columns


def _put(character: Character, mesh: Mesh, columns: int, weights: Weights, paint: np.ndarray, name: str) -> Character:
    uvs = _uvs(len(mesh[0]) // columns, columns, mesh[1]) if np.asarray(paint).ndim == 3 else None
    return attach(character, mesh, "cloth", weights, paint, name, uvs)


def skirt(character: Character, random: np.random.Generator) -> Character:
    """Mini to floor length, narrow to hooped."""
    hips, neck, sole = _levels(character)
    upper = hips + float(random.uniform(0.1, 0.35)) * (neck - hips)
    hem = hips - (hips - sole) * float(random.choice((0.22, 0.4, 0.6, 0.85, 0.97), p=(0.2, 0.25, 0.2, 0.15, 0.2)))
    mesh, columns = _drape(character, random, upper, hem, 0, float(np.exp(random.uniform(np.log(0.08), np.log(1.6)))))
    return _put(character, mesh, columns, _hanging(character, mesh[0], hips, sole), cloth(random), "Skirt")


def robe(character: Character, random: np.random.Generator) -> Character:
    """From the chest to the feet, with wide sleeves."""
    hips, neck, sole = _levels(character)
    paint = cloth(random)
    upper = hips + 0.45 * (neck - hips)
    hem = sole + (hips - sole) * float(random.uniform(0.02, 0.3))
    where = is_part(character, "torso", "UpperArm") | (is_part(character, "Forearm") & (shares(character) < 0.9))
    out = shell(character, where, height(character) * float(random.uniform(0.01, 0.022)), paint, "Robe", loose=8)
    mesh, columns = _drape(character, random, upper, hem, 0, float(random.uniform(0.1, 0.9)))
    out = _put(out, mesh, columns, _hanging(character, mesh[0], hips, sole), paint, "Robe")
    return _sleeves(out, random, paint) if random.random() < 0.6 else out


def _sleeves(character: Character, random: np.random.Generator, paint: np.ndarray) -> Character:
    """Cones that widen from the elbow to the wrist."""
    for side in ("left", "right"):
        a, b = position(character, side + "LowerArm"), position(character, side + "Hand")
        joint = character.joint(side + "LowerArm")
        assert joint is not None
        length = float(np.linalg.norm(b - a))
        wide = length * float(random.uniform(0.35, 0.7))
        mesh = tube(np.linspace(a, a + 1.05 * (b - a), 4), [0.28 * length, 0.5 * wide, 0.8 * wide, wide])
        mesh = mesh[0][:-2], mesh[1][(mesh[1] < len(mesh[0]) - 2).all(1)]
        flat = np.asarray(paint)[0, 0, :3].astype(float) if np.asarray(paint).ndim == 3 else paint
        out = attach(character, mesh, side + "Forearm", rigid(len(mesh[0]), joint), flat, "Sleeve")
        character = out
    return character


def coat(character: Character, random: np.random.Generator) -> Character:
    """An open coat: sleeves, back, and tails that part in front."""
    hips, neck, sole = _levels(character)
    paint = colour(random)
    along = shares(character)
    middles = character.vertices[character.triangles].mean(1)
    axis = position(character, "hips")
    open_ = (middles[:, 2] > axis[2]) & (np.abs(middles[:, 0] - axis[0]) < 0.02 * height(character))
    where = (is_part(character, "torso") & (middles[:, 1] > hips) & ~open_) | is_part(character, "UpperArm")
    where |= is_part(character, "Forearm") & (along < 0.92)
    out = shell(
        character, where, height(character) * float(random.uniform(0.012, 0.024)), paint, "Coat", hide=False, loose=6
    )
    hem = hips - (hips - sole) * float(random.uniform(0.15, 0.9))
    upper = hips + 0.25 * (neck - hips)
    mesh, columns = _drape(
        character, random, upper, hem, float(random.uniform(0.06, 0.7)), float(random.uniform(0.1, 0.6))
    )
    return _put(out, mesh, columns, _hanging(character, mesh[0], hips, sole), paint, "Coat")


def cape(character: Character, random: np.random.Generator) -> Character:
    """From the shoulders down the back, narrow or so wide that it shows beside the body."""
    hips, neck, sole = _levels(character)
    size = height(character)
    left, right = position(character, "leftUpperArm"), position(character, "rightUpperArm")
    half = float(np.linalg.norm(left - right)) / 2
    hem = sole + (hips - sole) * float(random.uniform(0.0, 1.2))
    rows, columns = 10, 21
    wide = half * float(random.uniform(1.0, 2.8))
    back = ring(character, (hips + neck) / 2, 24)[:, 1].min() - 0.02 * size
    share = np.linspace(0, 1, rows)[:, None]
    across = np.linspace(-1, 1, columns)[None, :]
    x = (left[0] + right[0]) / 2 + across * (half * 0.85 * (1 - share) + wide * share)
    y = neck - 0.02 * size - 0.05 * size * np.abs(across) * (1 - share) - (neck - hem) * share
    ripple = float(random.uniform(0, 0.03)) * size * np.sin(across * float(random.uniform(4, 12)))
    front = left[2] + 0.03 * size
    z = back * (1 - np.abs(across) ** 3 * (1 - share)) + front * np.abs(across) ** 3 * (1 - share)
    z = z - share * (0.05 * size + ripple) + np.zeros_like(x)
    points = np.stack([x, y, z], -1).reshape(-1, 3)
    chest = next(j for j in map(character.joint, ("upperChest", "chest", "spine", "hips")) if j is not None)
    low = np.repeat(share[:, 0], columns)
    base = character.joint("hips")
    weights = blended({chest: 1 - 0.5 * low, chest if base is None else base: 0.5 * low + 1e-6})
    return _put(
        character, (points, grid_triangles(rows, columns, closed=False)), columns, weights, cloth(random), "Cape"
    )


def poncho(character: Character, random: np.random.Generator) -> Character:
    """Over shoulders and upper arms; hides where the arms begin."""
    hips, neck, _ = _levels(character)
    size = height(character)
    left, right = position(character, "leftUpperArm"), position(character, "rightUpperArm")
    axis = (left + right) / 2
    half = float(np.linalg.norm(left - right)) / 2
    hem = neck - (neck - hips) * float(random.uniform(0.35, 0.9))
    rows = np.linspace(0, 1, 8)
    angle = np.linspace(0, 2 * np.pi, SECTORS, endpoint=False)
    depth = float(np.ptp(ring(character, (hips + neck) / 2, 24)[:, 1])) / 2 + 0.03 * size
    points = []
    for s in rows:
        a = half * (0.35 + 1.2 * s**0.6)
        b = depth * (0.55 + 0.8 * s**0.6)
        y = neck + 0.01 * size - (neck - hem) * s
        points.append(np.column_stack([axis[0] + a * np.sin(angle), 0 * angle + y, axis[2] + b * np.cos(angle)]))
    vertices = np.concatenate(points)
    weights = nearest(character, vertices, ("torso", "leftUpperArm", "rightUpperArm"))
    mesh = vertices, grid_triangles(len(rows), SECTORS, closed=True)
    return _put(character, mesh, SECTORS, weights, cloth(random), "Poncho")


def apron(character: Character, random: np.random.Generator) -> Character:
    hips, neck, sole = _levels(character)
    upper = hips + (neck - hips) * float(random.choice((0.25, 0.75)))
    mesh, _ = _drape(character, random, upper, hips - 0.45 * (hips - sole), 0, 0.15)
    # Only the front of what goes about the body.
    points = mesh[0] * [1, 1, 1]
    middle = (points[:, 2].min() + points[:, 2].max()) / 2
    front = points[mesh[1]][..., 2].mean(1) > middle + 0.25 * (points[:, 2].max() - middle)
    cut = points, mesh[1][front]
    return attach(
        character, cut, "cloth", _hanging(character, points, hips, sole), colour(random), "Apron"
    )  # fmt: skip


def scarf(character: Character, random: np.random.Generator) -> Character:
    """About the neck, with an end that hangs or flies."""
    head, neck = character.joint("head"), character.joint("neck")
    joint = neck if neck is not None else head
    if joint is None:
        raise ValueError(f"{character.name} has no neck")
    chin = character.face.chin
    size = float(character.face.head_top[1] - chin[1])
    at = character.joints[joint].astype(float)
    centre = np.array([at[0], (at[1] + chin[1]) / 2, at[2] + 0.02 * size])
    angle = np.linspace(0, 2 * np.pi, 21)
    wide = size * float(random.uniform(0.3, 0.45))
    loop = centre + np.column_stack([wide * np.sin(angle), 0.03 * size * np.cos(angle), wide * np.cos(angle)])
    thick = size * float(random.uniform(0.08, 0.18))
    start = centre + [0.4 * wide, 0, wide]
    drop = size * float(random.uniform(0.5, 2.5))
    end = start + [size * float(random.uniform(-0.4, 1.2)), -drop, -size * float(random.uniform(0, 1.0))]
    tail = tube(np.linspace(start, end, 5), [thick * 1.3] * 5, 0.3)
    mesh = merged([tube(loop, [thick] * 21), tail])
    return attach(character, mesh, "cloth", rigid(len(mesh[0]), joint), colour(random), "Scarf")


def tie(character: Character, random: np.random.Generator) -> Character:
    """A tie or a bow on the chest."""
    hips, neck, _ = _levels(character)
    size = neck - hips
    y = neck - 0.12 * size
    front = ring(character, y - 0.2 * size, 24)
    z, x = float(front[:, 1].max()) + 0.02 * size, float((front[:, 0].min() + front[:, 0].max()) / 2)
    w = size * float(random.uniform(0.05, 0.14))
    outline = np.array(
        [
            [0, 0],
            [-w, -0.06 * size],
            [-1.2 * w, -0.5 * size],
            [0, -0.6 * size],
            [1.2 * w, -0.5 * size],
            [w, -0.06 * size],
        ]
    )
    if random.random() < 0.5:
        outline = np.array([[0, 0.3 * w], [-2.5 * w, w], [-2.5 * w, -w], [0, -0.3 * w], [2.5 * w, -w], [2.5 * w, w]])
    vertices, triangles = plate(outline, 0.02 * size)
    vertices = vertices + [x, y, z]
    return attach(
        character, (vertices, triangles), "cloth", nearest(character, vertices, ("torso",)), colour(random), "Tie"
    )
