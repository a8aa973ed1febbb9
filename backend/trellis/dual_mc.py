# SPDX-License-Identifier: GPL-3.0-or-later
"""Flexible dual marching cubes in sparse form: cube features on the active cubes of a 256^3 grid -> a coloured mesh.

Only cubes that can carry surface are ever stored. Source: FlexiCubes (Shen et al., SIGGRAPH 2023, sections 4.1 to
4.3), with the tables derived from their rule instead of copied: crossing edges of a cube belong together when a face
joins them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

CORNERS = np.array([[k & 1, k >> 1 & 1, k >> 2 & 1] for k in range(8)])
# The y edges run from high to low y; their direction decides the winding.
EDGES = np.array([[0, 1], [1, 5], [4, 5], [0, 4], [2, 3], [3, 7], [6, 7], [2, 6], [2, 0], [3, 1], [7, 5], [6, 4]])
DIRECTIONS = np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]])


@dataclass
class DenseMesh:
    """Vertices (v, 3) in world axes, faces (f, 3) int64 with normals towards positive sdf, attributes (v, 6): rgb and
    normal in 0..1.

    Faces 2i and 2i + 1 are one quad; margin (f / 2,) is by how much its first diagonal was better than the second.
    """

    vertices: Tensor
    faces: Tensor
    attributes: Tensor | None
    margin: Tensor


@dataclass(frozen=True)
class Tables:
    """What each of the 256 corner cases looks like."""

    patch: (
        np.ndarray
    )  # (256, 12) the patch that each crossing edge belongs to, counted per case; -1 where the edge does not cross
    patches: np.ndarray  # (256,) how many
    ambiguous: np.ndarray  # (256, 3) direction of the ambiguous face, or 0
    label: np.ndarray  # (256, 12) like patch, named by the smallest edge in it


@cache
def tables() -> Tables:
    patch = np.full((256, 12), -1)
    label = np.full((256, 12), -1)
    patches = np.zeros(256, int)
    ambiguous = np.zeros((256, 3), int)
    for case in range(256):
        occupied = np.array([case >> k & 1 for k in range(8)], bool)
        crossing = [e for e in range(12) if occupied[EDGES[e, 0]] != occupied[EDGES[e, 1]]]
        group = {e: e for e in crossing}
        split_faces = []
        for direction in DIRECTIONS:
            axis = int(np.abs(direction).argmax())
            corners = {k for k in range(8) if CORNERS[k, axis] == (direction[axis] > 0)}
            on_face = [e for e in crossing if set(EDGES[e]) <= corners]
            if len(on_face) == 2:
                _join(group, *on_face)
            elif len(on_face) == 4:
                split_faces.append(direction)
                for corner in corners:
                    if occupied[corner]:
                        _join(group, *[e for e in on_face if corner in EDGES[e]])
        names = sorted(set(group.values()))
        for e in crossing:
            label[case, e], patch[case, e] = group[e], names.index(group[e])
        patches[case] = len(names)
        if len(split_faces) == 1 and len(names) == 1:
            ambiguous[case] = split_faces[0]
    return Tables(patch, patches, ambiguous, label)


def _join(group: dict[int, int], a: int, b: int) -> None:
    low, high = sorted((group[a], group[b]))
    for edge, name in group.items():
        if name == high:
            group[edge] = low


class _Grid:
    """Integer keys of cubes and vertices of a grid of `res` cubes a side; one vertex more along each axis, with a
    border for neighbours.
    """

    def __init__(self, res: int) -> None:
        self.res, self.side = res, res + 3

    def key(self, points: Tensor) -> Tensor:
        x, y, z = (points + 1).unbind(-1)
        return (x * self.side + y) * self.side + z

    def points(self, key: Tensor) -> Tensor:
        side = self.side
        return (
            torch.stack(
                [key.div(side * side, rounding_mode="floor"), key.div(side, rounding_mode="floor") % side, key % side],
                -1,
            )
            - 1
        )

    def offsets(self, steps: np.ndarray, device: torch.device) -> Tensor:
        """Key differences of steps (k, 3)."""
        return torch.as_tensor(steps @ np.array([self.side**2, self.side, 1]), device=device)


def _find(ordered: Tensor, wanted: Tensor) -> Tensor:
    """Position of each key in the sorted keys, or -1."""
    at = torch.searchsorted(ordered, wanted).clamp_(max=len(ordered) - 1)
    return torch.where(ordered[at] == wanted, at, -1)


def extract(coords: Tensor, feats: Tensor, res: int) -> DenseMesh:
    """The mesh of one batch item: coords (n, 3) of active cubes in [0, res), feats (n, 101), or (n, 53) without colour.

    Channels: sdf 8, deformation 24, beta 12, alpha 8, gamma 1, colour 48. No surface gives an empty mesh.
    """
    grid, device = _Grid(res), feats.device
    coords = coords.long()
    corner_steps = grid.offsets(CORNERS, device)
    vertex_keys, sdf, deform, colour = _shared_vertices(grid, coords, feats)
    candidates = (vertex_keys[sdf < 0][:, None] - corner_steps).flatten().unique()
    inside = ((grid.points(candidates) >= 0) & (grid.points(candidates) < res)).all(1)
    cubes = candidates[inside]
    if not len(cubes):
        return _empty(feats)
    at = _find(
        vertex_keys, cubes[:, None] + corner_steps
    )  # (cubes, 8) rows of the shared vertices, -1 where none is active
    values = torch.where(at >= 0, sdf[at], 1.0)
    case = ((values < 0).long() << torch.arange(8, device=device)).sum(1)
    surface = case < 255
    cubes, at, values, case = cubes[surface], at[surface], values[surface], case[surface]
    if not len(cubes):
        return _empty(feats)
    case = _resolve(grid, cubes, case)
    alpha, beta, gamma = _cube_weights(grid, coords, feats, cubes)
    vertices, attributes, dual = _dual_vertices(grid, cubes, case, at, values, alpha, beta, deform, colour)
    faces, margin = _quads(grid, cubes, dual, values, gamma)
    return DenseMesh(vertices, faces, attributes, margin)


def _empty(feats: Tensor) -> DenseMesh:
    attributes = feats.new_zeros(0, 6) if feats.shape[1] > 53 else None
    return DenseMesh(
        feats.new_zeros(0, 3), torch.zeros(0, 3, dtype=torch.long, device=feats.device), attributes, feats.new_zeros(0)
    )


def _shared_vertices(grid: _Grid, coords: Tensor, feats: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Sorted vertex keys with the mean sdf, deformation and colour logits of the cubes that touch them."""
    corners = grid.key(coords)[:, None] + grid.offsets(CORNERS, feats.device)
    keys, rows, counts = corners.flatten().unique(return_inverse=True, return_counts=True)

    def mean(values: Tensor) -> Tensor:
        return values.new_zeros(len(keys), values.shape[1]).index_add_(0, rows, values) / counts[:, None]

    sdf = mean(feats[:, :8].reshape(-1, 1) - 1 / grid.res)[:, 0]
    deform = mean(feats[:, 8:32].reshape(-1, 3))
    colour = mean(feats[:, 53:].reshape(-1, 6)) if feats.shape[1] > 53 else None
    return keys, sdf, deform, colour


def _resolve(grid: _Grid, cubes: Tensor, case: Tensor) -> Tensor:
    """Two neighbours that are ambiguous across their common face are both inverted, so that they agree on it."""
    direction = torch.as_tensor(tables().ambiguous, device=cubes.device)
    unsure = direction.abs().sum(1) > 0
    rows = torch.nonzero(unsure[case])[:, 0]
    step = direction[case[rows]]
    neighbour = _find(cubes, cubes[rows] + grid.key(step) - grid.key(torch.zeros_like(step)))
    both = (neighbour >= 0) & unsure[case[neighbour]]
    out = case.clone()
    out[rows[both]] = 255 - case[rows[both]]
    return out


def _cube_weights(grid: _Grid, coords: Tensor, feats: Tensor, cubes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """alpha (c, 8), beta (c, 12), gamma (c,) of the surface cubes; an inactive cube has raw weights 0."""
    ordered, order = torch.sort(grid.key(coords))
    row = _find(ordered, cubes)
    raw = torch.where((row >= 0)[:, None], feats[order[row], 32:53], 0.0)
    beta, alpha = 0.99 * torch.tanh(raw[:, :12]) + 1, 0.99 * torch.tanh(raw[:, 12:20]) + 1
    return alpha, beta, 0.99 * torch.sigmoid(raw[:, 20]) + 0.005


def _dual_vertices(
    grid: _Grid,
    cubes: Tensor,
    case: Tensor,
    at: Tensor,
    values: Tensor,
    alpha: Tensor,
    beta: Tensor,
    deform: Tensor,
    colour: Tensor | None,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """One vertex per patch of each cube, and (c, 12) the vertex that each crossing edge belongs to, or -1."""
    device, res = cubes.device, grid.res
    patch = torch.as_tensor(tables().patch, device=device)[case]
    patches = torch.as_tensor(tables().patches, device=device)[case]
    base = patches.cumsum(0) - patches
    dual = torch.where(patch >= 0, base[:, None] + patch, -1)
    cube, edge = torch.nonzero(dual >= 0, as_tuple=True)
    target = dual[cube, edge]
    ends = torch.as_tensor(EDGES, device=device)[edge]
    weighted = alpha[cube[:, None], ends] * values[cube[:, None], ends]
    # u = (x_a s_b - x_b s_a) / (s_b - s_a): the crossing's share of each end.
    share = torch.stack([weighted[:, 1], -weighted[:, 0]], 1) / (weighted[:, 1:] - weighted[:, :1])
    share = share * beta[cube, edge][:, None]
    total = share.new_zeros(int(patches.sum())).index_add_(0, target, beta[cube, edge])

    def blend(per_corner: Tensor) -> Tensor:
        crossing = (share[..., None] * per_corner).sum(1)
        return crossing.new_zeros(len(total), crossing.shape[1]).index_add_(0, target, crossing) / total[:, None]

    rows = at[cube[:, None], ends]
    known = (rows >= 0)[..., None]
    corner = grid.points(cubes)[cube, None] + torch.as_tensor(CORNERS, device=device)[ends]
    moved = torch.where(known, torch.tanh(deform[rows]), 0.0)
    vertices = blend(corner.to(deform.dtype) / res - 0.5 + (1 - 1e-8) / (2 * res) * moved)
    attributes = None if colour is None else blend(torch.where(known, torch.sigmoid(colour[rows]), 0.5))
    return vertices, attributes, dual


def _quads(grid: _Grid, cubes: Tensor, dual: Tensor, values: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Two triangles around every crossing grid edge that has all of its four cubes, and how clear the choice of the
    diagonal was.
    """
    device = cubes.device
    cube, edge = torch.nonzero(dual >= 0, as_tuple=True)
    low = np.minimum(CORNERS[EDGES[:, 0]], CORNERS[EDGES[:, 1]])
    axis = np.abs(CORNERS[EDGES[:, 0]] - CORNERS[EDGES[:, 1]]).argmax(1)
    key = (cubes[cube] + grid.offsets(low, device)[edge]) * 3 + torch.as_tensor(axis, device=device)[edge]
    # `cube` ascends, so a stable sort keeps each edge's cubes in ascending order.
    key, order = torch.sort(key, stable=True)
    _, counts = torch.unique_consecutive(key, return_counts=True)
    first = (counts.cumsum(0) - counts)[counts == 4]
    around = order[first[:, None] + torch.arange(4, device=device)]
    cube, edge = cube[around], edge[around]
    start = torch.as_tensor(EDGES[:, 0], device=device)[edge[:, 0]]
    outwards = values[cube[:, 0], start] > 0
    pick = torch.where(
        outwards[:, None], torch.tensor([0, 1, 3, 2], device=device), torch.tensor([2, 3, 1, 0], device=device)
    )
    q = dual[cube, edge].gather(1, pick)
    g = gamma[cube].gather(1, pick)
    margin = g[:, 0] * g[:, 2] - g[:, 1] * g[:, 3]
    first_split = (margin > 0)[:, None]
    one = torch.where(first_split, q[:, [0, 1, 2]], q[:, [0, 1, 3]])
    two = torch.where(first_split, q[:, [0, 2, 3]], q[:, [3, 1, 2]])
    return torch.stack([one, two], 1).flatten(0, 1), margin
