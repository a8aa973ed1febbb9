# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures of a head that an index does not give: its top and chin, and how large eyes and mouth are drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from .character import PART, Character, Face, Feature
from .raster import colours, rasterise

SIDE = 320  # pixels of the front view of the head
WORN = ("face", "hair", "headgear", "neck", "torso", "cloth")
VISIBLE = 0.35  # share of an eye or mouth that must be seen from the front
DIFFERENT = 34.0  # distance in RGB from the skin around a feature


def measure_face(character: Character) -> Face:
    """The face with head_top, chin and the half sizes of drawn features; what cannot be measured stays NaN."""
    skull = np.isin(character.parts, (PART["face"], PART["hair"]))
    shown = skull | (character.parts == PART["headgear"])
    if not shown.any():
        return character.face
    corners = character.vertices[np.unique(character.triangles[skull if skull.any() else shown])]
    low, high = corners.min(0), corners.max(0)
    span = float(max(high[0] - low[0], high[1] - low[1])) * 1.1
    centre, scale = ((low + high) / 2)[:2], SIDE / span
    picked = np.flatnonzero(shown)
    ids, depth, weights = rasterise(
        character.vertices, character.triangles[picked], (centre[0], centre[1]), scale, (SIDE, SIDE)
    )
    ids = np.where(ids >= 0, picked[ids], -1)
    image = colours(character, ids, weights).astype(float)
    face = _ends(character, ids, depth, centre, scale)
    eyes = (face.left_eye, face.right_eye)
    apart = float(np.linalg.norm(eyes[0].centre - eyes[1].centre))
    if not apart > 0:
        return face

    def sized(feature: Feature, reach: float) -> Feature:
        half = None if feature.state != "drawn" else _extent(image, ids, feature.centre, centre, scale, reach * apart)
        return feature if half is None else dataclasses.replace(feature, half_width=half[0], half_height=half[1])

    left, right = _alike(*(sized(eye, 0.45) for eye in eyes))
    return dataclasses.replace(face, left_eye=left, right_eye=right, mouth=sized(face.mouth, 0.6))


def _alike(left: Feature, right: Feature) -> tuple[Feature, Feature]:
    """Hair over one eye joins its drawing: where the sizes differ much, both eyes get the smaller eye's."""
    sizes = [eye.half_width * eye.half_height for eye in (left, right)]
    if left.state != right.state or not np.isfinite(np.nanmin([*sizes, np.inf])):
        return left, right
    if not (np.isfinite(sizes).all() and max(sizes) < 1.7 * min(sizes)):
        small = left if np.nanargmin(sizes) == 0 else right
        left, right = (
            dataclasses.replace(eye, half_width=small.half_width, half_height=small.half_height)
            for eye in (left, right)
        )
    return left, right


def _ends(character: Character, ids: np.ndarray, depth: np.ndarray, centre: np.ndarray, scale: float) -> Face:
    """head_top: the highest point of skull and hair over the head's middle; chin: the lowest point of the face's
    front there.
    """
    face = character.face
    middles = character.vertices[character.triangles].reshape(-1, 3)
    part = np.repeat(character.parts, 3)
    skull = middles[np.isin(part, (PART["face"], PART["hair"]))]
    if not len(skull):
        skull = middles[part == PART["headgear"]]
    eyes = [eye.centre for eye in (face.left_eye, face.right_eye) if np.isfinite(eye.centre).all()]
    x = float(np.mean([eye[0] for eye in eyes])) if eyes else float((skull[:, 0].min() + skull[:, 0].max()) / 2)
    width = np.ptp(skull[:, 0])
    near = skull[np.abs(skull[:, 0] - x) < 0.25 * width]
    near = near if len(near) else skull
    z = float((near[:, 2].min() + near[:, 2].max()) / 2)
    head_top = np.array([x, near[:, 1].max(), z])
    band = slice(
        max(int((x - centre[0] - 0.06 * width) * scale + SIDE / 2), 0),
        max(int((x - centre[0] + 0.06 * width) * scale + SIDE / 2), 0) + 1,
    )
    rows = np.where(ids[:, band] >= 0, depth[:, band], -np.inf)
    is_face = (ids[:, band] >= 0) & (character.parts[ids[:, band]] == PART["face"])
    profile = np.where(is_face, rows, -np.inf).max(1)
    finite = np.isfinite(profile)
    chin = np.array([x, near[:, 1].min(), z])
    if finite.any():
        front = float(np.median(profile[finite]))
        forward = np.flatnonzero(finite & (profile > z + 0.4 * (front - z)))
        if len(forward):
            row = forward[-1]
            chin = np.array([x, centre[1] - (row + 0.5 - SIDE / 2) / scale, profile[row]])
    return dataclasses.replace(face, head_top=head_top, chin=chin)


def _extent(
    image: np.ndarray, ids: np.ndarray, point: np.ndarray, centre: np.ndarray, scale: float, reach: float
) -> tuple[float, float] | None:
    """Half width and height of the drawing about a point, in metres: what differs from the skin around it and hangs
    together with what is nearest to the point. None where it cannot be told from its surroundings.
    """
    column = (point[0] - centre[0]) * scale + SIDE / 2 - 0.5
    row = (centre[1] - point[1]) * scale + SIDE / 2 - 0.5
    r = int(np.ceil(reach * scale))
    top, left = round(row) - r, round(column) - r
    if r < 4 or top < 0 or left < 0 or top + 2 * r >= SIDE or left + 2 * r >= SIDE:
        return None
    window = image[top : top + 2 * r + 1, left : left + 2 * r + 1]
    seen = ids[top : top + 2 * r + 1, left : left + 2 * r + 1] >= 0
    y, x = np.mgrid[-r : r + 1, -r : r + 1]
    ring = seen & (np.hypot(x, y) > 0.75 * r) & (np.hypot(x, y) <= r) & (y > -0.3 * r)
    if ring.sum() < 12:
        return None
    skin = np.median(window[ring], 0)
    other = seen & (np.linalg.norm(window - skin, axis=-1) > DIFFERENT) & (np.hypot(x, y) <= r)
    labels, count = ndimage.label(other, np.ones((3, 3)))
    if not count:
        return None
    distance = np.where(other, np.hypot(x, y), np.inf)
    nearest = np.unravel_index(distance.argmin(), distance.shape)
    if distance[nearest] > 0.45 * r:
        return None
    rows, columns = np.nonzero(labels == labels[nearest])
    half_width, half_height = (np.ptp(columns) + 1) / 2, (np.ptp(rows) + 1) / 2
    if max(half_width, half_height) > 0.97 * r:
        return None
    return half_width / scale, half_height / scale


def hide_covered(character: Character) -> Character:
    """Eyes and mouth that something worn covers, seen from the front, become "hidden". Arms and held things move, so
    what they cover is the picture's business.
    """
    face = character.face
    features = {name: getattr(face, name) for name in ("left_eye", "right_eye", "mouth")}
    shown = {n: f for n, f in features.items() if f.state in ("drawn", "closed") and np.isfinite(f.centre).all()}
    if not shown:
        return character
    size = float(np.nanmax([face.head_top[1] - face.chin[1], 1e-3]))
    scale = 128 / size
    changes = {}
    worn = np.flatnonzero(np.isin(character.parts, [PART[part] for part in WORN]))
    for name, feature in shown.items():
        half = [v if np.isfinite(v) else 0.05 * size for v in (feature.half_width, feature.half_height)]
        box = (max(int(2 * half[1] * scale), 3), max(int(2 * half[0] * scale), 3))
        x, y = feature.centre[:2]
        ids, _, _ = rasterise(character.vertices, character.triangles[worn], (float(x), float(y)), scale, box)
        seen = (ids >= 0) & (character.parts[worn[ids]] == PART["face"])
        if seen.mean() < VISIBLE:
            changes[name] = dataclasses.replace(feature, state="hidden")
    return character.replace(face=dataclasses.replace(face, **changes)) if changes else character
