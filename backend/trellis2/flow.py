# SPDX-License-Identifier: GPL-3.0-or-later
"""The flow transformers: one on the dense latent of the sparse structure, one on the latents of occupied voxels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn.rotary import voxel_rotation
from ..nn.sparse import Sparse
from ..nn.transformer import Context, DitBlock, FlowTransformer, TimestepEmbedder


class Flow(FlowTransformer):
    """What both have: rotary positions in self-attention; with share_mod one modulation that the blocks only add to."""

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
        pe_mode: str = "rope",
        rope_freq: tuple[float, float] = (1.0, 10000.0),
        share_mod: bool = False,
        qk_rms_norm: bool = False,
        qk_rms_norm_cross: bool = False,
        **_: object,
    ) -> None:
        super().__init__()
        if pe_mode != "rope":
            raise ValueError(f"position encoding {pe_mode!r} is not supported")
        self.resolution, self.in_channels, self.out_channels = resolution, in_channels, out_channels
        self.head_width, self.rope_freq = model_channels // num_heads, (rope_freq[0], rope_freq[1])
        self.t_embedder = TimestepEmbedder(model_channels)
        if share_mod:
            self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(model_channels, 6 * model_channels))
        self.input_layer = nn.Linear(in_channels, model_channels)
        self.blocks = nn.ModuleList(
            DitBlock(model_channels, cond_channels, num_heads, mlp_ratio, qk_rms_norm, qk_rms_norm_cross, share_mod)
            for _ in range(num_blocks)
        )
        self.out_layer = nn.Linear(model_channels, out_channels)
        self.share_mod = share_mod

    def time(self, t: Tensor) -> Tensor:
        """What the blocks are modulated with: (b,) times multiplied by 1000 -> (b, channels or 6 channels)."""
        embedded = self.t_embedder(t)
        return (self.adaLN_modulation(embedded) if self.share_mod else embedded).to(self.dtype)

    def answer(self, h: Tensor) -> Tensor:
        h = h.float()
        return self.out_layer(F.layer_norm(h, h.shape[-1:]))


class SparseStructureFlow(Flow):
    """Velocity of the dense structure latent: x (b, in, r, r, r), t (b,) times 1000 -> (b, out, r, r, r)."""

    def forward(self, x: Tensor, t: Tensor, contexts: list[Context]) -> Tensor:
        size = x.shape[2:]
        grid = torch.cartesian_prod(*(torch.arange(side, device=x.device) for side in size)).view(-1, 3)
        h = self.input_layer(x.flatten(2).transpose(1, 2)).to(self.dtype)
        rotation = voxel_rotation(grid, self.head_width, self.rope_freq)
        h = self.run_blocks(h, self.time(t), contexts, rotation=rotation)
        return self.answer(h).transpose(1, 2).unflatten(2, size)


class LatentFlow(Flow):
    """Velocity of voxel latents: x Sparse (n, out), t (b,) times 1000.

    beside (n, in - out): what is known of each voxel already, put behind x (the texture flow is shown the shape).
    """

    def forward(self, x: Sparse, t: Tensor, contexts: list[Context], beside: Tensor | None = None) -> Sparse:
        feats = x.feats if beside is None else torch.cat([x.feats, beside], -1)
        h = self.input_layer(feats).to(self.dtype)
        rotation = voxel_rotation(x.voxels.coords[:, 1:], self.head_width, self.rope_freq)
        h = self.run_blocks(h, self.time(t), contexts, x.voxels, rotation)
        return x.replace(self.answer(h))
