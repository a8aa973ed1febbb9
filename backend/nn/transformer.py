# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that the dense and the sparse transformers share. Norms compute in fp32 and answer in their input's dtype."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import sparse
from .precision import MixedPrecision
from .rotary import Rotation, rotate
from .sparse import Voxels


class LayerNorm32(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        if self.weight is None:  # computes in fp32 inside whatever the input is: one kernel in place of three
            return F.layer_norm(x, self.normalized_shape, None, None, self.eps)
        return F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps).to(
            x.dtype
        )


class ChannelLayerNorm32(LayerNorm32):
    """Layer norm over the channels of each voxel of a dense (b, c, x, y, z) tensor."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class HeadRmsNorm(nn.Module):
    """Per head: x / |x| * gamma * sqrt(d), for (..., heads, d)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(heads, width))

    def forward(self, x: Tensor) -> Tensor:
        return head_rms_norm(x, self.gamma)


def head_rms_norm(x: Tensor, gamma: Tensor) -> Tensor:
    """x / |x| * gamma * sqrt(d), in fp32; |x| / sqrt(d) is the root mean square. A row of zeros stays zero."""
    return (F.rms_norm(x.float(), x.shape[-1:], eps=1e-24) * gamma.float()).to(x.dtype)


def position_embedding(positions: Tensor, channels: int) -> Tensor:
    """Absolute position embedding (n, channels) fp32 of voxel indices (n, 3): per axis sines then cosines,
    zero-padded.
    """
    frequencies = channels // 6
    rates = 10000.0 ** (-torch.arange(frequencies, dtype=torch.float32, device=positions.device) / frequencies)
    angles = positions.float()[:, :, None] * rates
    out = torch.cat([angles.sin(), angles.cos()], -1).flatten(1)
    return F.pad(out, (0, channels - out.shape[1]))


def timestep_embedding(t: Tensor, width: int = 256, period: float = 10000.0) -> Tensor:
    """(b,) times already multiplied by 1000 -> (b, width) fp32, cosines first."""
    half = width // 2
    rates = torch.exp(-math.log(period) / half * torch.arange(half, dtype=torch.float32, device=t.device))
    angles = t.float()[:, None] * rates
    return F.pad(torch.cat([angles.cos(), angles.sin()], -1), (0, width % 2))


class TimestepEmbedder(nn.Module):
    def __init__(self, channels: int, width: int = 256) -> None:
        super().__init__()
        self.width = width
        self.mlp = nn.Sequential(nn.Linear(width, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, t: Tensor) -> Tensor:
        return self.mlp(timestep_embedding(t, self.width))


class FeedForward(nn.Module):
    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        self.inner = inner = int(channels * ratio)
        self.mlp = nn.Sequential(nn.Linear(channels, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, channels))

    def forward(self, x: Tensor) -> Tensor:
        return sparse.by_rows(self.mlp, x.flatten(0, -2), 2 * self.inner).view_as(x)


class SelfAttention(nn.Module):
    """Self-attention over a dense (b, n, c) sequence, over all rows of each batch item, or inside windows."""

    def __init__(
        self, channels: int, heads: int, qk_rms_norm: bool = False, window: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.q_rms_norm = HeadRmsNorm(channels // heads, heads) if qk_rms_norm else None
        self.k_rms_norm = HeadRmsNorm(channels // heads, heads) if qk_rms_norm else None
        self.to_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, voxels: Voxels | None = None, rotation: Rotation | None = None) -> Tensor:
        qkv = self.to_qkv(x).unflatten(-1, (3, self.heads, -1))
        if rotation is not None:
            qkv = self._rotated(qkv, rotation)
        if self.window and voxels is not None:
            return self.to_out(sparse.window_attention(qkv, voxels.windows(*self.window)).flatten(-2))
        q, k, v = qkv.unbind(-3)
        if rotation is None and self.q_rms_norm is not None and self.k_rms_norm is not None:
            q, k = head_rms_norm(qkv[..., :2, :, :], self._gammas()).unbind(-3)
        if voxels is None:
            y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)
        else:
            y = sparse.full_attention(q, k, v, voxels.counts)
        return self.to_out(y.flatten(-2))

    def _gammas(self) -> Tensor:
        assert self.q_rms_norm is not None and self.k_rms_norm is not None
        return torch.stack([self.q_rms_norm.gamma, self.k_rms_norm.gamma])

    def _rotated(self, qkv: Tensor, rotation: Rotation) -> Tensor:
        """Queries and keys normed and turned in slices of rows: what that needs in fp32 is larger than they are."""
        gammas = self._gammas() if self.q_rms_norm is not None else None
        row_bytes = qkv.shape[0] ** (qkv.dim() - 4) * 6 * qkv.shape[-2] * qkv.shape[-1] * 4
        step = sparse.limits.block(qkv.device, row_bytes)
        for first in range(0, len(rotation.cos), step):
            part = qkv[..., first : first + step, :2, :, :]
            turned = part if gammas is None else head_rms_norm(part, gammas)
            part.copy_(rotate(turned.transpose(-3, -4), rotation.rows(slice(first, first + step))).transpose(-3, -4))
        return qkv


class CrossAttention(nn.Module):
    """Attention to the picture's tokens. Keys and values do not change during sampling: `keys_values` computes them
    once.
    """

    def __init__(self, channels: int, context: int, heads: int, qk_rms_norm: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels)
        self.to_kv = nn.Linear(context, 2 * channels)
        self.q_rms_norm = HeadRmsNorm(channels // heads, heads) if qk_rms_norm else None
        self.k_rms_norm = HeadRmsNorm(channels // heads, heads) if qk_rms_norm else None
        self.to_out = nn.Linear(channels, channels)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """(b, tokens, context) -> keys and values, each (b, heads, tokens, d)."""
        k, v = self.to_kv(context).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        if self.k_rms_norm is not None:
            k = self.k_rms_norm(k)
        return k.transpose(1, 2), v.transpose(1, 2)

    def without_context(self) -> Tensor:
        """(channels,) what attention to an all-zero context gives for any query: all values are the same bias."""
        return self.to_out(self.to_kv.bias[self.to_q.out_features :])

    def forward(self, x: Tensor, keys_values: tuple[Tensor, Tensor], counts: list[int] | None = None) -> Tensor:
        q = self.to_q(x).unflatten(-1, (self.heads, -1))
        if self.q_rms_norm is not None:
            q = self.q_rms_norm(q)
        k, v = keys_values
        if counts is None:
            y = F.scaled_dot_product_attention(q.transpose(1, 2), k, v).transpose(1, 2)
        else:
            y = sparse.cross_attention(q, k, v, counts)
        return self.to_out(y.flatten(-2))


@dataclass
class Context:
    """The condition of one block. The first batch items have keys and values; the rest has the zero condition, whose
    answer is constant.
    """

    keys_values: tuple[Tensor, Tensor] | None
    constant: Tensor

    @property
    def conditioned(self) -> int:
        return 0 if self.keys_values is None else len(self.keys_values[0])


class DitBlock(nn.Module):
    """Modulated transformer block: self-attention and feed-forward are shifted, scaled and gated by time;
    cross-attention is not.
    """

    def __init__(
        self,
        channels: int,
        context: int,
        heads: int,
        ratio: float,
        qk_rms_norm: bool,
        qk_rms_norm_cross: bool = False,
        share_mod: bool = False,
    ) -> None:
        super().__init__()
        self.share_mod = share_mod
        self.norm1 = LayerNorm32(channels, eps=1e-6, elementwise_affine=False)
        self.norm2 = LayerNorm32(channels, eps=1e-6)
        self.norm3 = LayerNorm32(channels, eps=1e-6, elementwise_affine=False)
        self.self_attn = SelfAttention(channels, heads, qk_rms_norm)
        self.cross_attn = CrossAttention(channels, context, heads, qk_rms_norm_cross)
        self.mlp = FeedForward(channels, ratio)
        if share_mod:
            self.modulation = nn.Parameter(torch.randn(6 * channels) / channels**0.5)
        else:
            self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(channels, 6 * channels))

    def context(self, condition: Tensor | None) -> Context:
        """What this block makes of a condition (b, tokens, context), once for all steps; None is the zero condition."""
        return Context(
            None if condition is None else self.cross_attn.keys_values(condition), self.cross_attn.without_context()
        )

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        context: Context,
        voxels: Voxels | None = None,
        rotation: Rotation | None = None,
    ) -> Tensor:
        """time (b, channels), or (b, 6 channels) where the blocks share one modulation and only add to it."""
        m = (self.modulation + time).to(time.dtype) if self.share_mod else self.adaLN_modulation(time)
        shift1, scale1, gate1, shift2, scale2, gate2 = m.chunk(6, dim=-1)

        def each(values: Tensor) -> Tensor:
            return values[:, None] if voxels is None else values[voxels.batch] if len(values) > 1 else values

        h = self.self_attn(torch.addcmul(each(shift1), self.norm1(x), each(1 + scale1)), voxels, rotation)
        x = torch.addcmul(x, each(gate1), h)
        x = x + self._cross(self.norm2(x), context, voxels)
        h = self.mlp(torch.addcmul(each(shift2), self.norm3(x), each(1 + scale2)))
        return torch.addcmul(x, each(gate2), h)

    def _cross(self, x: Tensor, context: Context, voxels: Voxels | None) -> Tensor:
        if context.keys_values is None:
            return context.constant
        counts = None if voxels is None else voxels.counts[: context.conditioned]
        rows = context.conditioned if counts is None else sum(counts)
        y = self.cross_attn(x[:rows], context.keys_values, counts)
        return y if rows == len(x) else torch.cat([y, context.constant.expand_as(x[rows:])])


class FlowTransformer(MixedPrecision):
    """What both flow transformers have: modulated blocks that attend to the picture.

    `on_block(share)` is called before each block with the share of blocks done; it may raise to stop in the middle of
    an evaluation.
    """

    blocks: nn.ModuleList
    on_block: Callable[[float], None] | None = None

    def contexts(self, condition: Tensor | None) -> list[Context]:
        """What the blocks make of a condition (b, tokens, channels), once for all steps; None is the zero condition."""
        condition = None if condition is None else condition.to(self.dtype)
        return [cast(DitBlock, block).context(condition) for block in self.blocks]

    def run_blocks(
        self,
        x: Tensor,
        time: Tensor,
        contexts: list[Context],
        voxels: Voxels | None = None,
        rotation: Rotation | None = None,
    ) -> Tensor:
        for i, (block, context) in enumerate(zip(self.blocks, contexts, strict=True)):
            if self.on_block:
                self.on_block(i / len(contexts))
            x = block(x, time, context, voxels, rotation)
        return x
