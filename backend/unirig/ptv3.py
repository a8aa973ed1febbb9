# SPDX-License-Identifier: GPL-3.0-or-later
"""Point Transformer V3 (Wu et al. 2024) as UniRig's skin network uses it: no pooling, every block on every point
(shared/reference/unirig.md 7.2 to 7.4).

Points are ordered along space-filling curves and attend to each other in patches of neighbours on the curve; a
submanifold convolution stands in for positions. Computes in fp32; on CUDA attention takes half precision inputs, as
the original does everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .serialisation import ORDERS, encode_all
from .submanifold import CPU_RULE, GPU_RULE, GPU_STEM_RULE, Rule, SubmanifoldConv, Taps, make_taps

STEM_KERNEL, BLOCK_KERNEL = 5, 3
# How points that share a cell take part in the stem's and in the blocks' convolutions: as in the original on each
# kind of device.
GPU_RULES = (GPU_STEM_RULE, GPU_RULE)
CPU_RULES = (CPU_RULE, CPU_RULE)


@dataclass
class Patches:
    """One order of the points, cut into patches of attention.

    groups: (patches (p, length)) rows of points, one group per length. inverse (n,): where each point's result lies
    in the concatenated groups; results of points that only complete a patch are named by none.
    """

    groups: list[Tensor]
    inverse: Tensor


def cut(order: Tensor, counts: list[int], size: int) -> Patches:
    """order (n,) rows grouped by batch item, counts of points per item. An item with more points than `size` has
    patches of `size`, the last completed with the points of the patch before; a smaller item is one patch.
    """
    by_length: dict[int, list[Tensor]] = {}
    owners: dict[int, list[Tensor]] = {}
    for rows in order.split(counts):
        count = len(rows)
        if count == 0:
            continue
        length = min(count, size)
        missing = -count % length
        start = count - count % length
        padded, owned = rows, rows
        if missing:
            borrowed = rows[start - missing : start]
            padded = torch.cat([rows, borrowed])
            owned = torch.cat([rows, torch.full_like(borrowed, -1)])
        by_length.setdefault(length, []).append(padded.view(-1, length))
        owners.setdefault(length, []).append(owned)
    flat = torch.cat([owned for group in owners.values() for owned in group])
    place = torch.nonzero(flat >= 0)[:, 0]
    inverse = torch.empty_like(order)
    inverse[flat[place]] = place
    return Patches([torch.cat(group) for group in by_length.values()], inverse)


class Points:
    """A batch of point clouds and everything that depends on positions alone; shared by all blocks.

    coords (n, 3) fp32, counts of points per item, cell size. rules: of the stem's and of the blocks' convolutions.
    permutation: which of the four curves comes when; `orders` (4, n) replaces the sorting (already permuted).
    """

    def __init__(
        self,
        coords: Tensor,
        counts: list[int],
        cell: float,
        rules: tuple[Rule, Rule],
        permutation: Tensor | None = None,
        orders: Tensor | None = None,
    ) -> None:
        self.counts, self.rules = counts, rules
        # Every item has a grid of its own, from its own lowest corner.
        placed = [item - item.amin(0) for item in coords.split(counts) if len(item)]
        self.cells = torch.div(torch.cat(placed), cell, rounding_mode="trunc").int()
        self.batch = torch.repeat_interleave(torch.tensor(counts, device=coords.device), output_size=len(coords))
        codes, self.depth = encode_all(self.cells, self.batch)
        self.codes = codes if permutation is None else codes[permutation.to(codes.device)]
        self.orders = torch.argsort(self.codes, dim=1, stable=True) if orders is None else orders
        self._patches: dict[tuple[int, int], Patches] = {}

    @cached_property
    def located(self) -> Tensor:
        """(n, 4) batch item and cell."""
        return torch.cat([self.batch[:, None].int(), self.cells], 1)

    @cached_property
    def stem_taps(self) -> Taps:
        return make_taps(self.located, STEM_KERNEL, self.rules[0])

    @cached_property
    def block_taps(self) -> Taps:
        return make_taps(self.located, BLOCK_KERNEL, self.rules[1])

    def patches(self, order: int, size: int) -> Patches:
        order %= len(ORDERS)
        if (order, size) not in self._patches:
            self._patches[order, size] = cut(self.orders[order], self.counts, size)
        return self._patches[order, size]


class SerialisedAttention(nn.Module):
    """Attention inside patches of one curve; q and k pass a layer norm without parameters per head."""

    half_inputs = False  # round q, k, v and the result to float16

    def __init__(self, channels: int, heads: int, patch: int, qk_norm: bool) -> None:
        super().__init__()
        self.heads, self.patch, self.qk_norm = heads, patch, qk_norm
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, points: Points, order: int) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)
        if self.qk_norm:
            q, k = F.layer_norm(q, q.shape[-1:]), F.layer_norm(k, k.shape[-1:])
        qkv = torch.stack([q, k, v], 1)
        if self.half_inputs:
            qkv = (
                qkv.half() if x.is_cuda else qkv.half().float()
            )  # only CUDA is faster in half precision; what is rounded is the same
        patches = points.patches(order, self.patch)
        done = []
        for rows in patches.groups:
            q, k, v = qkv[rows].permute(2, 0, 3, 1, 4)
            done.append(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(0, 1))
        y = torch.cat(done)[patches.inverse].flatten(1)
        return self.proj((y.half() if self.half_inputs else y).to(x.dtype))


class Mlp(nn.Module):
    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, int(channels * ratio))
        self.fc2 = nn.Linear(int(channels * ratio), channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Convolution, attention and MLP, each added to its input. Containers of one module carry the
    checkpoint's names.
    """

    def __init__(self, channels: int, heads: int, patch: int, order: int, qk_norm: bool, ratio: float = 4.0) -> None:
        super().__init__()
        self.order = order
        self.cpe = nn.ModuleList(
            [SubmanifoldConv(channels, channels, BLOCK_KERNEL), nn.Linear(channels, channels), nn.LayerNorm(channels)]
        )
        self.norm1 = nn.Sequential(nn.LayerNorm(channels))
        self.attn = SerialisedAttention(channels, heads, patch, qk_norm)
        self.norm2 = nn.Sequential(nn.LayerNorm(channels))
        self.mlp = nn.Sequential(Mlp(channels, ratio))

    def forward(self, x: Tensor, points: Points) -> Tensor:
        convolution, linear, norm = self.cpe
        x = x + norm(linear(convolution(x, points.block_taps)))
        x = x + self.attn(self.norm1(x), points, self.order)
        return x + self.mlp(self.norm2(x))


class Stem(nn.Module):
    def __init__(self, channels: int, out: int, layer_norm: bool) -> None:
        super().__init__()
        self.conv = SubmanifoldConv(channels, out, STEM_KERNEL, bias=False)
        self.norm = nn.LayerNorm(out) if layer_norm else nn.BatchNorm1d(out, eps=1e-3)

    def forward(self, x: Tensor, points: Points) -> Tensor:
        return F.gelu(self.norm(self.conv(x, points.stem_taps)))


class Embedding(nn.Module):
    def __init__(self, channels: int, out: int, residual: bool, layer_norm: bool) -> None:
        super().__init__()
        self.stem = Stem(channels, out, layer_norm)
        self.res_linear = nn.Linear(channels, out) if residual else None

    def forward(self, x: Tensor, points: Points) -> Tensor:
        y = self.stem(x, points)
        return y if self.res_linear is None else y + self.res_linear(x)


class PointTransformer(nn.Module):
    """Parameters are named as in the configuration of the original. Features (n, in_channels) to (n,
    enc_channels[-1]). layer_norm: of the stem, in place of its batch norm.
    """

    def __init__(
        self,
        in_channels: int = 9,
        enc_depths: tuple[int, ...] = (3, 3, 3, 6, 16),
        enc_channels: tuple[int, ...] = (32, 64, 128, 256, 384),
        enc_num_head: tuple[int, ...] = (2, 4, 8, 16, 24),
        enc_patch_size: tuple[int, ...] = (1024, 1024, 1024, 1024, 1024),
        enable_qknorm: bool = True,
        res_linear: bool = True,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.channels = enc_channels[-1]
        self.embedding = Embedding(in_channels, enc_channels[0], res_linear, layer_norm)
        self.enc = nn.ModuleDict()
        before = enc_channels[0]
        for s, (depth, channels, heads, patch) in enumerate(
            zip(enc_depths, enc_channels, enc_num_head, enc_patch_size, strict=True)
        ):
            stage = nn.ModuleDict()
            if s:
                stage["0"] = nn.Linear(before, channels)
            for i in range(depth):
                stage[f"block{i}"] = Block(channels, heads, patch, i, enable_qknorm)
            self.enc[f"enc{s}"] = stage
            before = channels

    def set_half_attention(self, half: bool) -> None:
        """Whether q, k and v are rounded to float16 before they meet; the original always does."""
        for module in self.modules():
            if isinstance(module, SerialisedAttention):
                module.half_inputs = half

    def points(
        self,
        coords: Tensor,
        counts: list[int],
        cell: float,
        rules: tuple[Rule, Rule] | None = None,
        permutation: Tensor | None = None,
        orders: Tensor | None = None,
    ) -> Points:
        """Where the points are. Without rules: those of the original on a GPU."""
        return Points(coords, counts, cell, rules or GPU_RULES, permutation, orders)

    def forward(self, features: Tensor, points: Points) -> Tensor:
        x = self.embedding(features, points)
        for stage in self.enc.values():
            for layer in cast(nn.ModuleDict, stage).values():
                x = layer(x, points) if isinstance(layer, Block) else layer(x)
        return x
