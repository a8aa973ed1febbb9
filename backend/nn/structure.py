# SPDX-License-Identifier: GPL-3.0-or-later
"""Dense grids of voxels, and the decoder of the sparse structure that both generations of TRELLIS use."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import MixedPrecision
from .transformer import ChannelLayerNorm32


def patchify(x: Tensor, patch: int) -> Tensor:
    """(b, c, x, y, z) -> (b, c * p^3, x/p, y/p, z/p), channel index c * p^3 + px * p^2 + py * p + pz."""
    b, c, *size = x.shape
    nx, ny, nz = (s // patch for s in size)
    x = x.view(b, c, nx, patch, ny, patch, nz, patch).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(b, c * patch**3, nx, ny, nz)


def unpatchify(x: Tensor, patch: int) -> Tensor:
    """The inverse of `patchify`."""
    b, c, nx, ny, nz = x.shape
    x = x.view(b, c // patch**3, patch, patch, patch, nx, ny, nz).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(b, c // patch**3, nx * patch, ny * patch, nz * patch)


# A 3-D pixel shuffle is the same regrouping: channel c * 8 + dx * 4 + dy * 2 + dz goes to (2x + dx, 2y + dy, 2z + dz).
pixel_shuffle = unpatchify


class ResBlock3d(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = ChannelLayerNorm32(channels)
        self.norm2 = ChannelLayerNorm32(channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class Upsample3d(nn.Module):
    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, out_channels * 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return pixel_shuffle(self.conv(x), 2)


class SparseStructureDecoder(MixedPrecision):
    """Latent (b, latent, 16, 16, 16) -> occupancy logits (b, 1, 64, 64, 64)."""

    half_parts = ("middle_block", "blocks")

    def __init__(
        self,
        out_channels: int,
        latent_channels: int,
        num_res_blocks: int,
        channels: list[int],
        num_res_blocks_middle: int = 2,
        norm_type: str = "layer",
        **_: object,
    ) -> None:
        super().__init__()
        if norm_type != "layer":
            raise ValueError(f"norm {norm_type!r} is not supported")
        self.input_layer = nn.Conv3d(latent_channels, channels[0], 3, padding=1)
        self.middle_block = nn.Sequential(*(ResBlock3d(channels[0]) for _ in range(num_res_blocks_middle)))
        blocks: list[nn.Module] = []
        for level, width in enumerate(channels):
            blocks += [ResBlock3d(width) for _ in range(num_res_blocks)]
            if level + 1 < len(channels):
                blocks.append(Upsample3d(width, channels[level + 1]))
        self.blocks = nn.ModuleList(blocks)
        self.out_layer = nn.Sequential(
            ChannelLayerNorm32(channels[-1]), nn.SiLU(), nn.Conv3d(channels[-1], out_channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.middle_block(self.input_layer(x).to(self.dtype))
        for block in self.blocks:
            h = block(h)
        return self.out_layer(h.float())


def occupied(logits: Tensor) -> Tensor:
    """(n, 4) int32 (b, x, y, z) of logits > 0, in lexicographic order."""
    return torch.argwhere(logits[:, 0] > 0).int()
