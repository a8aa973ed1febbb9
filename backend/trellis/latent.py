# SPDX-License-Identifier: GPL-3.0-or-later
"""Structured latent: the flow transformer on the occupied voxels, with residual blocks around one level of
down-sampling.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn import sparse
from ..nn.sparse import Sparse, Voxels
from ..nn.transformer import Context, DitBlock, FlowTransformer, LayerNorm32, TimestepEmbedder, position_embedding


class SparseConv(nn.Module):
    """Holds a sparse convolution's weight (out, k, k, k, in) under the key that the checkpoints use."""

    def __init__(self, channels: int, out_channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = _ConvWeights(channels, out_channels, kernel)

    def forward(self, x: Tensor, voxels: Voxels, source: Tensor | None = None) -> Tensor:
        """`source`: which row of x each voxel takes its features from, see `sparse.conv3`."""
        if self.conv.weight.shape[1] == 1:
            return sparse.conv1(x, self.conv.weight, self.conv.bias)
        return sparse.conv3(x, voxels, self.conv.weight, self.conv.bias, source)


class _ConvWeights(nn.Module):
    half_parameters = True

    def __init__(self, channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        bound = (channels * kernel**3) ** -0.5
        self.weight = nn.Parameter(torch.empty(out_channels, kernel, kernel, kernel, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(out_channels))


class SparseResBlock(nn.Module):
    """Residual block modulated by time. `resample`: 'down' halves, 'up' returns to the finer set, '' stays."""

    def __init__(self, channels: int, time_channels: int, out_channels: int, resample: str = "") -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = LayerNorm32(channels, eps=1e-6)
        self.norm2 = LayerNorm32(out_channels, eps=1e-6, elementwise_affine=False)
        self.conv1 = SparseConv(channels, out_channels)
        self.conv2 = SparseConv(out_channels, out_channels)
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_channels, 2 * out_channels))
        self.skip_connection = nn.Linear(channels, out_channels) if channels != out_channels else nn.Identity()

    def forward(self, x: Sparse, time: Tensor, fine: Voxels | None = None) -> Sparse:
        if self.resample == "down":
            x = sparse.downsample(x)
        voxels = x.voxels if fine is None else fine
        # Norm, activation, skip and the convolution's products act on each row alone: on the way up they are done on
        # the few coarse rows.
        h, skip, parents = F.silu(self.norm1(x.feats)), self.skip_connection(x.feats), None
        if fine is not None:
            parents, skip = fine.coarse[1], sparse.upsample(skip, fine)
        h = self.conv1(h, voxels, parents)
        m = self.emb_layers(time)
        scale, shift = (m[voxels.batch] if len(m) > 1 else m).chunk(2, dim=-1)
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        return Sparse(self.conv2(F.silu(h), voxels) + skip, voxels)


class SlatFlow(FlowTransformer):
    """Velocity of the structured latent. x Sparse (n, in), t (b,) times 1000, condition (b, tokens, cond_channels)."""

    half_parts = ("input_blocks", "blocks", "out_blocks")

    def __init__(
        self,
        resolution: int,
        in_channels: int,
        model_channels: int,
        cond_channels: int,
        out_channels: int,
        num_blocks: int,
        num_heads: int,
        mlp_ratio: float = 4,
        patch_size: int = 2,
        num_io_res_blocks: int = 2,
        io_block_channels: list[int] | None = None,
        pe_mode: str = "ape",
        use_skip_connection: bool = True,
        qk_rms_norm: bool = False,
        qk_rms_norm_cross: bool = False,
        **_: object,
    ) -> None:
        super().__init__()
        widths = list(io_block_channels or [])
        pairs = list(zip(widths, [*widths[1:], model_channels], strict=True)) if widths else []
        outer = widths[0] if widths else model_channels
        if pe_mode != "ape" or not use_skip_connection or patch_size != 2 ** len(widths):
            raise ValueError("only absolute positions, skip connections and one block width per halving are supported")
        self.t_embedder = TimestepEmbedder(model_channels)
        self.input_layer = nn.Linear(in_channels, outer)
        self.input_blocks = nn.ModuleList()
        for width, wider in pairs:
            self.input_blocks.extend(SparseResBlock(width, model_channels, width) for _ in range(num_io_res_blocks - 1))
            self.input_blocks.append(SparseResBlock(width, model_channels, wider, "down"))
        self.blocks = nn.ModuleList(
            DitBlock(model_channels, cond_channels, num_heads, mlp_ratio, qk_rms_norm, qk_rms_norm_cross)
            for _ in range(num_blocks)
        )
        self.out_blocks = nn.ModuleList()
        for width, wider in reversed(pairs):
            self.out_blocks.append(SparseResBlock(2 * wider, model_channels, width, "up"))
            self.out_blocks.extend(
                SparseResBlock(2 * width, model_channels, width) for _ in range(num_io_res_blocks - 1)
            )
        self.out_layer = nn.Linear(outer, out_channels)

    def forward(self, x: Sparse, t: Tensor, contexts: list[Context]) -> Sparse:
        h = x.replace(self.input_layer(x.feats).to(self.dtype))
        time = self.t_embedder(t).to(self.dtype)
        skips = []
        for block in self.input_blocks:
            h = block(h, time)
            skips.append(h)
        feats = h.feats + position_embedding(h.voxels.coords[:, 1:], h.feats.shape[1]).to(self.dtype)
        h = h.replace(self.run_blocks(feats, time, contexts, h.voxels))
        for block in self.out_blocks:
            skip = skips.pop()
            joined = h.replace(torch.cat([h.feats, skip.feats], -1))
            finer = skips[-1] if skips else x
            h = block(joined, time, finer.voxels if block.resample == "up" else None)
        feats = F.layer_norm(h.feats, h.feats.shape[-1:])  # on half precision data, unlike in the structure flow
        return x.replace(self.out_layer(feats.float()))
