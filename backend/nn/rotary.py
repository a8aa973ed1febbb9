# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotary position embeddings of voxels (RoFormer, arXiv 2104.09864, with one block of frequencies per axis)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Rotation:
    """cos, sin (n, width / 2) fp32: by how much the pair (2i, 2i + 1) of every head is turned at each position."""

    cos: Tensor
    sin: Tensor

    def rows(self, rows: slice) -> Rotation:
        return Rotation(self.cos[rows], self.sin[rows])


def voxel_rotation(positions: Tensor, width: int, freq: tuple[float, float] = (1.0, 10000.0)) -> Rotation:
    """For voxel indices (n, 3) and heads of `width` channels: pairs for x, then y, then z; what is left stays as it is.

    freq (first, period): the angle per voxel falls from `first` to first / period.
    """
    pairs = width // 2 // 3
    rates = freq[0] / freq[1] ** (torch.arange(pairs, dtype=torch.float32, device=positions.device) / pairs)
    angles = (positions.float()[:, :, None] * rates).flatten(1)
    angles = torch.nn.functional.pad(angles, (0, width // 2 - angles.shape[1]))
    return Rotation(angles.cos(), angles.sin())


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """x (..., n, heads, width) turned pair by pair, computed in fp32 and answered in x's dtype."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = rotation.cos[:, None], rotation.sin[:, None]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)
