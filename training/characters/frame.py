# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures of a Character that clothes, hair and things are cut to, and colours and patterns for them."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .character import PART, PARTS, Character

# The joints between which a limb's part runs.
LIMB_ENDS = {
    "UpperArm": ("UpperArm", "LowerArm"),
    "Forearm": ("LowerArm", "Hand"),
    "Thigh": ("UpperLeg", "LowerLeg"),
    "Shin": ("LowerLeg", "Foot"),
}


@dataclass(frozen=True)
class Skull:
    """A superellipsoid about the head without ears: centre (3,), radii (3,), power (2 is an ellipsoid, the higher the
    squarer); size: chin to top.
    """

    centre: np.ndarray
    radii: np.ndarray
    size: float
    joint: int
    power: float = 2.0

    def at(self, azimuth: float | np.ndarray, tilt: float | np.ndarray, out: float | np.ndarray = 1.0) -> np.ndarray:
        """(..., 3) points on the skull; azimuth 0 is the front and rises to the character's left; radians."""
        x, z = np.cos(tilt) * np.sin(azimuth), np.cos(tilt) * np.cos(azimuth)
        direction = np.stack(np.broadcast_arrays(x, np.sin(tilt), z), -1)
        direction = direction / (np.abs(direction) ** self.power).sum(-1, keepdims=True) ** (1 / self.power)
        return self.centre + direction * self.radii * np.asarray(out)[..., None]


def skull(character: Character) -> Skull:
    """Raises ValueError for a character without a head."""
    joint = character.joint("head")
    at = character.parts == PART["face"]
    if joint is None or not at.any() or not np.isfinite([character.face.head_top, character.face.chin]).all():
        raise ValueError(f"{character.name} has no head to measure")
    face = character.face
    points = character.vertices[np.unique(character.triangles[at])]
    low, high = face.chin[1], face.head_top[1]
    size = float(high - low)
    # Above the ears, and without what sticks out.
    upper = points[points[:, 1] > low + 0.55 * size]
    upper = upper if len(upper) > 8 else points
    left, right = np.percentile(upper[:, 0], [2, 98])
    back, front = np.percentile(upper[:, 2], [1, 99])
    top = min(float(points[:, 1].max()), float(high))
    radii = np.array([(right - left) / 2, max(top - low, 0.5 * size) / 2, (front - back) / 2])
    radii = np.maximum(radii, 0.15 * size)
    centre = np.array([(left + right) / 2, low + radii[1], (front + back) / 2])
    away = np.abs(upper - centre) / radii
    fits = (p for p in (2.0, 2.5, 3.0, 4.0, 6.0) if np.percentile((away**p).sum(1) ** (1 / p), 97) <= 1.03)
    return Skull(centre, radii, size, joint, next(fits, 6.0))


def height(character: Character) -> float:
    return float(np.ptp(character.vertices[:, 1]))


def position(character: Character, name: str) -> np.ndarray:
    """Raises ValueError where the rig has no such bone."""
    index = character.joint(name)
    if index is None:
        raise ValueError(f"{character.name} has no {name}")
    return character.joints[index].astype(float)


def ring(character: Character, y: float, sectors: int = 24, parts: tuple[str, ...] = ("torso",)) -> np.ndarray:
    """(sectors, 2) how far the body reaches about its axis at a height: x and z of each direction's outermost point,
    the convex hull's shape smoothed over gaps. Raises ValueError where nothing is there.
    """
    labels = [PART[p] for p in parts]
    if "torso" in parts:
        labels += [PART[s + "Thigh"] for s in ("left", "right")]
    points = character.vertices[np.unique(character.triangles[np.isin(character.parts, labels)])]
    reach = 0.06 * height(character)
    near = points[np.abs(points[:, 1] - y) < reach]
    if len(near) < 3:
        raise ValueError(f"{character.name} has no body at height {y:.2f}")
    middle = (near.min(0) + near.max(0))[[0, 2]] / 2
    angle = np.linspace(0, 2 * np.pi, sectors, endpoint=False)
    directions = np.column_stack([np.sin(angle), np.cos(angle)])
    # The support function of the slice: the ring that a belt would take, never inside the body.
    support = ((near[:, [0, 2]] - middle) @ directions.T).max(0)
    return middle + directions * support[:, None]


def shares(character: Character) -> np.ndarray:
    """(T,) how far along its limb a triangle's middle lies, 0 at the limb's upper joint, 1 at its lower one; 0 for
    parts that are no limb.
    """
    middles = character.vertices[character.triangles].mean(1).astype(float)
    out = np.zeros(len(middles))
    for side in ("left", "right"):
        for part, (a, b) in LIMB_ENDS.items():
            i, j = character.joint(side + a), character.joint(side + b)
            at = character.parts == PART[side + part]
            if i is None or j is None or not at.any():
                continue
            start, along = character.joints[i].astype(float), (character.joints[j] - character.joints[i]).astype(float)
            out[at] = (middles[at] - start) @ along / max(float(along @ along), 1e-9)
    return out


def is_part(character: Character, *names: str) -> np.ndarray:
    """(T,) bool; "Thigh" stands for both sides."""
    labels = [k for k, part in enumerate(PARTS) if part in names or part.removeprefix("left") in names]
    labels += [k for k, part in enumerate(PARTS) if part.removeprefix("right") in names]
    return np.isin(character.parts, labels)


def colour(random: np.random.Generator) -> np.ndarray:
    """(3,) 0..255: lively, dull, dark or light, as clothes are."""
    kind = random.random()
    hue = random.random()
    if kind < 0.4:
        found = colorsys.hsv_to_rgb(hue, random.uniform(0.45, 0.95), random.uniform(0.45, 1))
    elif kind < 0.7:
        found = colorsys.hsv_to_rgb(hue, random.uniform(0, 0.4), random.uniform(0.25, 0.95))
    elif kind < 0.85:
        found = colorsys.hsv_to_rgb(hue, random.uniform(0, 0.5), random.uniform(0.05, 0.25))
    else:
        found = colorsys.hsv_to_rgb(hue, random.uniform(0, 0.15), random.uniform(0.85, 1))
    return np.array(found) * 255


def hair_colour(random: np.random.Generator) -> np.ndarray:
    if random.random() < 0.45:
        return colour(random)
    natural = (
        (20, 17, 20),
        (60, 40, 28),
        (110, 72, 44),
        (200, 160, 95),
        (150, 62, 30),
        (150, 150, 150),
        (235, 232, 228),
    )
    return np.array(natural[random.integers(len(natural))], float) * random.uniform(0.85, 1.1)


def cloth(random: np.random.Generator) -> np.ndarray:
    """A plain colour (3,) in most cases, else a texture (h, w, 4)."""
    base = colour(random)
    dice = random.random()
    return pattern(random, base) if dice < 0.25 else detailed(random, base) if dice < 0.45 else base


def pattern(random: np.random.Generator, base: np.ndarray, size: int = 64) -> np.ndarray:
    """(size, size, 4) a cloth's pattern: stripes, checks, dots, a band or a print."""
    y, x = np.mgrid[0:size, 0:size]
    other = colour(random)
    kind = random.integers(6)
    step = int(random.integers(3, 14))
    if kind == 0:
        mask = (y // step) % 2 == 0
    elif kind == 1:
        mask = (x // step) % 2 == 0
    elif kind == 2:
        mask = ((x // step) + (y // step)) % 2 == 0
    elif kind == 3:
        mask = np.hypot(x % (2 * step) - step, y % (2 * step) - step) < 0.5 * step
    elif kind == 4:
        mask = np.abs(y - size * random.uniform(0.2, 0.8)) < step
    else:
        mask = np.hypot(x - size / 2, y - size * 0.35) < size * random.uniform(0.05, 0.2)
    return _opaque(np.where(mask[..., None], other, base))


def detailed(random: np.random.Generator, base: np.ndarray, size: int = 192) -> np.ndarray:
    """(size, size, 4) worn, painted cloth as games have it: stains, folds, seams, trim, buttons, straps."""
    y, x = np.mgrid[0:size, 0:size] / size
    out = np.broadcast_to(base, (size, size, 3)).astype(float)
    shade = np.ones((size, size))
    for cells, amount in ((5, 0.35), (17, 0.22), (60, 0.12)):
        grid = random.random((cells + 1, cells + 1))
        shade += amount * random.uniform(0.2, 1) * (ndimage.zoom(grid, size / cells, order=1)[:size, :size] - 0.5)
    for _ in range(int(random.integers(0, 9))):
        angle, place = random.uniform(-1.2, 1.2), random.uniform(0, 1)
        shade -= 0.25 * np.exp(-((((x - place) * np.cos(angle) + (y - 0.5) * np.sin(angle)) / 0.012) ** 2))
    out = out * shade[..., None] * (1.12 - random.uniform(0, 0.5) * y)[..., None]
    trim = colour(random)
    if random.random() < 0.5:
        out[(y < 0.04) | (y > 0.95)] = trim
    if random.random() < 0.4:
        out[np.abs(x - 0.5) < random.uniform(0.004, 0.03)] = trim * 0.8
    if random.random() < 0.35:
        spots = (np.abs(x - 0.5) < 0.02) & (np.abs((y * 9) % 1 - 0.5) < 0.12)
        out[spots] = colour(random)
    for _ in range(int(random.integers(0, 4))):
        slope, place = random.uniform(-2, 2), random.uniform(0.1, 0.9)
        strap = np.abs(y - place - slope * (x - 0.5)) / np.hypot(1, slope)
        out[strap < random.uniform(0.008, 0.03)] = trim * random.uniform(0.4, 1)
    return _opaque(out)


def _opaque(image: np.ndarray) -> np.ndarray:
    return np.dstack([np.clip(image, 0, 255), np.full(image.shape[:2], 255)]).astype(np.uint8)
