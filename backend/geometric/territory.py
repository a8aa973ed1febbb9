# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of the body each voxel belongs to, and how firmly: geodesic distances inside the solid (shared reference
3.8 and 6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from ..mesh.voxels import VoxelGrid
from .arm_tubes import denied, find_tubes
from .skeleton import CHAINS, Skeleton

PARTS = tuple(CHAINS)
TORSO, HEAD, LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG = range(6)
SHARPNESS = 5.0
SMOOTHING = 3
# A path this much longer than the straight way has gone around a gap.
DETOUR = 1.25


@dataclass
class Territory:
    """Fields over the solid cells. node: (X, Y, Z) int32, row of a cell or -1; part: (N, 6) shares of PARTS, rows sum
    to 1.
    """

    node: np.ndarray
    part: np.ndarray


def find_territory(grid: VoxelGrid, skeleton: Skeleton) -> Territory:
    """Shares of the body's parts for every solid cell.

    A cell follows the part whose bones are near inside the body, never across a gap: the hand next to the thigh is
    far from it. Parts that do not touch in a body (arm and leg, left and right arm) share a cell only where the torso
    holds most of it, and so do left and right leg where cloth joins them (a robe, a skirt).
    """
    cells = np.argwhere(grid.solid)
    node = np.full(grid.solid.shape, -1, np.int32)
    node[tuple(cells.T)] = np.arange(len(cells), dtype=np.int32)
    near = _neighbours(grid, node)
    graph = _bridged(near, cells, grid.cell)
    thickness = ndimage.distance_transform_edt(grid.solid)[tuple(cells.T)] * grid.cell
    centres = grid.centres(cells)
    tree = cKDTree(centres)
    distance = np.empty((len(cells), len(PARTS)))
    straight = np.empty_like(distance)
    for k, part in enumerate(PARTS):
        seeds = _seeds(part, skeleton, centres, thickness, tree, grid.cell)
        distance[:, k] = dijkstra(graph, directed=False, indices=seeds, min_only=True)
        straight[:, k] = cKDTree(centres[seeds]).query(centres)[0]
    distance = np.where(np.isfinite(distance), distance, straight)
    distance[:, [LEFT_ARM, RIGHT_ARM]] += 1e3 * denied(grid, cells, find_tubes(grid, skeleton))
    share = _shares(distance, straight, grid.cell)
    average = sparse.diags(1 / (1 + np.asarray(near.astype(bool).sum(1)).ravel())) @ (
        near.astype(bool).astype(float) + sparse.eye(len(cells))
    )
    allowed = _allowed(share)
    for _ in range(SMOOTHING):
        share = average @ share
    share = np.where(allowed, share, 0.0)
    total = share.sum(1, keepdims=True)
    return Territory(node, apart(share / np.where(total > 0, total, 1)))


def apart(share: np.ndarray) -> np.ndarray:
    """(N, 6) shares with which no limb pulls at another, nor at the head: beside the limb that holds a place most
    there is another one only as far as the torso outweighs it, so that it is gone where the limb takes over. What
    goes is the torso's.
    """
    limbs = np.delete(np.arange(len(PARTS)), TORSO)
    rows = np.arange(len(share))
    first = limbs[share[:, limbs].argmax(1)]
    strongest = share[rows, first]
    # Between the legs the torso is the hips alone; elsewhere several bones divide it, and the limb outweighs each of
    # them sooner.
    legs = np.isin(np.arange(len(PARTS)), (LEFT_LEG, RIGHT_LEG))
    weigh = np.where(legs[None, :] & legs[first][:, None], 1.0, 0.5)
    out = np.minimum(share, np.maximum(weigh * share[:, [TORSO]] - strongest[:, None], 0.0))
    out[rows, first] = strongest
    out[:, TORSO] = 0.0
    out[:, TORSO] = 1 - out.sum(1)
    return out


def _neighbours(grid: VoxelGrid, node: np.ndarray) -> sparse.csr_matrix:
    """(N, N) symmetric lengths in metres between the 26-neighbours among the solid cells."""
    rows, columns, lengths = [], [], []
    for step in np.ndindex(3, 3, 3):
        d = np.array(step) - 1
        if tuple(d) <= (0, 0, 0):
            continue
        a = tuple(slice(max(0, -x), n - max(0, x)) for x, n in zip(d, node.shape, strict=True))
        b = tuple(slice(max(0, x), n - max(0, -x)) for x, n in zip(d, node.shape, strict=True))
        both = (node[a] >= 0) & (node[b] >= 0)
        rows.append(node[a][both])
        columns.append(node[b][both])
        lengths.append(np.full(len(rows[-1]), np.sqrt((d**2).sum()) * grid.cell))
    n = int(node.max()) + 1
    half = sparse.coo_matrix((np.concatenate(lengths), (np.concatenate(rows), np.concatenate(columns))), (n, n))
    return (half + half.T).tocsr()


def _bridged(near: sparse.csr_matrix, cells: np.ndarray, cell: float) -> sparse.csr_matrix:
    """The graph with each loose piece tied to the nearest cell of the largest one, so that a floating eye finds the
    head.
    """
    count, label = connected_components(near, directed=False)
    if count == 1:
        return near
    main = int(np.argmax(np.bincount(label)))
    body = np.flatnonzero(label == main)
    rest = np.flatnonzero(label != main)
    gap, which = cKDTree(cells[body]).query(cells[rest])
    order = np.lexsort((gap, label[rest]))
    _, first = np.unique(label[rest][order], return_index=True)
    chosen = order[first]
    ties = sparse.coo_matrix((gap[chosen] * cell, (rest[chosen], body[which[chosen]])), near.shape)
    return (near + ties + ties.T).tocsr()


def _seeds(part, skeleton, centres, thickness, tree, cell) -> np.ndarray:
    """Cells that belong to a part for sure: balls around its bones, .7 of the inscribed radius.

    A limb begins a little way down its first bone, and its balls stay within what the middle of the limb has: at its
    root the inscribed radius is the trunk's.
    """
    bones = [skeleton.segment(name) for name in CHAINS[part] if name in skeleton.heads]
    limb = part.endswith(("Arm", "Leg"))
    points = []
    for k, (a, b) in enumerate(bones):
        start = (0.2 if limb else 0.35) if k == 0 and part != "torso" else 0.0
        n = max(2, int(np.ceil(np.linalg.norm(b - a) / (1.5 * cell))))
        points.append(a + (b - a) * np.linspace(start, 1, n)[:, None])
    if part == "torso":
        for side in ("left", "right"):
            for name, root, reach in ((f"{side}UpperArm", "upperChest", 0.6), (f"{side}UpperLeg", "hips", 0.8)):
                a, b = skeleton.heads[root], skeleton.heads[name]
                points.append(a + (b - a) * np.linspace(0, reach, 6)[:, None])
    sampled = np.concatenate(points)
    _, nearest = tree.query(sampled)
    radius = 0.7 * thickness[nearest]
    if limb:
        radius = np.minimum(radius, 0.7 * np.median(thickness[nearest]))
    groups = tree.query_ball_point(centres[nearest], np.maximum(radius, 0.1 * cell))
    seeds = [np.asarray(g, np.int64) for g in groups]
    if part == "head":
        seeds.append(_inside_head(skeleton, centres, cell))
    return np.unique(np.concatenate(seeds))


def _inside_head(skeleton: Skeleton, centres: np.ndarray, cell: float) -> np.ndarray:
    """Cells of the head, slice by slice, within .7 of its extents: a wide chin may be as near to the chest as to the
    head's bone.

    They begin as far above the head's joint as the skin needs to blend: a wide head that turns takes more of it along.
    """
    a, b = skeleton.segment("head")
    found = []
    level = np.round(centres[:, 1] / cell).astype(np.int64)
    for k in np.unique(level[centres[:, 1] > a[1]]):
        here = np.flatnonzero(level == k)
        above = k * cell - a[1]
        rise = np.clip(above / max(b[1] - a[1], cell), 0, 1)
        x, z = (centres[here] - (a + rise * (b - a)))[:, [0, 2]].T
        middle, across = z[np.abs(x) <= cell], x[np.abs(z) <= cell]
        if not len(middle) or not len(across):
            continue
        front, back = max(middle.max(), cell), max(-middle.min(), cell)
        if above < 0.2 * front:
            continue
        # Shoulders may rise beside the head, hats and ears stand off it: its depth bounds its width.
        wide = min(max(min(across.max(), -across.min()), cell), 0.65 * (front + back))
        deep = np.where(z > 0, z / front, z / back)
        found.append(here[(x / wide) ** 2 + deep**2 < 0.7**2])
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _shares(distance: np.ndarray, straight: np.ndarray, cell: float) -> np.ndarray:
    """(N, 6) shares, not smoothed yet."""
    closeness = (1 / (distance + 1.2 * cell)) ** SHARPNESS
    closeness /= closeness.sum(1, keepdims=True)
    share = np.where(_allowed(closeness), closeness, 0.0)
    left, right = distance[:, LEFT_LEG], distance[:, RIGHT_LEG]
    joined = np.maximum(left, right) < DETOUR * np.maximum(straight[:, LEFT_LEG], straight[:, RIGHT_LEG]) + 2 * cell
    lean = (right - left) / np.maximum(left + right, 1e-9)
    legs = closeness[:, LEFT_LEG] + closeness[:, RIGHT_LEG]
    half = np.where(joined, 0.3, 0.12)
    for k, side in ((LEFT_LEG, lean), (RIGHT_LEG, -lean)):
        share[:, k] = legs * np.clip(0.25 * (side + half) / half, 0, 1) * _allowed(closeness)[:, k]
    share[:, TORSO] += np.maximum(0, 1 - share.sum(1))
    return share / share.sum(1, keepdims=True)


def _allowed(share: np.ndarray) -> np.ndarray:
    """(N, 6) bool: the strongest part, and those that touch it in a body."""
    touching = np.zeros((6, 6), bool)
    touching[TORSO, :] = touching[:, TORSO] = True
    touching |= np.eye(6, dtype=bool)
    touching[LEFT_LEG, RIGHT_LEG] = touching[RIGHT_LEG, LEFT_LEG] = True
    return touching[share.argmax(1)]
