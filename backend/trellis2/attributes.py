# SPDX-License-Identifier: GPL-3.0-or-later
"""PBR attributes at any point, from those of the voxels around it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..nn import sparse
from ..nn.sparse import Voxels

CHANNELS = {"base_colour": slice(0, 3), "metallic": slice(3, 4), "roughness": slice(4, 5), "alpha": slice(5, 6)}


def sample_attributes(points: Tensor, voxels: Voxels, attributes: Tensor, resolution: int) -> Tensor:
    """(p, 3) points in world axes, attributes (n, c) of the voxels of one item -> (p, c) fp32.

    Trilinear between the centres of the eight voxels around a point; those that do not exist are left out and the
    weights of the others made to sum to one. Zero where none exists.
    """
    exact = torch.float32 if points.device.type == "mps" else torch.float64
    corner = torch.cartesian_prod(*[torch.arange(2, device=points.device)] * 3)
    out = attributes.new_zeros(len(points), attributes.shape[1], dtype=torch.float32)
    step = sparse.limits.rows(8 * 4 * (attributes.shape[1] + 16))
    for first in range(0, len(points), step):
        place = (points[first : first + step].to(exact) + 0.5) * resolution - 0.5
        cell = place.floor()[:, None] + corner
        weight = (1 - (place[:, None] - cell).abs()).clamp(min=0).prod(2)
        at = torch.cat([torch.zeros_like(cell[..., :1]), cell], 2).view(-1, 4)
        rows = voxels.find_anywhere(at.clamp(-2, resolution + 1).long()).view(-1, 8)
        weight = torch.where(rows < len(voxels), weight, 0)
        total = weight.sum(1, keepdim=True)
        weight = (weight / total.clamp(min=1e-30)).float()
        rows = rows.clamp(max=max(len(voxels) - 1, 0))
        if len(voxels):
            out[first : first + step] = (attributes[rows].float() * weight[..., None]).sum(1)
    return out
