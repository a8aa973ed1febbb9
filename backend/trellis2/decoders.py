# SPDX-License-Identifier: GPL-3.0-or-later
"""From voxel latents to fine voxels: sparse convolutional decoders that decide level by level which children exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import BackendError
from ..nn import sparse
from ..nn.precision import MixedPrecision
from ..nn.sparse import Sparse, Voxels
from ..nn.transformer import LayerNorm32


class SparseConv(nn.Module):
    """Submanifold convolution with kernel 3, weight (out, 3, 3, 3, in)."""

    half_parameters = True

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        bound = (channels * 27) ** -0.5
        self.weight = nn.Parameter(torch.empty(out_channels, 3, 3, 3, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, voxels: Voxels) -> Tensor:
        return sparse.conv3(x, voxels, self.weight, self.bias)


class ConvNextBlock(nn.Module):
    """Convolution, norm and a feed-forward of four times the width, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = LayerNorm32(channels, eps=1e-6)
        self.conv = SparseConv(channels, channels)
        silu = nn.SiLU(inplace=True)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), silu, nn.Linear(4 * channels, channels))

    def forward(self, x: Sparse) -> Sparse:
        h = self.conv(x.feats, x.voxels)
        return x.replace(sparse.by_rows(lambda rows: self.mlp(self.norm(rows)), h, 8 * h.shape[1], out=h).add_(x.feats))


class UpBlock(nn.Module):
    """Doubles the resolution. Which children of a voxel exist is predicted from its features, or told."""

    def __init__(self, channels: int, out_channels: int, pred_subdiv: bool = True) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.norm1 = LayerNorm32(channels, eps=1e-6)
        self.norm2 = LayerNorm32(out_channels, eps=1e-6, elementwise_affine=False)
        self.conv1 = SparseConv(channels, 8 * out_channels)
        self.conv2 = SparseConv(out_channels, out_channels)
        if pred_subdiv:
            self.to_subdiv = nn.Linear(channels, 8)

    def logits(self, x: Sparse) -> Tensor:
        """(n, 8): child r exists where it is above 0."""
        return self.to_subdiv(x.feats)

    def forward(self, x: Sparse, fine: Voxels) -> Sparse:
        """`fine`: the children that exist, made by `x.voxels.children`."""
        assert fine.origin is not None and fine.origin.mask is not None
        mask = fine.origin.mask
        h = _normed(self.norm1, x.feats)
        h = sparse.conv3_children(h, x.voxels, self.conv1.weight, self.conv1.bias, mask)
        h = self.conv2(_normed(self.norm2, h, out=h), fine)
        # Child r copies slice r of its parent, every channel as often as the widths ask for.
        skip = x.feats.reshape(8 * len(mask), -1).index_select(0, mask.flatten().nonzero()[:, 0])
        return Sparse(h.unflatten(1, (skip.shape[1], -1)).add_(skip[:, :, None]).flatten(1), fine)


@dataclass
class Decoded:
    """feats (n, out) of the finest set; the set that each doubling gave; the parents' logits (n, 8) if predicted."""

    feats: Tensor
    logits: list[Tensor]
    levels: list[Voxels]


class SparseDecoder(MixedPrecision):
    """Latents (n, latent) -> fine voxels, 2^levels times the resolution, with out_channels each.

    Inner layers may be in half precision; the first and the last layer are not. `on_block(share)` is called before
    each block and may raise to stop.
    """

    on_block: Callable[[float], None] | None = None

    def __init__(
        self,
        model_channels: list[int],
        latent_channels: int,
        num_blocks: list[int],
        out_channels: int,
        pred_subdiv: bool = True,
        block_type: list[str] | None = None,
        up_block_type: list[str] | None = None,
        **_: object,
    ) -> None:
        super().__init__()
        kinds = {*(block_type or []), *(up_block_type or [])} - {"SparseConvNeXtBlock3d", "SparseResBlockC2S3d"}
        if kinds:
            raise ValueError(f"blocks of the kind {sorted(kinds)[0]!r} are not supported")
        self.pred_subdiv = pred_subdiv
        self.from_latent = nn.Linear(latent_channels, model_channels[0])
        self.blocks = nn.ModuleList()
        for level, (width, count) in enumerate(zip(model_channels, num_blocks, strict=True)):
            blocks: list[nn.Module] = [ConvNextBlock(width) for _ in range(count)]
            if level + 1 < len(model_channels):
                blocks.append(UpBlock(width, model_channels[level + 1], pred_subdiv))
            self.blocks.append(nn.ModuleList(blocks))
        self.output_layer = nn.Linear(model_channels[-1], out_channels)

    @property
    def levels(self) -> int:
        """How often the resolution is doubled."""
        return len(self.blocks) - 1

    def forward(self, x: Sparse, told: list[Voxels] | None = None) -> Decoded:
        """told: the finer sets level by level, as another decoder found them; they must be made from `x.voxels`.

        Raises BackendError("empty_structure").
        """
        h, logits, levels = x.replace(self.from_latent(x.feats).to(self.dtype)), [], []
        for level in range(self.levels):
            h = self._within(h, level)
            up = self._up(level)
            if told is None:
                logits.append(up.logits(h))
                levels.append(_children(h.voxels, logits[-1]))
            else:
                levels.append(told[level])
            h = up(h, levels[-1])
        h = self._within(h, self.levels)
        return Decoded(self._answer(h.feats), logits, levels)

    def subdivide(self, x: Sparse, levels: int) -> Voxels:
        """Only which voxels exist after so many doublings: the last level's features are never computed.

        Raises BackendError("empty_structure").
        """
        h = x.replace(self.from_latent(x.feats).to(self.dtype))
        for level in range(levels):
            h = self._within(h, level)
            up = self._up(level)
            fine = _children(h.voxels, up.logits(h))
            if level + 1 < levels:
                h = up(h, fine)
        return fine

    def _within(self, h: Sparse, level: int) -> Sparse:
        done = sum(len(cast(nn.ModuleList, blocks)) for blocks in self.blocks[:level])
        total = sum(len(cast(nn.ModuleList, blocks)) for blocks in self.blocks)
        for i, block in enumerate(cast(nn.ModuleList, self.blocks[level])):
            if self.on_block:
                self.on_block((done + i) / total)
            if isinstance(block, ConvNextBlock):
                h = block(h)
        return h

    def _up(self, level: int) -> UpBlock:
        return cast(UpBlock, cast(nn.ModuleList, self.blocks[level])[-1])

    def _answer(self, feats: Tensor) -> Tensor:
        def last(rows: Tensor) -> Tensor:
            rows = rows.float()
            return self.output_layer(F.layer_norm(rows, rows.shape[-1:]))

        out = feats.new_empty(len(feats), self.output_layer.out_features, dtype=torch.float32)
        step = sparse.limits.rows(3 * 4 * feats.shape[1])
        for first in range(0, len(feats), step):
            out[first : first + step] = last(feats[first : first + step])
        return out


class ShapeDecoder(SparseDecoder):
    """Seven channels a fine voxel, see `dual_grid`; the description need not say so."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"out_channels": 7} | kwargs)


class TextureDecoder(SparseDecoder):
    """Six channels a fine voxel, halved and moved by 1/2: base colour, metallic, roughness, alpha. They may leave
    0..1.
    """

    def attributes(self, feats: Tensor) -> Tensor:
        return feats * 0.5 + 0.5


def _normed(norm: nn.Module, x: Tensor, out: Tensor | None = None) -> Tensor:
    return sparse.by_rows(lambda rows: F.silu(norm(rows), inplace=True), x, 3 * x.shape[1], out)


def _children(voxels: Voxels, logits: Tensor) -> Voxels:
    fine = voxels.children(logits > 0)
    if not len(fine):
        raise BackendError(
            "empty_structure", "TRELLIS.2 made no surface from this picture.", "Try another seed or a clearer picture."
        )
    return fine
