# SPDX-License-Identifier: GPL-3.0-or-later
"""The mouth: a slit in the skin, a pocket behind it that closes the skin again, and a strip of teeth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .measures import Face
from .refine import Skin, split_along
from .shapes import Slit
from .surface import DepthMap, front_layer

BARED = np.array([0.55, 0.35])  # mouth widths to each side of the middle
MOST_PASSES = 8
SEEN = 0.03  # mouth widths from the front that still count as seen
SAMPLES = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
LEAST_CHAIN = 6  # vertices of a slit that can open
LEAST_SHARE = 0.4  # of the mouth's width that the slit must have
RINGS = 5  # of the pocket, from a lip to its back
DEPTH, DEPTH_OF_ROOM = 0.55, 0.7  # of the pocket in mouth widths, and at most of what there is behind the lips
BACK_HEIGHT = 0.72  # where the pocket's back is in the open mouth: 0 with the upper lip, 1 with the lower
TONGUE_WIDTH = 0.72  # of the pocket's width
LIP_THICKNESS = 0.035  # mouth widths between the skin and what is behind it
TEETH_WIDTH, TEETH_COLUMNS = 0.74, 14
TEETH_DEEPEST = 0.1  # mouth widths behind the lip
TEETH_TOP, TEETH_BOTTOM, TEETH_THICKNESS = 0.17, -0.03, 0.05  # mouth widths


@dataclass
class Mouth:
    """What the cut has made, as vertex numbers. Columns run along the slit, without its two corners.

    upper, lower: (C,) the lips; arcs: (C, 2 * RINGS - 1) the pocket from upper to lower lip; teeth: (N,);
    """

    upper: np.ndarray
    lower: np.ndarray
    arcs: np.ndarray
    teeth: np.ndarray
    slit: Slit


def cut_mouth(skin: Skin, face: Face, seen: DepthMap, head: int, materials: dict[str, int]) -> Mouth | None:
    """Cuts along v = 0, glues the pocket in and adds the teeth; None where the front has no line of vertices to open.

    head: column of the head's weight; materials: slot of Mouth, and of Tongue and Teeth if the mouth has them.
    """
    w = face.width
    cut = split_along(skin, np.array([-0.5 * w, -w]), np.array([0.5 * w, w]), lambda uv: uv[:, 1])
    skin.points[cut, 1] = 0.0
    chain = _longest_chain(skin, cut)
    if len(chain) < LEAST_CHAIN or abs(skin.points[chain[-1], 0] - skin.points[chain[0], 0]) < LEAST_SHARE * w:
        return None
    upper = chain[1:-1]
    lower = _part_lips(skin, upper)
    left, right = skin.points[chain[[0, -1]], 0]
    middle, half = float(left + right) / 2, float(right - left) / 2
    weights = np.zeros((1, skin.weights.shape[1]), np.float32)
    weights[0, head] = 1
    room = _room(seen, middle, half, w)
    arcs = _add_pocket(skin, chain, lower, min(DEPTH * w, DEPTH_OF_ROOM * room), middle, half, weights, materials)
    teeth = np.zeros(0, np.int64)
    if "Teeth" in materials:
        teeth = _add_teeth(skin, seen, w, middle, half, room, weights, materials["Teeth"])
    return Mouth(upper, lower, arcs, teeth, Slit(middle, half))


def bare_large_triangles(skin: Skin, face: Face, seen: DepthMap, length: float) -> None:
    """Divides triangles that are seen at the mouth but reach behind hair, a beard or the side of the head, so that
    their seen part is front. length: of edges, in metres.
    """
    high = BARED * face.width
    weights = SAMPLES / SAMPLES.sum(1, keepdims=True)
    for _ in range(MOST_PASSES):
        corners = skin.points[skin.triangles, :2]
        hidden = ~skin.front[skin.triangles].all(1)
        near = np.flatnonzero(hidden & ((corners.max(1) >= -high) & (corners.min(1) <= high)).all(1))
        a, b, c = (skin.points[skin.triangles[near, k]] for k in range(3))
        near = near[np.cross(b - a, c - a)[:, 2] > 0]
        places = np.einsum("sk,tkc->tsc", weights, skin.points[skin.triangles[near]])
        at = seen.at(places[:, :, :2].reshape(-1, 2)).reshape(places.shape[:2])
        shown = (np.abs(places[:, :, :2]) <= high).all(2) & (np.abs(places[:, :, 2] - at) < SEEN * face.width)
        edges = skin.edges(near[shown.any(1)])
        edges = edges[np.linalg.norm(skin.points[edges[:, 0]] - skin.points[edges[:, 1]], axis=1) > length]
        if not len(edges):
            return
        skin.split(edges, np.full(len(edges), 0.5))
        skin.front |= front_layer(skin.points, skin.triangles, seen, face)


def _longest_chain(skin: Skin, cut: np.ndarray) -> np.ndarray:
    """Vertex numbers along the longest open path of edges between vertices of the cut, from low u to high u."""
    new = np.zeros(len(skin.points), bool)
    new[cut] = True
    near = skin.triangles[new[skin.triangles].sum(1) >= 2]
    pairs = np.sort(near[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    pairs, count = np.unique(pairs[new[pairs].all(1)], axis=0, return_counts=True)
    neighbours: dict[int, list[int]] = {}
    for a, b in pairs[count == 2].tolist():
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    best: list[int] = []
    for start in sorted(v for v, others in neighbours.items() if len(others) == 1):
        path = [start]
        while len(step := [v for v in neighbours[path[-1]] if v not in path[-2:]]) == 1:
            path.append(step[0])
        if len(path) > len(best):
            best = path
    chain = np.array(best, np.int64)
    if len(chain) and skin.points[chain[0], 0] > skin.points[chain[-1], 0]:
        chain = chain[::-1]
    return chain


def _part_lips(skin: Skin, upper: np.ndarray) -> np.ndarray:
    """Gives the triangles below the slit vertices of their own, which are returned."""
    number = np.arange(len(skin.points))
    lower = skin.append(skin.points[upper], skin.weights[upper], True)
    number[upper] = lower
    below = (skin.points[skin.triangles, 1] < 0).any(1)
    skin.triangles[below] = number[skin.triangles[below]]
    return lower


def _room(seen: DepthMap, middle: float, half: float, w: float) -> float:
    """Metres behind the lips until the head, or a shell inside it, is left."""
    u, v = (
        grid.ravel()
        for grid in np.meshgrid(np.linspace(middle - half, middle + half, 17), np.linspace(-0.5 * w, 0.1 * w, 13))
    )
    column, row = np.rint((np.column_stack([u, v]) - seen.origin) / seen.cell).astype(int).T
    room = (seen.exit - seen.depth)[row, column]
    return float(np.quantile(np.minimum(room, 10 * w), 0.05))


def _add_pocket(skin, chain, lower, depth, middle, half, weights, materials) -> np.ndarray:
    """A bag from the upper lip back and forward again to the lower one, flat at rest; (C, 2 * RINGS - 1) vertex
    numbers.
    """
    upper = chain[1:-1]
    lips = skin.points[upper]
    bag = depth * np.sqrt(np.clip(1 - ((lips[:, 0] - middle) / half) ** 2, 0.04, 1))
    way = _way()
    points = np.repeat(lips[:, None], len(way), 1)
    points[:, :, 2] += bag[:, None] * way
    points[:, :, 0] -= (points[:, :, 0] - middle) * 0.12 * way
    arcs = skin.append(points.reshape(-1, 3), np.repeat(weights, points[:, :, 0].size, 0), False).reshape(
        points.shape[:2]
    )
    rows = np.column_stack([upper, arcs, lower])
    a, b, c, d = rows[1:, :-1], rows[:-1, :-1], rows[:-1, 1:], rows[1:, 1:]
    quads = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2)
    strips = np.arange(quads.shape[1])
    place = np.abs((lips[1:, 0] + lips[:-1, 0]) / 2 - middle) / half
    tongue = (strips >= RINGS) & (strips < 2 * RINGS - 1) & (place < TONGUE_WIDTH)[:, None]
    slot = np.where(tongue, materials.get("Tongue", materials["Mouth"]), materials["Mouth"])
    skin.append_triangles(quads.reshape(-1, 3), np.repeat(slot.ravel(), 2))
    first, last = rows[0], rows[-1]
    corners = [
        np.column_stack([first[:-1], np.full(len(first) - 1, chain[0]), first[1:]]),
        np.column_stack([np.full(len(last) - 1, chain[-1]), last[:-1], last[1:]]),
    ]
    skin.append_triangles(np.concatenate(corners), np.full(2 * (len(first) - 1), materials["Mouth"]))
    return arcs


def _way() -> np.ndarray:
    """(2 * RINGS - 1,) how far back each ring is, from 0 at the lips to 1."""
    ring = np.arange(1, 2 * RINGS)
    return np.minimum(ring, 2 * RINGS - ring) / RINGS


def _add_teeth(skin, seen, w, middle, half, room, weights, slot) -> np.ndarray:
    """A closed strip behind the upper lip that follows the face's curve; its vertex numbers."""
    a = np.linspace(-1, 1, TEETH_COLUMNS)
    u = middle + TEETH_WIDTH * half * a
    heights = np.linspace(TEETH_BOTTOM * w, 1.2 * TEETH_TOP * w, 9)
    grid = np.stack(np.meshgrid(u, heights, indexing="ij"), -1)
    skin_depth = seen.at(grid.reshape(-1, 2)).reshape(grid.shape[:2]).max(1)
    gap, thickness = min(1.6 * LIP_THICKNESS * w, 0.25 * room), min(TEETH_THICKNESS * w, 0.25 * room)
    lip = seen.at(np.column_stack([u, np.zeros_like(u)]))
    front = (
        np.minimum(skin_depth, lip + TEETH_DEEPEST * w) + gap
    )  # a nose guard or a ridge above the mouth does not hide them
    top, bottom = np.full(len(a), TEETH_TOP * w), TEETH_BOTTOM * w * (1 - 0.7 * a**4)
    back = front + thickness
    ring = [
        np.column_stack([u, height, depth])
        for height, depth in ((bottom, front), (top, front), (top, back), (bottom, back))
    ]
    points = np.stack(ring, 1)
    rows = skin.append(points.reshape(-1, 3), np.repeat(weights, points[:, :, 0].size, 0), False).reshape(-1, 4)
    closed = np.column_stack([rows, rows[:, 0]])
    a0, a1, b1, b0 = closed[:-1, :-1], closed[1:, :-1], closed[1:, 1:], closed[:-1, 1:]
    sides = np.stack([np.stack([a0, a1, b1], -1), np.stack([a0, b1, b0], -1)], 2).reshape(-1, 3)
    caps = np.concatenate([rows[0][[[0, 1, 2], [0, 2, 3]]], rows[-1][[[0, 2, 1], [0, 3, 2]]]])
    triangles = np.concatenate([sides, caps])
    skin.append_triangles(triangles, np.full(len(triangles), slot))
    return rows.ravel()


def follow_lips(skin: Skin, mouth: Mouth, face: Face, seen: DepthMap, shape: np.ndarray) -> None:
    """Adds the pocket's displacements to a shape (V, 3) in which the lips have moved; it stays behind the skin."""
    w, way = face.width, _way()[None, :, None]
    up, down = shape[mouth.upper][:, None], shape[mouth.lower][:, None]
    back = up * (1 - BACK_HEIGHT) + down * BACK_HEIGHT
    is_upper = (np.arange(mouth.arcs.shape[1]) < RINGS)[None, :, None]
    lip = np.where(is_upper, up, down)
    moved = lip + (back - lip) * way**2
    rest = skin.points[mouth.arcs]
    at = rest + moved
    behind = seen.at(at[:, :, :2].reshape(-1, 2)).reshape(at.shape[:2]) + LIP_THICKNESS * w * np.minimum(
        2 * way[:, :, 0], 1
    )
    hidden = np.maximum(at[:, :, 2], behind)
    opened = np.abs(up - down).max(2) > 0.01 * w
    moved[:, :, 2] += np.where(opened, hidden - at[:, :, 2], 0)
    shape[mouth.arcs] = moved
