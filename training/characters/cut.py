# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts triangles along a line on a Character's surface, and smooths what lies on it."""

from __future__ import annotations

import numpy as np

from .character import Character, welded


def cut(character: Character, field: np.ndarray, level: float, where: np.ndarray) -> Character:
    """No triangle of `where` (T,) bool straddles field (V,) == level any more: those that do are split there.

    The picture does not change; corners, weights and texture coordinates are interpolated.
    """
    corners = character.triangles
    above = field > level
    count = above[corners].sum(1)
    split = np.flatnonzero(where & ((count == 1) | (count == 2)))
    if not len(split):
        return character
    # Turn each so that the corner that lies alone on its side comes first.
    sides = above[corners[split]]
    lone = np.where(count[split] == 1, sides.argmax(1), (~sides).argmax(1))
    turn = (lone[:, None] + np.arange(3)) % 3
    triangle = np.take_along_axis(corners[split], turn, 1)
    uvs = np.take_along_axis(character.corner_uvs[split], turn[..., None], 1)
    first, second, third = triangle.T

    def share(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.clip((level - field[a]) / (field[b] - field[a]), 0, 1)

    s, t = share(first, second), share(first, third)
    start = len(character.vertices)
    e, f = start + np.arange(len(split)), start + len(split) + np.arange(len(split))
    ends = np.concatenate([np.stack([first, second], 1), np.stack([first, third], 1)])
    amounts = np.concatenate([s, t])[:, None]
    points = character.vertices[ends[:, 0]] * (1 - amounts) + character.vertices[ends[:, 1]] * amounts
    indices, weights = _mixed(character, ends, amounts)
    new = np.concatenate([np.stack([first, e, f], 1), np.stack([e, second, third], 1), np.stack([e, third, f], 1)])
    ue = uvs[:, 0] * (1 - s[:, None]) + uvs[:, 1] * s[:, None]
    uf = uvs[:, 0] * (1 - t[:, None]) + uvs[:, 2] * t[:, None]
    new_uvs = np.concatenate(
        [np.stack([uvs[:, 0], ue, uf], 1), np.stack([ue, uvs[:, 1], uvs[:, 2]], 1), np.stack([ue, uvs[:, 2], uf], 1)]
    )
    keep = np.ones(len(corners), bool)
    keep[split] = False
    again = np.tile(split, 3)
    return character.replace(
        vertices=np.concatenate([character.vertices, points.astype(np.float32)]),
        joint_indices=np.concatenate([character.joint_indices, indices]),
        joint_weights=np.concatenate([character.joint_weights, weights]),
        triangles=np.concatenate([corners[keep], new]).astype(np.int32),
        corner_uvs=np.concatenate([character.corner_uvs[keep], new_uvs]).astype(np.float32),
        materials=np.concatenate([character.materials[keep], character.materials[again]]),
        parts=np.concatenate([character.parts[keep], character.parts[again]]),
    )


def _mixed(character: Character, ends: np.ndarray, amounts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints and weights between two vertices each, the four largest."""
    table = np.zeros((len(ends), len(character.joints)))
    rows = np.arange(len(ends))[:, None]
    for k, amount in ((0, 1 - amounts), (1, amounts)):
        np.add.at(table, (rows, character.joint_indices[ends[:, k]]), character.joint_weights[ends[:, k]] * amount)
    top = np.argsort(-table, 1)[:, : min(4, table.shape[1])]
    top = np.pad(top, ((0, 0), (0, 4 - top.shape[1])))
    weights = np.take_along_axis(table, top, 1)
    weights[:, table.shape[1] :] = 0
    return top.astype(np.int16), (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def smoothed(points: np.ndarray, triangles: np.ndarray, rounds: int, fixed: np.ndarray) -> np.ndarray:
    """(V, 3) every point moved halfway to its neighbours' mean so many times; fixed (V,) bool and open edges stay."""
    if not rounds:
        return points
    place = welded(points.astype(np.float32))
    count = place.max() + 1
    edges = place[np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])]
    edges = np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1)
    _, first, uses = np.unique(edges @ np.array([count, 1]), return_index=True, return_counts=True)
    rim = np.unique(edges[first[uses == 1]])
    edges = np.concatenate([edges[first], edges[first][:, ::-1]])
    degree = np.maximum(np.bincount(edges[:, 0], minlength=count), 1)
    out = np.zeros((count, 3))
    out[place] = points
    stays = np.zeros(count, bool)
    stays[place[fixed]] = True
    stays[rim] = True
    for _ in range(rounds):
        mean = np.stack([np.bincount(edges[:, 0], out[edges[:, 1], k], minlength=count) / degree for k in range(3)], 1)
        out = np.where(stays[:, None], out, (out + mean) / 2)
    return out[place]
