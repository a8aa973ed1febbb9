# SPDX-License-Identifier: GPL-3.0-or-later
"""Serialised pooling of Point Transformer V3: points that share a coarser cell become one.

The released skin network builds none; kept because other configurations of the same encoder do.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .serialisation import encode_all


@dataclass
class Pooled:
    """cells (m, 3), coords (m, 3) means, codes and orders (4, m), cluster (n,) each point's row, feats (m,
    channels).
    """

    cells: Tensor
    coords: Tensor
    codes: Tensor
    orders: Tensor
    cluster: Tensor
    feats: Tensor


class SerialisedPooling(nn.Module):
    """stride is a power of two; reduce: max, min, mean or sum of the features. The coarser cells are in the order of
    the first curve.
    """

    def __init__(self, channels: int, out: int, stride: int = 2, reduce: str = "max") -> None:
        super().__init__()
        self.reduce = {"max": "amax", "min": "amin"}.get(reduce, reduce)
        self.shift = (stride - 1).bit_length()
        self.proj = nn.Linear(channels, out)
        self.norm = nn.Sequential(nn.LayerNorm(out))

    def forward(self, feats: Tensor, coords: Tensor, cells: Tensor, batch: Tensor) -> Pooled:
        codes, depth = encode_all(cells, batch)
        shift = self.shift if self.shift <= depth else 0
        codes = codes >> 3 * shift
        _, cluster, counts = torch.unique(codes[0], return_inverse=True, return_counts=True)
        first = torch.argsort(cluster, stable=True)[counts.cumsum(0) - counts]
        projected = self.proj(feats)
        rows = cluster[:, None].expand_as(projected)
        joined = projected.new_zeros(len(counts), projected.shape[1]).scatter_reduce_(
            0, rows, projected, self.reduce, include_self=False
        )
        mean = coords.new_zeros(len(counts), 3).index_add_(0, cluster, coords) / counts[:, None]
        codes = codes[:, first]
        return Pooled(
            cells[first] >> shift,
            mean,
            codes,
            torch.argsort(codes, dim=1, stable=True),
            cluster,
            F.gelu(self.norm(joined)),
        )
