# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting pieces on a Character and taking them off."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from .character import PART, Character
from .shapes import Mesh


@dataclass(frozen=True)
class Weights:
    """joint_indices and joint_weights, (V, 4)."""

    indices: np.ndarray
    shares: np.ndarray


def rigid(count: int, joint: int) -> Weights:
    shares = np.zeros((count, 4), np.float32)
    shares[:, 0] = 1
    return Weights(np.full((count, 4), joint, np.int16), shares)


def blended(columns: dict[int, np.ndarray]) -> Weights:
    """joint -> (V,) weight, at most four joints; rows are brought to 1."""
    joints = list(columns)
    table = np.stack([columns[j] for j in joints], 1)
    pad = 4 - len(joints)
    table = np.pad(table / table.sum(1, keepdims=True), ((0, 0), (0, pad)))
    return Weights(np.tile(np.array(joints + [joints[0]] * pad, np.int16), (len(table), 1)), table.astype(np.float32))


def nearest(character: Character, points: np.ndarray, parts: tuple[str, ...] = ()) -> Weights:
    """The weights of the nearest vertex of these parts of the body (all when none is named)."""
    ids = np.flatnonzero(np.isin(character.parts, [PART[part] for part in parts])) if parts else slice(None)
    used = np.unique(character.triangles[ids])
    at = used[cKDTree(character.vertices[used]).query(points)[1]]
    return Weights(character.joint_indices[at], character.joint_weights[at])


def attach(
    character: Character,
    mesh: Mesh,
    part: str,
    weights: Weights,
    colour: np.ndarray,
    name: str,
    corner_uvs: np.ndarray | None = None,
) -> Character:
    """colour: (3,) 0..255, or a texture (h, w, 4) together with corner_uvs (T, 3, 2)."""
    vertices, triangles = mesh
    count = len(triangles)
    texture = np.asarray(colour)
    if texture.ndim == 1:
        texture = np.append(np.clip(np.round(texture), 0, 255), 255).astype(np.uint8)[None, None]
    return character.replace(
        vertices=np.concatenate([character.vertices, vertices.astype(np.float32)]),
        triangles=np.concatenate([character.triangles, (triangles + len(character.vertices)).astype(np.int32)]),
        corner_uvs=np.concatenate(
            [
                character.corner_uvs,
                np.zeros((count, 3, 2), np.float32) if corner_uvs is None else corner_uvs.astype(np.float32),
            ]
        ),
        materials=np.concatenate([character.materials, np.full(count, len(character.textures), np.int16)]),
        textures=(*character.textures, texture),
        material_names=(*character.material_names, name),
        parts=np.concatenate([character.parts, np.full(count, PART[part], np.uint8)]),
        joint_indices=np.concatenate([character.joint_indices, weights.indices.astype(np.int16)]),
        joint_weights=np.concatenate([character.joint_weights, weights.shares.astype(np.float32)]),
    )


def without(character: Character, triangles: np.ndarray) -> Character:
    """The character less these triangles (T,) bool, and less the vertices that no triangle then uses."""
    keep = ~triangles
    used, at = np.unique(character.triangles[keep], return_inverse=True)
    return character.replace(
        vertices=character.vertices[used],
        triangles=at.reshape(-1, 3).astype(np.int32),
        corner_uvs=character.corner_uvs[keep],
        materials=character.materials[keep],
        parts=character.parts[keep],
        joint_indices=character.joint_indices[used],
        joint_weights=character.joint_weights[used],
    )


def lifted(character: Character, shift: np.ndarray) -> Character:
    """Everything moved by shift (3,)."""
    face = character.face
    features = {
        name: replace(getattr(face, name), centre=getattr(face, name).centre + shift)
        for name in ("left_eye", "right_eye", "mouth")
    }
    return character.replace(
        vertices=(character.vertices + shift).astype(np.float32),
        joints=(character.joints + shift).astype(np.float32),
        face=replace(face, head_top=face.head_top + shift, chin=face.chin + shift, **features),
    )
