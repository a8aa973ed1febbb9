# SPDX-License-Identifier: GPL-3.0-or-later
"""Clothes as shells about the body, for any Character: tops, trousers, shoes, gloves, suits, armour."""

from __future__ import annotations

import numpy as np

from .build import Weights, attach, rigid, without
from .character import Character, vertex_normals, welded
from .frame import colour, height, is_part, pattern, position, shares
from .shapes import ellipsoid, merged


def shell(
    character: Character, where: np.ndarray, offset: float, paint: np.ndarray, name: str, hide: bool = True
) -> Character:
    """A second skin about the triangles where (T,) is True, offset metres outside, closed to the body at its hems.

    paint: (3,) or a texture that is projected along Z. Skin well inside goes, so that it does not show through.
    """
    if not where.any():
        raise ValueError(f"{character.name} has nothing there to put {name} on")
    used, at = np.unique(character.triangles[where], return_inverse=True)
    triangles = at.reshape(-1, 3)
    points = character.vertices[used].astype(float)
    # Vertices that the body shares with what stays bare are the hem.
    place = welded(character.vertices)
    bare = np.zeros(place.max() + 1, bool)
    bare[place[np.unique(character.triangles[~where])]] = True
    hem = bare[place[used]]
    normals = vertex_normals(character.vertices, character.triangles)[used]
    points += normals * np.where(hem, 0.3 * offset, offset)[:, None]
    uvs = None
    if np.asarray(paint).ndim == 3:
        low, high = points.min(0), points.max(0)
        flat = (points[:, :2] - low[:2]) / np.maximum(high - low, 1e-6)[:2]
        uvs = np.column_stack([flat[:, 0], 1 - flat[:, 1]])[triangles] * 0.999
    parts = character.parts[where]
    count = len(character.triangles)
    out = attach(
        character, (points, triangles), "torso",
        Weights(character.joint_indices[used], character.joint_weights[used]), paint, name, uvs,
    )  # fmt: skip
    labels = out.parts.copy()
    labels[count:] = parts
    out = out.replace(parts=labels)
    if not hide:
        return out
    edge = bare[place[character.triangles]].any(1)
    return without(out, np.concatenate([where & ~edge, np.zeros(len(triangles), bool)]))


def _paint(random: np.random.Generator) -> np.ndarray:
    base = colour(random)
    return pattern(random, base) if random.random() < 0.3 else base


def _levels(character: Character) -> tuple[np.ndarray, float, float]:
    """Heights of the triangles' middles, of the hips and of the neck."""
    middles = character.vertices[character.triangles].mean(1)[:, 1]
    hips = (position(character, "leftUpperLeg")[1] + position(character, "rightUpperLeg")[1]) / 2
    neck = character.joint("neck")
    top = float(character.joints[neck][1]) if neck is not None else position(character, "head")[1]
    return middles, float(hips), float(top)


def top(character: Character, random: np.random.Generator) -> Character:
    """A shirt, jumper, vest or crop top."""
    y, hips, neck = _levels(character)
    along = shares(character)
    sleeve = float(random.choice((-0.2, 0.45, 0.9, 1.4, 1.9), p=(0.18, 0.22, 0.15, 0.1, 0.35)))
    arms = (is_part(character, "UpperArm") & (along < sleeve)) | (is_part(character, "Forearm") & (along < sleeve - 1))
    bottom = hips + (neck - hips) * float(random.choice((-0.06, 0.05, 0.12, 0.45), p=(0.3, 0.35, 0.25, 0.1)))
    where = (is_part(character, "torso") & (y > bottom)) | arms
    if random.random() < 0.3:
        where |= is_part(character, "neck") & (y < neck + 0.4 * (character.face.chin[1] - neck))
    return shell(character, where, height(character) * float(random.uniform(0.004, 0.018)), _paint(random), "Top")


def trousers(character: Character, random: np.random.Generator) -> Character:
    y, hips, neck = _levels(character)
    along = shares(character)
    leg = float(random.choice((0.15, 0.6, 1.2, 1.93), p=(0.12, 0.18, 0.1, 0.6)))
    legs = (is_part(character, "Thigh") & (along < leg)) | (is_part(character, "Shin") & (along < leg - 1))
    where = (is_part(character, "torso") & (y < hips + 0.2 * (neck - hips))) | legs
    return shell(character, where, height(character) * float(random.uniform(0.003, 0.016)), _paint(random), "Trousers")


def shoes(character: Character, random: np.random.Generator) -> Character:
    along = shares(character)
    boot = float(random.choice((1.0, 0.75, 0.4, 0.1), p=(0.5, 0.2, 0.2, 0.1)))
    where = is_part(character, "Foot") | (is_part(character, "Shin") & (along > boot))
    return shell(character, where, height(character) * float(random.uniform(0.004, 0.014)), colour(random), "Shoes")


def gloves(character: Character, random: np.random.Generator) -> Character:
    along = shares(character)
    where = is_part(character, "Hand") | (is_part(character, "Forearm") & (along > random.uniform(0.3, 0.95)))
    return shell(character, where, height(character) * float(random.uniform(0.002, 0.008)), colour(random), "Gloves")


def suit(character: Character, random: np.random.Generator) -> Character:
    """One piece from neck to wrist and ankle."""
    limbs = is_part(character, "torso", "UpperArm", "Forearm", "Thigh", "Shin")
    return shell(character, limbs, height(character) * float(random.uniform(0.002, 0.012)), _paint(random), "Suit")


def armour(character: Character, random: np.random.Generator) -> Character:
    """Plates on trunk, arms and shins, and round pauldrons."""
    metal = random.uniform(70, 225) * np.array([1, 1, 1.05]) if random.random() < 0.7 else colour(random)
    y, hips, _ = _levels(character)
    along, size = shares(character), height(character)
    where = is_part(character, "torso") & (y > hips)
    where |= is_part(character, "Forearm") & (along < 0.95)
    where |= is_part(character, "Shin", "Foot")
    out = shell(character, where, size * float(random.uniform(0.01, 0.022)), metal, "Armour")
    for side in ("left", "right"):
        joint = character.joint(side + "UpperArm")
        if joint is None:
            continue
        arm = position(character, side + "LowerArm") - position(character, side + "UpperArm")
        length = float(np.linalg.norm(arm))
        centre = position(character, side + "UpperArm") + 0.12 * arm
        radius = length * float(random.uniform(0.3, 0.55))
        mesh = merged(
            ellipsoid(centre - [0, 0.15 * radius * k, 0], (radius * (1 - 0.1 * k), radius * 0.75, radius))
            for k in (0, 1)
        )
        out = attach(out, mesh, side + "UpperArm", rigid(len(mesh[0]), joint), metal * 0.9, "Pauldron")
    return out


def dress_up(character: Character, random: np.random.Generator) -> Character:
    """A whole outfit. What a body has not got is left out."""
    kind = random.random()
    pieces = [top, trousers, shoes] if kind < 0.7 else ([suit, shoes] if kind < 0.85 else [trousers, shoes, armour])
    if random.random() < 0.2:
        pieces.append(gloves)
    for piece in pieces:
        try:
            character = piece(character, random)
        except ValueError:
            continue
    return character
