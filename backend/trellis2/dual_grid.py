# SPDX-License-Identifier: GPL-3.0-or-later
"""Flexible dual grid: fine voxels with a vertex and three crossing flags each become a mesh (arXiv 2512.14692, 3.1).

A flag belongs to the grid edge that ends in the voxel's far corner; where it is set, the four voxels around that edge
are joined by a quad. A flag has no sign, so the faces have no common winding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..nn import sparse
from ..nn.sparse import Voxels

MARGIN = 0.5  # voxels by which a vertex may lie outside its voxel
# The four voxels around an edge along x, y, z, counted from the voxel that has the flag.
AROUND = (
    ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0)),
    ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)),
    ((0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0)),
)


@dataclass
class RawMesh:
    """vertices (v, 3) world axes (Z up, unit cube around 0), one a voxel in the voxels' order, used or not; faces
    (f, 3) int64 without a common winding.
    """

    vertices: Tensor
    faces: Tensor


@dataclass
class Fields:
    """What a fine voxel says: vertex (n, 3) in voxels from its corner, flags (n, 3) bool, weight (n,) for choosing
    diagonals.
    """

    vertex: Tensor
    flags: Tensor
    weight: Tensor


def fields(feats: Tensor) -> Fields:
    """The decoder's channels (n, 7) -> what they mean."""
    vertex = (1 + 2 * MARGIN) * torch.sigmoid(feats[:, :3]) - MARGIN
    return Fields(vertex, feats[:, 3:6] > 0, F.softplus(feats[:, 6]))


def extract(voxels: Voxels, given: Fields, resolution: int) -> RawMesh:
    """The mesh of one batch item's voxels on a grid of `resolution` voxels a side.

    Quads come voxel by voxel, x, y, z; each is split where the product of its corners' weights is larger. A quad
    whose four voxels do not all exist is left out.
    """
    vertices = (voxels.coords[:, 1:].float() + given.vertex) / resolution - 0.5
    around = torch.tensor(AROUND, device=voxels.device)
    voxel, axis = given.flags.nonzero(as_tuple=True)
    quads = []
    step = sparse.limits.rows(16 * 4 * 8)
    for first in range(0, len(voxel), step):
        some, which = voxel[first : first + step], axis[first : first + step]
        corners = voxels.coords[some, None].expand(-1, 4, -1).clone()
        corners[..., 1:] += around[which]
        rows = voxels.find(corners.view(-1, 4)).view(-1, 4)
        quads.append(rows[(rows < len(voxels)).all(1)])
    quad = torch.cat(quads) if quads else voxel.new_zeros(0, 4)
    w = given.weight[quad]
    first_diagonal = (w[:, 0] * w[:, 2] > w[:, 1] * w[:, 3])[:, None, None]
    one = quad[:, [0, 1, 2, 0, 2, 3]].view(-1, 2, 3)
    other = quad[:, [0, 1, 3, 3, 1, 2]].view(-1, 2, 3)
    return RawMesh(vertices, torch.where(first_diagonal, one, other).view(-1, 3))
