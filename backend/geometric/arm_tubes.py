# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an arm ends beside the body: tubes around the arms' bones, as thick as the arm is on its outer side, and the
triangles that join arm and body beyond the armpit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..mesh.voxels import VoxelGrid
from .islands import pieces
from .parting import part
from .skeleton import CHAINS, Skeleton

WAYS = 16  # directions around a bone in which the arm's thickness is measured
REACH = 0.12  # of the body's height: no arm is thicker
ASKEW = 1.6  # how much thicker an arm may be on one side of its bone than on the other, and across than elsewhere
ROUND = 1.1  # up to which a way across stays in the arm for sure, relative to the shortest
LONG, LONG_HAND = 1.2, 1.7  # how far an arm, a hand goes from its middle, relative to the shortest way
SWELL = 1.25  # how much thicker a part of the arm is than the one before it
CORE, WHOLE = 1.3, 1.45  # radii: what is taken out to see whether the rest hangs on the body; what may be the arm's
FOREIGN = 0.08  # mean share of a piece of skin that is not the arm's
NEAR = 3.0  # radii within which skin may be the arm's
RAG = 0.1  # of the arm's skin: smaller pieces go with what they hang on
CLEAR = 0.3  # from half of the share, on both sides
MUCH = 0.2  # of all that is the arm's
ARMPIT = 0.2  # of the upper arm: above it arm and body belong together


@dataclass
class Tube:
    """points (S, 3) along the arm; radius (S, WAYS) in directions around it, evenly from `out` (S, 3) on, which points
    away from the trunk, towards `aside` (S, 3); along (S,): 0 at the shoulder, 1 at the elbow, 2 at the wrist.
    """

    points: np.ndarray
    radius: np.ndarray
    along: np.ndarray
    out: np.ndarray
    aside: np.ndarray

    def measure(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n,) how many radii points are from the arm's middle, where along it, and whether on its outer side."""
        distance, nearest = cKDTree(self.points).query(points)
        offset = points - self.points[nearest]
        angle = np.arctan2((offset * self.aside[nearest]).sum(1), (offset * self.out[nearest]).sum(1))
        at = angle / (2 * np.pi) * WAYS
        low = np.floor(at).astype(int)
        part = at - low
        radius = (1 - part) * self.radius[nearest, low % WAYS] + part * self.radius[nearest, (low + 1) % WAYS]
        return distance / radius, self.along[nearest], np.abs(angle) < np.pi / 2


def find_tubes(grid: VoxelGrid, skeleton: Skeleton) -> dict[str, Tube]:
    """By "leftArm" and "rightArm"."""
    reach = REACH * grid.cell * grid.solid.shape[1]
    hips, neck = skeleton.heads["hips"], skeleton.heads["neck"]
    out = {}
    for arm in ("leftArm", "rightArm"):
        parts, size = [], np.inf
        for number, name in enumerate(CHAINS[arm]):
            a, b = skeleton.segment(name)
            b = b + (0.15 * (b - a) if number == 2 else 0.0)
            count = max(3, int(np.ceil(np.linalg.norm(b - a) / grid.cell)))
            some = a + np.linspace(0, 1, count)[:, None] * (b - a)
            length = float(np.linalg.norm(b - a))
            axis = (b - a) / length if length > 1e-9 else np.array([1.0, 0.0, 0.0])
            frames = np.array([_frame(p, axis, hips, neck) for p in some])
            some, wide, size = _cross_sections(some, frames, grid, reach, SWELL * size, number == 2)
            parts.append((some, wide, number + np.linspace(0, 1, count), *np.moveaxis(frames, 1, 0)))
        points, radius, along, outward, aside = (np.concatenate(part) for part in zip(*parts, strict=True))
        out[arm] = Tube(points, np.maximum(radius, 1.2 * grid.cell), along, outward, aside)
    return out


def _frame(point, axis, hips, neck) -> tuple[np.ndarray, np.ndarray]:
    """Directions across the bone at one of its points: away from the trunk, and square to that."""
    share = np.clip((point[1] - hips[1]) / max(neck[1] - hips[1], 1e-9), 0, 1)
    outward = point - (hips + share * (neck - hips))
    outward = outward - (outward @ axis) * axis
    if np.linalg.norm(outward) < 1e-6:
        outward = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    outward = outward / np.linalg.norm(outward)
    return outward, np.cross(axis, outward)


def _cross_sections(
    points: np.ndarray, frames: np.ndarray, grid: VoxelGrid, reach: float, limit: float, hand: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Points (n, 3) of a bone moved into the middle of the arm, how far it goes from there, (n, WAYS), and how thick it
    is, at most `limit`.

    Where arm and body have grown together, the shortest way across the bone is the one that stays in the arm. Others
    may go on into the body: they end as on the mirrored way, and no farther than LONG times half of that.
    """
    half = WAYS // 2
    far = solid_distances(points, frames, grid, reach)
    across = far[:, :half] + far[:, half:]
    thin = ndimage.median_filter(across.min(1), 5, mode="nearest")
    size = max(min(float(np.median(thin)), limit), 2.4 * grid.cell)
    # The middle of every way across that stays in the arm, in the frame's two directions, by least squares.
    angle = 2 * np.pi * np.arange(half) / WAYS
    ways = np.column_stack([np.cos(angle), np.sin(angle)])
    stays = (across < ROUND * size).astype(float)
    normal = np.einsum("nk,ki,kj->nij", stays, ways, ways) + 0.2 * np.eye(2)
    offset = np.einsum("nk,ki->ni", stays * (far[:, :half] - far[:, half:]) / 2, ways)
    move = np.linalg.solve(normal, offset[..., None])[..., 0]
    move *= np.minimum(1, 0.3 * size / np.maximum(np.linalg.norm(move, axis=1, keepdims=True), 1e-12))
    move = ndimage.median_filter(move, (5, 1), mode="nearest")
    points = points + np.einsum("ni,nic->nc", move, frames)
    far = solid_distances(points, frames, grid, reach)
    mirrored = far[:, (half - np.arange(WAYS)) % WAYS]
    towards = np.cos(2 * np.pi * np.arange(WAYS) / WAYS) < -1e-6
    far = np.where(towards & (far > ASKEW * mirrored), mirrored, far)
    far = ndimage.median_filter(far, (5, 1), mode="nearest")
    most = np.clip(thin, 0.6 * size, 1.2 * size)[:, None] / 2 * (LONG_HAND if hand else LONG)
    return points, np.clip(far, most / 2.5, most), size


def frames_across(axes: np.ndarray) -> np.ndarray:
    """(n, 2, 3) two directions square to each of (n, 3) and to each other."""
    axes = axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-9)
    other = np.where(np.abs(axes[:, [0]]) < 0.8, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    u = other - (other * axes).sum(1, keepdims=True) * axes
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    return np.stack([u, np.cross(axes, u)], axis=1)


def _ways(frames: np.ndarray) -> np.ndarray:
    """(n, WAYS, 3) directions evenly around, from frames[:, 0] towards frames[:, 1]."""
    angle = 2 * np.pi * np.arange(WAYS) / WAYS
    return np.einsum("wf,nfc->nwc", np.column_stack([np.cos(angle), np.sin(angle)]), frames)


def solid_distances(points: np.ndarray, frames: np.ndarray, grid: VoxelGrid, reach: float) -> np.ndarray:
    """(n, WAYS) how far the solid goes from points (n, 3), at most `reach`, in the directions of `_ways`."""
    ways = _ways(frames)
    steps = np.arange(0, reach, 0.5 * grid.cell)
    i, j, k = np.moveaxis(grid.index(points[:, None, None] + steps[:, None] * ways[:, :, None]), -1, 0)
    solid = grid.solid[i, j, k]
    return steps[np.where(solid.all(2), len(steps) - 1, np.argmin(solid, axis=2))]


def denied(grid: VoxelGrid, cells: np.ndarray, tubes: dict[str, Tube]) -> np.ndarray:
    """(N, 2) bool: solid cells (N, 3) that are not the left, the right arm's: outside its tube, and hanging on the
    body without it. A sleeve that hangs on the arm alone stays the arm's.
    """
    centres = grid.centres(cells)
    out = np.zeros((len(cells), 2), bool)
    for number, arm in enumerate(("leftArm", "rightArm")):
        off, along, _ = tubes[arm].measure(centres)
        rest = grid.solid.copy()
        rest[tuple(cells[(off < CORE) & (along > 0.2)].T)] = False
        label, count = ndimage.label(rest)
        if not count:
            continue
        body = 1 + int(np.argmax(np.bincount(label.ravel())[1:]))
        out[:, number] = (label[tuple(cells.T)] == body) & (off > WHOLE) & (along > ARMPIT)
    return out


def part_arms(
    weights: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
    skeleton: Skeleton,
    tubes: dict[str, Tube],
    colour: np.ndarray | None = None,
) -> np.ndarray:
    """Makes the weights (V, J) beyond the armpits an arm's alone or none of its (in place); returns (T,) bool, the
    triangles that join an arm to something else there. colour: (V, 3) of the skin.
    """
    cut = np.zeros(len(triangles), bool)
    names = skeleton.names
    for arm in ("leftArm", "rightArm"):
        own = np.array([name in CHAINS[arm] for name in names])
        last = np.array([name == CHAINS[arm][1] for name in names])

        def fallback(columns: np.ndarray, own: np.ndarray = own, last: np.ndarray = last) -> np.ndarray:
            return last if columns is own else np.arange(len(own)) == 0

        ratio, along, outer = tubes[arm].measure(vertices)
        beyond = along > ARMPIT
        share = weights[:, own].sum(1)
        near = beyond & ((ratio < NEAR) | (share > 0.02))
        # Above the armpit the distances alone tell arm and body apart; what hangs on either starts from there.
        clear = ~beyond & (np.abs(share - 0.5) > CLEAR)
        known = np.where(clear, share > 0.5, np.where(near, share, np.nan))
        mine = part(np.where(clear, np.inf, ratio), outer, known, vertices, triangles, colour) & near
        mine = _without_rags(np.where(beyond, mine, share > 0.5), beyond, vertices, triangles)
        share = np.where(beyond, _by_piece(mine.astype(float), beyond, vertices, triangles), share)
        mine, others = beyond & (share > 0.5), beyond & (share <= 0.5) & (weights[:, own].sum(1) > 0)
        for rows, columns in ((mine, own), (others, ~own)):
            kept = np.where(columns, weights[rows] + 1e-9 * fallback(columns), 0.0)
            weights[rows] = kept / kept.sum(1, keepdims=True)
        held = weights[:, own].sum(1) > 0.5
        # One edge across is enough: a large triangle may have its third corner in the armpit.
        corner, far = held[triangles], beyond[triangles]
        cut |= ((corner != np.roll(corner, 1, 1)) & far & np.roll(far, 1, 1)).any(1)
    return cut


def _without_rags(mine: np.ndarray, beyond: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,) mine, the arm's skin, without scraps that hang on the body alone, and with those that hang on it alone."""
    inside = mine[triangles]
    mixed = np.unique(triangles[inside.any(1) & ~inside.all(1)])
    corners = vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    around = np.bincount(triangles.ravel(), np.repeat(area, 3), len(vertices))
    out = mine.copy()
    most = RAG * around[mine].sum()
    for own in (mine, ~mine):
        piece = pieces(vertices, triangles[own[triangles].all(1)])
        size = np.bincount(piece, own * around)
        joined = np.zeros(len(size), bool)
        joined[piece[mixed]] = True
        scrap = own & beyond & (joined & (size < most))[piece]
        out[scrap] = ~mine[scrap]
    return out


def _by_piece(share: np.ndarray, beyond: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,) the arm's shares, made 0 on pieces of skin of which hardly anything is the arm's (a skirt under the hand). A
    piece hangs together beyond the armpits. One that has much of the arm is the arm with what it is joined to (a coat,
    a loop of rope), and stays as it is, however large the rest.
    """
    piece = pieces(vertices, triangles[beyond[triangles].all(1)])
    mass = np.bincount(piece, share * beyond)
    mean = mass / np.bincount(piece)
    foreign = (mean < FOREIGN) & (mass < MUCH * mass.sum())
    return np.where(foreign[piece], 0.0, share)
