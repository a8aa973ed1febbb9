# SPDX-License-Identifier: GPL-3.0-or-later
"""The grid a figure is built on, its outline and parts there, and its thickness by a Poisson equation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import spsolve

PARTS = ("torso", "head", "leftArm", "rightArm", "leftLeg", "rightLeg")


@dataclass
class Frame:
    """The working grid, `cell` metres wide: (column, row) lies at x = (column - middle) * cell, y = (ground - row) *
    cell.
    """

    cell: float
    pixels: float  # pixels of the picture per cell
    origin: tuple[float, float]  # pixel of the picture at column 0, row 0
    middle: float  # column of x = 0
    ground: float  # row of y = 0
    shape: tuple[int, int]

    def to_cells(self, point: tuple[float, float] | np.ndarray) -> np.ndarray:
        """Pixels (x, y) of the picture -> (column, row)."""
        return (np.asarray(point, float) - self.origin) / self.pixels

    def to_metres(self, cells: np.ndarray) -> np.ndarray:
        """(column, row) -> glTF x and y in metres."""
        cells = np.asarray(cells, float)
        return np.stack([(cells[..., 0] - self.middle) * self.cell, (self.ground - cells[..., 1]) * self.cell], -1)

    def to_pixels(self, metres: np.ndarray) -> np.ndarray:
        """glTF x and y in metres -> pixels of the picture."""
        metres = np.asarray(metres, float)
        cells = np.stack([metres[..., 0] / self.cell + self.middle, self.ground - metres[..., 1] / self.cell], -1)
        return cells * self.pixels + self.origin


def make_frame(mask: np.ndarray, joints: dict[str, tuple[float, float]], height: float, cell: float) -> Frame:
    """A grid of `cell` metres over the figure, `height` metres tall, with three free cells around it. x = 0 lies at
    the hips.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    metres = height / (rows[-1] + 1 - rows[0])  # per pixel
    pixels = cell / metres
    origin = (columns[0] - 0.5 - 3 * pixels, rows[0] - 0.5 - 3 * pixels)
    size = (columns[-1] - columns[0] + 1) / pixels + 7, (rows[-1] - rows[0] + 1) / pixels + 7
    ground = (rows[-1] + 0.5 - origin[1]) / pixels
    middle = (joints["hips"][0] - origin[0]) / pixels
    return Frame(cell, pixels, origin, middle, ground, (int(np.ceil(size[1])), int(np.ceil(size[0]))))


def signed_distance(mask: np.ndarray, frame: Frame) -> np.ndarray:
    """Distance to the outline in cells, positive inside, measured at the picture's full resolution."""
    pad = int(np.ceil(4 * frame.pixels)) + 2
    padded = np.pad(mask, pad)
    exact = ndimage.distance_transform_edt(padded) - ndimage.distance_transform_edt(~padded)
    exact = ndimage.gaussian_filter(exact - np.sign(exact) * 0.5, 0.35 * frame.pixels)
    row, column = np.mgrid[: frame.shape[0], : frame.shape[1]]
    at = [row * frame.pixels + frame.origin[1] + pad, column * frame.pixels + frame.origin[0] + pad]
    return ndimage.map_coordinates(exact, at, order=1, mode="nearest") / frame.pixels


def to_grid(parts: np.ndarray, frame: Frame) -> np.ndarray:
    """(R, C): for each cell the part of the nearest pixel that has one; parts: (H, W), -1 where there is none."""
    nearest = ndimage.distance_transform_edt(parts < 0, return_distances=False, return_indices=True)
    row, column = np.indices(frame.shape)
    at = [row * frame.pixels + frame.origin[1], column * frame.pixels + frame.origin[0]]
    return np.asarray(ndimage.map_coordinates(parts[tuple(nearest)], at, order=0, mode="nearest"))


def poisson(inside: np.ndarray) -> np.ndarray:
    """The solution of laplace(u) = -2 with u = 0 on the outline, in cells squared; 0 outside. sqrt(u) is a half
    circle over a strip.
    """
    mask = inside > 0
    index = np.full(mask.shape, -1)
    index[mask] = np.arange(mask.sum())
    here = index[mask]
    rows, columns = [here], [here]
    values = [np.full(len(here), 4.0)]
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        there = np.roll(index, step, axis)[mask]
        linked = there >= 0
        rows.append(here[linked])
        columns.append(there[linked])
        values.append(np.full(int(linked.sum()), -1.0))
    matrix = sparse.csc_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(len(here), len(here))
    )
    u = np.zeros(mask.shape)
    u[mask] = spsolve(matrix, np.full(len(here), 2.0), permc_spec="MMD_AT_PLUS_A")
    # The grid's outline runs through the centres of the first cells outside; move it to where the picture's outline is.
    whole = ndimage.distance_transform_edt(mask)
    u[mask] *= np.clip(inside[mask] / whole[mask], 0.05, 1.3)
    return u


def label_parts(mask: np.ndarray, joints: dict[str, np.ndarray]) -> np.ndarray:
    """For each cell of the figure the part it belongs to: nearest by the way inside the silhouette, from seeds along
    the bones.

    Head and torso are seeded as areas, so that hair over an arm stays with the head.
    """
    seeds = np.full(mask.shape, -1)
    row, column = np.mgrid[: mask.shape[0], : mask.shape[1]]
    shoulder = (joints["leftUpperArm"] + joints["rightUpperArm"]) / 2
    half = abs(joints["leftUpperArm"][0] - joints["rightUpperArm"][0]) / 2
    trunk = (row > shoulder[1]) & (row < joints["hips"][1]) & (np.abs(column - shoulder[0]) < 0.8 * half)
    seeds[trunk & mask] = PARTS.index("torso")
    above = (row < joints["neck"][1]) & mask
    for r in np.flatnonzero(above.any(1)):
        run = np.flatnonzero(above[r])
        width = 0.72 * min(run[-1] - joints["head"][0], joints["head"][0] - run[0])
        seeds[r, run[np.abs(run - joints["head"][0]) <= max(width, 2)]] = PARTS.index("head")
    for side in ("left", "right"):
        _draw(
            seeds,
            mask,
            [joints[f"{side}{b}"] for b in ("LowerArm", "Hand")],
            PARTS.index(f"{side}Arm"),
            joints[f"{side}UpperArm"],
            0.45,
        )
        _draw(
            seeds,
            mask,
            [joints[f"{side}{b}"] for b in ("LowerLeg", "Foot")],
            PARTS.index(f"{side}Leg"),
            joints[f"{side}UpperLeg"],
            0.35,
        )
    return _spread(mask, seeds)


def _draw(
    seeds: np.ndarray, mask: np.ndarray, points: list[np.ndarray], part: int, root: np.ndarray, start: float
) -> None:
    """Marks the bones from `start` of the way between root and the first point to beyond the last one."""
    chain = [root + (points[0] - root) * start, *points, points[-1] + (points[-1] - points[-2]) * 0.35]
    for a, b in zip(chain, chain[1:], strict=False):
        steps = np.linspace(0, 1, int(np.hypot(*(b - a))) * 2 + 2)
        c = np.round(a + (b - a) * steps[:, None]).astype(int)
        ok = (c >= 0).all(1) & (c[:, 0] < mask.shape[1]) & (c[:, 1] < mask.shape[0])
        c = c[ok]
        seeds[c[:, 1], c[:, 0]] = np.where(mask[c[:, 1], c[:, 0]], part, seeds[c[:, 1], c[:, 0]])


def _spread(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Every cell of the mask takes the label of the seed that is nearest by the way inside the mask; 0 (torso)
    outside.
    """
    index = np.full(mask.shape, -1)
    index[mask] = np.arange(mask.sum())
    rows, columns, lengths = [], [], []
    for step, length in (((0, 1), 1.0), ((1, 0), 1.0), ((1, 1), 1.4142), ((1, -1), 1.4142)):
        there = np.roll(index, (-step[0], -step[1]), (0, 1))
        linked = (index >= 0) & (there >= 0)
        rows.append(index[linked])
        columns.append(there[linked])
        lengths.append(np.full(int(linked.sum()), length))
    graph = sparse.csr_matrix(
        (np.concatenate(lengths), (np.concatenate(rows), np.concatenate(columns))),
        shape=(int(mask.sum()), int(mask.sum())),
    )
    label = seeds[mask]
    sources = np.flatnonzero(label >= 0)
    _, _, nearest = dijkstra(graph, directed=False, indices=sources, min_only=True, return_predecessors=True)
    out = np.zeros(mask.shape, int)
    out[mask] = np.where(nearest >= 0, label[np.clip(nearest, 0, None)], 0)
    return out


def continue_outside(square: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Continues the squared thickness below zero with the slope it has at the outline, so that its zero set is the
    outline.
    """
    figure = inside > 0
    _, (rows, columns) = ndimage.distance_transform_edt(~figure, return_indices=True)
    slope = np.clip(square / np.maximum(inside, 0.3), 0.5, None)[rows, columns]
    return np.where(figure, square, np.minimum(inside, -0.02) * slope)
