# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse voxel tensors: features on a set of occupied voxels, and the few operators that the networks need on them.

A `Voxels` is a set of coordinates together with everything that depends on the coordinates alone: neighbour tables, window partitions, the
way to the next coarser set. Each is computed on first use and kept, so all layers, steps and guidance halves on one set share it.
A `Sparse` is features on a `Voxels`. Coordinates are int64 (b, x, y, z) rows grouped by batch item b; features are (n, channels).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass
class Limits:
    """What bounds the memory of the operators here; set by the memory plan of a job."""

    conv_rows: int = 1 << 15  # rows gathered at once by a convolution: 27 * rows * channels values are alive


limits = Limits()


@dataclass
class Windows:
    """Rows partitioned into windows of similar size, padded: one batch of attention per bucket.

    buckets: [(rows (w, length) with -1 for padding, mask (w, 1, 1, length) bool or None when nothing is padded)].
    """

    buckets: list[tuple[Tensor, Tensor | None]]


class Voxels:
    """Occupied voxels (n, 4) int64 of a batch, and what follows from them. Rows must be grouped by batch item.

    reach: how many steps outside the bounding box a coordinate may be looked up.
    """

    def __init__(self, coords: Tensor, reach: int = 1) -> None:
        self.coords = coords.long()
        self.reach = reach
        self._windows: dict[tuple[int, int], Windows] = {}

    def __len__(self) -> int:
        return len(self.coords)

    @property
    def device(self) -> torch.device:
        return self.coords.device

    @cached_property
    def counts(self) -> list[int]:
        """Rows per batch item. An item without voxels has 0 as long as a later one has some."""
        if not len(self):
            return []
        return torch.bincount(self.coords[:, 0]).tolist()

    @property
    def batch(self) -> Tensor:
        """(n,) the batch item of each row."""
        return self.coords[:, 0]

    @cached_property
    def _extent(self) -> tuple[Tensor, Tensor]:
        """Lowest coordinate minus the reach, and the extents plus a border on both sides: no neighbour leaves this box."""
        low = self.coords[:, 1:].amin(0) - self.reach
        return low, self.coords[:, 1:].amax(0) + self.reach + 1 - low

    def keys(self, coords: Tensor) -> Tensor:
        """One integer per row, ordered like (b, x, y, z), valid for coordinates at most `reach` steps outside the bounding box."""
        low, size = self._extent
        x, y, z = (coords[:, 1:] - low).unbind(1)
        return ((coords[:, 0] * size[0] + x) * size[1] + y) * size[2] + z

    @cached_property
    def _sorted_keys(self) -> tuple[Tensor, Tensor]:
        return torch.sort(self.keys(self.coords))

    def find(self, coords: Tensor) -> Tensor:
        """(m,) the row of each coordinate, or n where the voxel is not occupied."""
        ordered, rows = self._sorted_keys
        wanted = self.keys(coords)
        at = torch.searchsorted(ordered, wanted).clamp_(max=len(ordered) - 1)
        return torch.where(ordered[at] == wanted, rows[at], len(self))

    @cached_property
    def neighbours(self) -> Tensor:
        """(n, 27) int32 row of the voxel at p + (i-1, j-1, k-1), column 9i + 3j + k; n where there is none.

        Half of the table is looked up, the other half is the same pairs seen from the other end.
        """
        n = len(self)
        table = torch.full((n, 27), n, dtype=torch.int32, device=self.device)
        own = torch.arange(n, dtype=torch.int32, device=self.device)
        table[:, 13] = own
        for column in range(13):
            i, j, k = column // 9, column // 3 % 3, column % 3
            step = torch.tensor([0, i - 1, j - 1, k - 1], device=self.device)
            rows = self.find(self.coords + step)
            table[:, column] = rows.int()
            found = rows < n
            table[rows[found], 26 - column] = own[found]
        return table

    @cached_property
    def coarse(self) -> tuple[Voxels, Tensor, Tensor]:
        """The set at half resolution (rows in lexicographic order), each fine row's coarse row, and the children counted per coarse row."""
        halved = torch.cat([self.coords[:, :1], self.coords[:, 1:].div(2, rounding_mode="floor")], 1)
        coords, parents, children = torch.unique(halved, dim=0, sorted=True, return_inverse=True, return_counts=True)
        return Voxels(coords), parents, children

    @cached_property
    def subdivided(self) -> Voxels:
        """Eight children per voxel, rows 8r to 8r + 7, z fastest."""
        child = torch.cartesian_prod(*[torch.arange(2, device=self.device)] * 3)
        fine = self.coords[:, None, 1:] * 2 + child
        batch = self.coords[:, None, :1].expand(-1, 8, 1)
        return Voxels(torch.cat([batch, fine], 2).reshape(-1, 4))

    def windows(self, size: int, shift: int) -> Windows:
        """The rows in windows of `size` voxels a side, the grid moved by `shift`. Order inside a window is that of the rows."""
        if (size, shift) not in self._windows:
            self._windows[size, shift] = self._partition(size, shift)
        return self._windows[size, shift]

    def _partition(self, size: int, shift: int) -> Windows:
        cell = torch.cat([self.coords[:, :1], (self.coords[:, 1:] + shift).div(size, rounding_mode="floor")], 1)
        _, window, length = torch.unique(cell, dim=0, return_inverse=True, return_counts=True)
        order = torch.argsort(window, stable=True)
        start = length.cumsum(0) - length
        buckets = []
        # A window is padded to the longest of its bucket; bounds at powers of two keep the padding under half.
        bucket = torch.ceil(torch.log2(length.double())).long().clamp_(min=4)
        for level in bucket.unique().tolist():
            chosen = torch.nonzero(bucket == level)[:, 0]
            longest = int(length[chosen].max())
            column = torch.arange(longest, device=self.device)
            valid = column < length[chosen, None]
            at = (start[chosen, None] + column).clamp_(max=len(self) - 1)
            rows = torch.where(valid, order[at], -1)
            buckets.append((rows, None if bool(valid.all()) else valid[:, None, None, :]))
        return Windows(buckets)


@dataclass
class Sparse:
    """Features (n, channels) on a set of voxels."""

    feats: Tensor
    voxels: Voxels

    def replace(self, feats: Tensor) -> Sparse:
        return Sparse(feats, self.voxels)


def conv3(x: Tensor, voxels: Voxels, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Submanifold convolution: (n, in) -> (n, out), weight (out, 3, 3, 3, in), taken over the occupied neighbours only.

    Gathers the 27 neighbours of a slice of rows and multiplies once; the slices bound the memory.
    """
    flat = weight.reshape(len(weight), -1)
    table = voxels.neighbours
    padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
    out = x.new_empty(len(x), len(weight))
    for rows in range(0, len(x), limits.conv_rows):
        around = padded[table[rows : rows + limits.conv_rows].long()].flatten(1)
        out[rows : rows + limits.conv_rows] = F.linear(around, flat, bias)
    return out


def conv1(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Kernel-1 convolution as the released weights were trained: the (out, 1, 1, 1, in) buffer is read as an (in, out) matrix.

    That is what spconv 2.x does for this kernel size: it reinterprets the buffer instead of transposing it.
    """
    y = x @ weight.reshape(weight.shape[-1], weight.shape[0])
    return y if bias is None else y + bias


def downsample(x: Sparse) -> Sparse:
    """Half resolution. The mean counts one zero more than there are children, as in the trained networks."""
    coarse, parents, children = x.voxels.coarse
    total = x.feats.new_zeros(len(coarse), x.feats.shape[1]).index_add_(0, parents, x.feats)
    return Sparse(total / (children[:, None] + 1).to(total.dtype), coarse)


def upsample(x: Tensor, fine: Voxels) -> Tensor:
    """Features of fine.coarse carried to the fine rows: every child copies its parent."""
    return x[fine.coarse[1]]


def subdivide(x: Tensor) -> Tensor:
    """Features for `voxels.subdivided`: every row eight times."""
    return x.repeat_interleave(8, 0)


def group_norm(x: Tensor, voxels: Voxels, groups: int, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Group norm over (all voxels of a batch item) x (channels of a group), in fp32."""
    out = torch.empty_like(x)
    start = 0
    for count in voxels.counts:
        rows = slice(start, start + count)
        start += count
        if count:
            part = x[rows].float().view(count, groups, -1)
            variance, mean = torch.var_mean(part, dim=(0, 2), keepdim=True, correction=0)
            scaled = ((part - mean) * torch.rsqrt(variance + eps)).view(count, -1)
            out[rows] = (scaled * weight.float() + bias.float()).to(x.dtype)
    return out


def window_attention(qkv: Tensor, windows: Windows) -> Tensor:
    """Attention inside each window: qkv (n, 3, heads, d) -> (n, heads, d)."""
    out = torch.empty_like(qkv[:, 0])
    for rows, mask in windows.buckets:
        q, k, v = qkv[rows].permute(2, 0, 3, 1, 4)  # a padded row repeats the last one; the mask keeps it out of keys
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
        if mask is None:
            out[rows.flatten()] = y.flatten(0, 1)
        else:
            kept = mask[:, 0, 0]
            out[rows[kept]] = y[kept]
    return out


def full_attention(qkv: Tensor, voxels: Voxels) -> Tensor:
    """Every row attends to all rows of its batch item: qkv (n, 3, heads, d) -> (n, heads, d)."""
    parts = []
    for part in qkv.split(voxels.counts):
        q, k, v = part.permute(1, 2, 0, 3).unsqueeze(1)
        parts.append(F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1))
    return torch.cat(parts)
