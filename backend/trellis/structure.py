# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse structure: the flow transformer on a dense 16^3 latent, and the decoder to 64^3 occupancy."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn.structure import patchify, unpatchify
from ..nn.transformer import (
    Context,
    DitBlock,
    FlowTransformer,
    TimestepEmbedder,
    position_embedding,
)

# A 3-D pixel shuffle is the same regrouping: channel c * 8 + dx * 4 + dy * 2 + dz goes to (2x + dx, 2y + dy, 2z + dz).


class SparseStructureFlow(FlowTransformer):
    """Velocity of the dense structure latent. x (b, in, r, r, r), t (b,) times 1000, condition (b, tokens,
    cond_channels).
    """

    pos_emb: Tensor

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
        pe_mode: str = "ape",
        qk_rms_norm: bool = False,
        qk_rms_norm_cross: bool = False,
        **_: object,
    ) -> None:
        super().__init__()
        if pe_mode != "ape":
            raise ValueError(f"position encoding {pe_mode!r} is not supported")
        self.patch = patch_size
        side = resolution // patch_size
        grid = torch.cartesian_prod(*[torch.arange(side)] * 3).reshape(-1, 3)
        self.register_buffer("pos_emb", position_embedding(grid, model_channels))
        self.t_embedder = TimestepEmbedder(model_channels)
        self.input_layer = nn.Linear(in_channels * patch_size**3, model_channels)
        self.blocks = nn.ModuleList(
            DitBlock(model_channels, cond_channels, num_heads, mlp_ratio, qk_rms_norm, qk_rms_norm_cross)
            for _ in range(num_blocks)
        )
        self.out_layer = nn.Linear(model_channels, out_channels * patch_size**3)

    def forward(self, x: Tensor, t: Tensor, contexts: list[Context]) -> Tensor:
        x = patchify(x, self.patch)
        size = x.shape[2:]
        h = self.input_layer(x.flatten(2).transpose(1, 2)) + self.pos_emb
        h, time = h.to(self.dtype), self.t_embedder(t).to(self.dtype)
        h = self.run_blocks(h, time, contexts).float()
        h = self.out_layer(F.layer_norm(h, h.shape[-1:]))
        return unpatchify(h.transpose(1, 2).unflatten(2, size), self.patch)
