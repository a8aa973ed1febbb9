# SPDX-License-Identifier: GPL-3.0-or-later
"""Clothes as shells about the body, for any Character: tops, trousers, shoes, gloves, suits, armour."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

from .build import Weights, attach, rigid, without
from .character import Character, vertex_normals, welded
from .cut import cut, smoothed
from .frame import LIMB_ENDS, cloth, colour, height, is_part, position, shares
from .shapes import ellipsoid, merged, plate, rotation, turned


def shell(
    character: Character,
    where: np.ndarray,
    offset: float,
    paint: np.ndarray,
    name: str,
    hide: bool = True,
    loose: int = 0,
) -> Character:
    """A second skin about the triangles where (T,) is True, offset metres outside, closed to the body at its hems.

    paint: (3,) or a texture that is projected along Z. Skin well inside goes, so that it does not show through.
    loose: rounds of smoothing, so that cloth does not follow every muscle.
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
    points += normals * np.where(hem, 0.5 * offset, offset)[:, None]
    feet = np.zeros(len(used), bool)
    feet[triangles[is_part(character, "Foot")[where]]] = True
    points = smoothed(points, triangles, loose, hem | feet)
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


def _cut_limb(character: Character, part: str, share: float) -> Character:
    """Both limbs of that name cut across at a share of their length."""
    for side in ("left", "right"):
        a, b = (character.joint(side + bone) for bone in LIMB_ENDS[part])
        if a is not None and b is not None and 0 < share < 1:
            start, along = character.joints[a].astype(float), (character.joints[b] - character.joints[a]).astype(float)
            field = (character.vertices - start) @ along / max(float(along @ along), 1e-9)
            character = cut(character, field, share, is_part(character, side + part))
    return character


def _cut_chain(character: Character, upper: str, lower: str, share: float) -> Character:
    """Limbs of two bones cut at a share: below 1 in the upper, above in the lower one."""
    return _cut_limb(character, upper, share) if share < 1 else _cut_limb(character, lower, share - 1)


def _cut_height(character: Character, y: float, *parts: str) -> Character:
    return cut(character, character.vertices[:, 1].astype(float), y, is_part(character, *parts))


def _levels(character: Character) -> tuple[np.ndarray, float, float]:
    """Heights of the triangles' middles, of the hips and of the neck."""
    middles = character.vertices[character.triangles].mean(1)[:, 1]
    hips = (position(character, "leftUpperLeg")[1] + position(character, "rightUpperLeg")[1]) / 2
    neck = character.joint("neck")
    top = float(character.joints[neck][1]) if neck is not None else position(character, "head")[1]
    return middles, float(hips), float(top)


def _loose(random: np.random.Generator) -> int:
    return int(random.integers(2, 16))


def top(character: Character, random: np.random.Generator) -> Character:
    """A shirt, jumper, vest or crop top."""
    _, hips, neck = _levels(character)
    sleeve = float(random.choice((-0.2, 0.45, 0.9, 1.4, 1.9), p=(0.18, 0.22, 0.15, 0.1, 0.35)))
    bottom = hips + (neck - hips) * float(random.choice((-0.06, 0.05, 0.12, 0.45), p=(0.3, 0.35, 0.25, 0.1)))
    collar = neck + 0.4 * (character.face.chin[1] - neck) if random.random() < 0.3 else None
    character = _cut_height(_cut_chain(character, "UpperArm", "Forearm", sleeve), bottom, "torso")
    if collar is not None:
        character = _cut_height(character, collar, "neck")
    along, y = shares(character), _levels(character)[0]
    arms = (is_part(character, "UpperArm") & (along < sleeve)) | (is_part(character, "Forearm") & (along < sleeve - 1))
    where = (is_part(character, "torso") & (y > bottom)) | arms
    if collar is not None:
        where |= is_part(character, "neck") & (y < collar)
    offset = height(character) * float(random.uniform(0.004, 0.018))
    return shell(character, where, offset, cloth(random), "Top", loose=_loose(random))


def trousers(character: Character, random: np.random.Generator) -> Character:
    _, hips, neck = _levels(character)
    leg = float(random.choice((0.3, 0.6, 1.2, 1.93), p=(0.1, 0.18, 0.1, 0.62)))
    waist = hips + 0.2 * (neck - hips)
    character = _cut_height(_cut_chain(character, "Thigh", "Shin", leg), waist, "torso")
    along, y = shares(character), _levels(character)[0]
    legs = (is_part(character, "Thigh") & (along < leg)) | (is_part(character, "Shin") & (along < leg - 1))
    where = (is_part(character, "torso") & (y < waist)) | legs
    offset = height(character) * float(random.uniform(0.003, 0.016))
    return shell(character, where, offset, cloth(random), "Trousers", loose=_loose(random))


def shoes(character: Character, random: np.random.Generator) -> Character:
    """Shoes without toes, with a sole; boots reach up the shin."""
    boot = float(random.choice((1.0, 0.75, 0.4, 0.1), p=(0.5, 0.2, 0.2, 0.1)))
    paint, thick = colour(random), height(character) * float(random.uniform(0.004, 0.014))
    if boot < 1:
        character = _cut_limb(character, "Shin", boot)
        where = is_part(character, "Shin") & (shares(character) > boot)
        character = shell(character, where, thick, paint, "Boots", loose=4)
    welt = colour(random) if random.random() < 0.4 else None
    feet = is_part(character, "Foot")
    if not feet.any():
        raise ValueError(f"{character.name} has no feet")
    for side in ("left", "right"):
        at, joint = is_part(character, side + "Foot"), character.joint(side + "Foot")
        if joint is None or at.sum() < 4:
            continue
        corners = character.vertices[np.unique(character.triangles[at])].astype(float)
        hull = ConvexHull(corners)
        points = corners[hull.vertices]
        middle = points.mean(0)
        grown = middle + (points - middle) * (1 + 2 * thick / np.maximum(np.ptp(points, axis=0), 1e-6))
        rank = {v: k for k, v in enumerate(hull.vertices)}
        faces = np.array([[rank[v] for v in face] for face in hull.simplices])
        # The hull's triangles are not all turned outwards.
        a, b, c = (grown[faces[:, k]] for k in range(3))
        inward = np.einsum("tk,tk->t", np.cross(b - a, c - a), a - middle) < 0
        faces[inward] = faces[inward][:, ::-1]
        part = side + "Foot"
        character = attach(character, (grown, faces), part, rigid(len(grown), joint), paint, "Shoe")
        if welt is not None:
            flat = grown[:, [0, 2]]
            outline = flat[ConvexHull(flat).vertices]
            sole = turned(
                plate(outline * [1, -1], 2 * thick), rotation([1, 0, 0], -90), np.array([0, grown[:, 1].min(), 0])
            )
            character = attach(character, sole, part, rigid(len(sole[0]), joint), welt, "Sole")
    return without(character, np.concatenate([feet, np.zeros(len(character.triangles) - len(feet), bool)]))


def gloves(character: Character, random: np.random.Generator) -> Character:
    start = float(random.uniform(0.3, 0.95))
    character = _cut_limb(character, "Forearm", start)
    where = is_part(character, "Hand") | (is_part(character, "Forearm") & (shares(character) > start))
    return shell(character, where, height(character) * float(random.uniform(0.002, 0.008)), colour(random), "Gloves")


def suit(character: Character, random: np.random.Generator) -> Character:
    """One piece from neck to wrist and ankle."""
    limbs = is_part(character, "torso", "UpperArm", "Forearm", "Thigh", "Shin")
    offset = height(character) * float(random.uniform(0.002, 0.012))
    return shell(character, limbs, offset, cloth(random), "Suit", loose=_loose(random))


def armour(character: Character, random: np.random.Generator) -> Character:
    """Plates on trunk, arms and shins, and round pauldrons."""
    metal = random.uniform(70, 225) * np.array([1, 1, 1.05]) if random.random() < 0.7 else colour(random)
    _, hips, _ = _levels(character)
    size = height(character)
    character = _cut_height(_cut_limb(character, "Forearm", 0.95), hips, "torso")
    along, y = shares(character), _levels(character)[0]
    where = is_part(character, "torso") & (y > hips)
    where |= is_part(character, "Forearm") & (along < 0.95)
    where |= is_part(character, "Shin", "Foot")
    out = shell(character, where, size * float(random.uniform(0.01, 0.022)), metal, "Armour", loose=8)
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
