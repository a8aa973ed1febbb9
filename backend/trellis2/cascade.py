# SPDX-License-Identifier: GPL-3.0-or-later
"""Which voxels a stage works on: the sparse structure, and the finer voxels that a 512 shape asks for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..nn import sparse
from ..nn.structure import occupied

MAX_TOKENS = 49_152
DECODED, DOUBLINGS = 512, 4  # grid of the voxels that the shape decoder finds, in so many steps from 32
FLOOR, STEP = 1024, 128  # resolutions


def structure_voxels(logits: Tensor, side: int) -> Tensor:
    """Occupancy logits (b, 1, s, s, s) -> (n, 4) occupied voxels of a grid of `side`, in lexicographic order.

    On a coarser grid a voxel is occupied if any of those in it is.
    """
    factor = logits.shape[2] // side
    return occupied(logits if factor == 1 else F.max_pool3d(logits.float(), factor, factor))


def finer_voxels(coords: Tensor, target: int, max_tokens: int = MAX_TOKENS) -> tuple[Tensor, int]:
    """Voxels (n, 4) of the DECODED grid -> the latent's voxels for a shape of `target`, and the resolution they are
    for: the target, or what is left of it when there would be `max_tokens` or more, but never under FLOOR.
    """
    while True:
        place = (coords[:, 1:].float() + 0.5) / DECODED * (target // 16)
        rows, _, _ = sparse.unique_rows(torch.cat([coords[:, :1].long(), place.long()], 1))
        if len(rows) < max_tokens or target <= FLOOR:
            return rows, target
        target -= STEP
