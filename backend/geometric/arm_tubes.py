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
from .skeleton import CHAINS, Skeleton

WAYS = 16  # directions around a bone in which the arm's thickness is measured
REACH = 0.12  # of the body's height: no arm is thicker
FREE = 0.12  # of the height beside the trunk's axis from which on an arm has an outer side
QUANTILE = 0.6  # of the outer side's thicknesses
CORE, WHOLE = 1.0, 1.45  # radii: what is taken out to see whether the rest hangs on the body; what may be the arm's
FOREIGN, OWN = 0.08, 0.85  # mean share of a piece of skin that is not the arm's, or all its own
MUCH = 0.2  # of all that is the arm's
ARMPIT = 0.45  # of the upper arm: above it arm and body belong together


@dataclass
class Tube:
    """points (S, 3) along the arm, radius (S,), along (S,): 0 at the shoulder, 1 at the elbow, 2 at the wrist."""

    points: np.ndarray
    radius: np.ndarray
    along: np.ndarray

    def measure(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) how many radii points are from the arm's middle, and where along it."""
        distance, nearest = cKDTree(self.points).query(points)
        return distance / self.radius[nearest], self.along[nearest]


def find_tubes(grid: VoxelGrid, skeleton: Skeleton) -> dict[str, Tube]:
    """By "leftArm" and "rightArm"."""
    height = grid.cell * grid.solid.shape[1]
    hips, neck = skeleton.heads["hips"], skeleton.heads["neck"]
    out = {}
    for arm in ("leftArm", "rightArm"):
        points, along, radii = [], [], []
        for number, name in enumerate(CHAINS[arm]):
            a, b = skeleton.segment(name)
            b = b + (0.15 * (b - a) if number == 2 else 0.0)
            count = max(3, int(np.ceil(np.linalg.norm(b - a) / grid.cell)))
            some = a + np.linspace(0, 1, count)[:, None] * (b - a)
            length = float(np.linalg.norm(b - a))
            axis = (b - a) / length if length > 1e-9 else np.array([1.0, 0.0, 0.0])
            wide = np.array([_radius(p, axis, hips, neck, grid, REACH * height) for p in some])
            middle = np.median(wide)
            points.append(some)
            along.append(number + np.linspace(0, 1, count))
            radii.append(np.clip(ndimage.median_filter(wide, 5, mode="nearest"), 0.6 * middle, 1.5 * middle))
        out[arm] = Tube(
            np.concatenate(points), np.maximum(np.concatenate(radii), 1.2 * grid.cell), np.concatenate(along)
        )
    return out


def _radius(point, axis, hips, neck, grid: VoxelGrid, reach: float) -> float:
    """How far the solid goes from a point of the arm's bone: on the side away from the trunk, or where the arm ends on
    all sides, at its widest, since a bone beside its middle would else leave half of a free arm to the body.
    """
    share = np.clip((point[1] - hips[1]) / max(neck[1] - hips[1], 1e-9), 0, 1)
    outward = point - (hips + share * (neck - hips))
    outward = outward - (outward @ axis) * axis
    first = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    first /= np.linalg.norm(first)
    angle = 2 * np.pi * np.arange(WAYS) / WAYS
    ways = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * np.cross(axis, first)
    steps = np.arange(0, reach, 0.5 * grid.cell)
    i, j, k = np.moveaxis(grid.index(point + steps[None, :, None] * ways[:, None]), -1, 0)
    solid = grid.solid[i, j, k]
    gone = np.where(solid.all(1), len(steps) - 1, np.argmin(solid, axis=1))
    if not solid.all(1).any():
        return float(steps[gone].max())
    size = float(np.linalg.norm(outward))
    outer = ways @ (outward / size) > 0.25 if size > 1e-9 else np.ones(len(ways), bool)
    return float(np.quantile(steps[gone[outer]], QUANTILE))


def denied(grid: VoxelGrid, cells: np.ndarray, tubes: dict[str, Tube]) -> np.ndarray:
    """(N, 2) bool: solid cells (N, 3) that are not the left, the right arm's: outside its tube, and hanging on the
    body without it. A sleeve that hangs on the arm alone stays the arm's.
    """
    centres = grid.centres(cells)
    out = np.zeros((len(cells), 2), bool)
    for number, arm in enumerate(("leftArm", "rightArm")):
        off, along = tubes[arm].measure(centres)
        rest = grid.solid.copy()
        rest[tuple(cells[(off < CORE) & (along > 0.2)].T)] = False
        label, count = ndimage.label(rest)
        if not count:
            continue
        body = 1 + int(np.argmax(np.bincount(label.ravel())[1:]))
        out[:, number] = (label[tuple(cells.T)] == body) & (off > WHOLE) & (along > ARMPIT)
    return out


def part_arms(
    weights: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, skeleton: Skeleton, tubes: dict[str, Tube]
) -> np.ndarray:
    """Makes the weights (V, J) beyond the armpits an arm's alone or none of its (in place); returns (T,) bool, the
    triangles that join an arm to something else there.
    """
    cut = np.zeros(len(triangles), bool)
    names = skeleton.names
    for arm in ("leftArm", "rightArm"):
        own = np.array([name in CHAINS[arm] for name in names])
        last = np.array([name == CHAINS[arm][1] for name in names])

        def fallback(columns: np.ndarray, own: np.ndarray = own, last: np.ndarray = last) -> np.ndarray:
            return last if columns is own else np.arange(len(own)) == 0

        _, along = tubes[arm].measure(vertices)
        beyond = along > ARMPIT
        share = weights[:, own].sum(1)
        share = np.where(beyond, _by_piece(share, beyond, vertices, triangles), share)
        mine, others = beyond & (share > 0.5), beyond & (share <= 0.5) & (weights[:, own].sum(1) > 0)
        for rows, columns in ((mine, own), (others, ~own)):
            kept = np.where(columns, weights[rows] + 1e-9 * fallback(columns), 0.0)
            weights[rows] = kept / kept.sum(1, keepdims=True)
        held = weights[:, own].sum(1) > 0.5
        # One edge across is enough: a large triangle may have its third corner in the armpit.
        corner, far = held[triangles], beyond[triangles]
        cut |= ((corner != np.roll(corner, 1, 1)) & far & np.roll(far, 1, 1)).any(1)
    return cut


def _by_piece(share: np.ndarray, beyond: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,) the arm's shares, made 0 on pieces of skin of which hardly anything is the arm's (a skirt under the hand)
    and 1 on those that are nearly all its own. A piece hangs together beyond the armpits. One that has much of the arm
    is the arm with what it is joined to (a coat, a loop of rope), and stays as it is, however large the rest.
    """
    piece = pieces(vertices, triangles[beyond[triangles].all(1)])
    mass = np.bincount(piece, share * beyond)
    mean = mass / np.bincount(piece)
    foreign = (mean < FOREIGN) & (mass < MUCH * mass.sum())
    return np.where(foreign[piece], 0.0, np.where(mean[piece] > OWN, 1.0, share))
