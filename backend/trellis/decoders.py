# SPDX-License-Identifier: GPL-3.0-or-later
"""From the structured latent to gaussians and to the cube features of a mesh: one windowed transformer trunk with two
kinds of heads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn import sparse
from ..nn.precision import MixedPrecision
from ..nn.sparse import Sparse, Voxels
from ..nn.transformer import FeedForward, LayerNorm32, SelfAttention, position_embedding
from .cameras import hammersley
from .latent import SparseConv

SH_C0 = 0.28209479177387814  # the constant spherical harmonic


class SwinBlock(nn.Module):
    def __init__(self, channels: int, heads: int, ratio: float, window: tuple[int, int]) -> None:
        super().__init__()
        self.norm1 = LayerNorm32(channels, eps=1e-6, elementwise_affine=False)
        self.norm2 = LayerNorm32(channels, eps=1e-6, elementwise_affine=False)
        self.attn = SelfAttention(channels, heads, window=window)
        self.mlp = FeedForward(channels, ratio)

    def forward(self, x: Tensor, voxels: Voxels) -> Tensor:
        x = x + self.attn(self.norm1(x), voxels)
        return x + self.mlp(self.norm2(x))


class Trunk(MixedPrecision):
    """Latent (n, latent) on 64^3 voxels -> features (n, model). Every second block's windows are moved by half a
    window.
    """

    def __init__(
        self,
        resolution: int,
        model_channels: int,
        latent_channels: int,
        num_blocks: int,
        num_heads: int,
        mlp_ratio: float = 4,
        attn_mode: str = "swin",
        window_size: int = 8,
        pe_mode: str = "ape",
        **_: object,
    ) -> None:
        super().__init__()
        if attn_mode != "swin" or pe_mode != "ape":
            raise ValueError(f"attention {attn_mode!r} with positions {pe_mode!r} is not supported")
        self.resolution = resolution
        self.input_layer = nn.Linear(latent_channels, model_channels)
        self.blocks = nn.ModuleList(
            SwinBlock(model_channels, num_heads, mlp_ratio, (window_size, window_size // 2 * (i % 2)))
            for i in range(num_blocks)
        )

    def trunk(self, x: Sparse) -> Tensor:
        h = self.input_layer(x.feats)
        h = (h + position_embedding(x.voxels.coords[:, 1:], h.shape[1])).to(self.dtype)
        for block in self.blocks:
            h = block(h, x.voxels)
        return h


@dataclass
class Gaussians:
    """One item's gaussians, world axes (Z up, [-0.5, 0.5]^3). Raw values are the network's, the others are activated.

    xyz (g, 3), colour (g, 3) >= 0, scaling (g, 3), rotation (g, 4) unit (w, x, y, z), opacity (g, 1) in 0..1.
    """

    xyz: Tensor
    features_dc: Tensor
    scaling: Tensor
    rotation: Tensor
    opacity: Tensor
    raw: dict[str, Tensor]

    @property
    def colour(self) -> Tensor:
        return (0.5 + SH_C0 * self.features_dc[:, 0]).clamp(min=0)


def offset_perturbation(count: int, voxel_size: float) -> Tensor:
    """(count, 3) where a voxel's gaussians start: a Hammersley set, so that they spread evenly before the network
    moves them.
    """
    points = torch.tensor([hammersley(i, count) for i in range(count)])
    return torch.atanh((2 * points - 1) / voxel_size)


class GaussianDecoder(Trunk):
    """Latent -> gaussians, `num_gaussians` a voxel."""

    def __init__(self, representation_config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = representation_config
        self.count = representation_config["num_gaussians"]
        self.layout = {"xyz": (3,), "features_dc": (1, 3), "scaling": (3,), "rotation": (4,), "opacity": (1,)}
        self.out_layer = nn.Linear(
            kwargs["model_channels"], self.count * sum(math.prod(shape) for shape in self.layout.values())
        )
        self.register_buffer(
            "offset_perturbation", offset_perturbation(self.count, representation_config["voxel_size"])
        )

    def forward(self, x: Sparse) -> Tensor:
        h = self.trunk(x).float()
        return self.out_layer(F.layer_norm(h, h.shape[-1:]))

    def gaussians(self, x: Sparse, feats: Tensor) -> list[Gaussians]:
        """The decoded channels (n, out) as one set of gaussians per batch item."""
        raw, start = {}, 0
        for name, shape in self.layout.items():
            width = self.count * math.prod(shape)
            values = feats[:, start : start + width].unflatten(1, (self.count, *shape))
            raw[name] = values * self.config["lr"][f"_{name}"]
            start += width
        offset = raw["xyz"] + (self.offset_perturbation if self.config["perturb_offset"] else 0)
        reach = 0.5 * self.config["voxel_size"] / self.resolution
        centre = (x.voxels.coords[:, 1:].float() + 0.5) / self.resolution
        raw["xyz"] = centre[:, None] + torch.tanh(offset) * reach
        per_item = {
            name: values.flatten(0, 1).split([n * self.count for n in x.voxels.counts]) for name, values in raw.items()
        }
        return [
            self._activate({name: parts[i] for name, parts in per_item.items()}) for i in range(len(x.voxels.counts))
        ]

    def _activate(self, raw: dict[str, Tensor]) -> Gaussians:
        c = self.config
        if c["scaling_activation"] == "softplus":
            activated = F.softplus(raw["scaling"] + c["scaling_bias"] + math.log(-math.expm1(-c["scaling_bias"])))
        elif c["scaling_activation"] == "exp":
            activated = torch.exp(raw["scaling"] + math.log(c["scaling_bias"]))
        else:
            raise ValueError(f"scaling activation {c['scaling_activation']!r} is not supported")
        opacity_bias = math.log(c["opacity_bias"] / (1 - c["opacity_bias"]))
        scaling = torch.sqrt(activated**2 + c["3d_filter_kernel_size"] ** 2)
        rotation = F.normalize(raw["rotation"] + raw["rotation"].new_tensor([1, 0, 0, 0]), dim=-1)
        opacity = torch.sigmoid(raw["opacity"] + opacity_bias)
        return Gaussians(raw["xyz"] - 0.5, raw["features_dc"], scaling, rotation, opacity, raw)


class GroupNorm(nn.Module):
    """The scale and offset of a sparse group norm."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, voxels: Voxels) -> Tensor:
        return sparse.group_norm(x, voxels, self.groups, self.weight, self.bias)


class SubdivideBlock(nn.Module):
    """Doubles the resolution: every voxel becomes eight, then two convolutions tell them apart."""

    def __init__(self, channels: int, out_channels: int, groups: int = 32) -> None:
        super().__init__()
        # nn.SiLU in the lists only keeps the checkpoint's numbering of the layers around it.
        self.act_layers = nn.ModuleList([GroupNorm(channels, groups), nn.SiLU()])
        self.out_layers = nn.ModuleList(
            [
                SparseConv(channels, out_channels),
                GroupNorm(out_channels, groups),
                nn.SiLU(),
                SparseConv(out_channels, out_channels),
            ]
        )
        self.skip_connection = SparseConv(channels, out_channels, 1) if channels != out_channels else None

    def forward(self, x: Sparse) -> Sparse:
        fine = x.voxels.subdivided
        # Group norm, activation, kernel-1 skip and a convolution's products commute with copying a row eight times:
        # done on the parents.
        parents = torch.arange(len(x.feats), device=fine.device).repeat_interleave(8)
        h = self.out_layers[0](F.silu(self.act_layers[0](x.feats, x.voxels), inplace=True), fine, parents)
        h = self.out_layers[3](F.silu(self.out_layers[1](h, fine), inplace=True), fine)
        skip = x.feats if self.skip_connection is None else self.skip_connection(x.feats, x.voxels)
        return Sparse(h.unflatten(0, (len(skip), 8)).add_(skip[:, None]).flatten(0, 1), fine)


class MeshDecoder(Trunk):
    """Latent on 64^3 -> cube features on 256^3: sdf 8, deformation 24, weights 21, colour 48 (absent without
    colour).
    """

    half_parts = ("blocks", "upsample")

    def __init__(
        self, representation_config: dict[str, Any] | None = None, num_groups: int = 32, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        width = kwargs["model_channels"]
        self.use_colour = bool((representation_config or {}).get("use_color", False))
        self.upsample = nn.ModuleList(
            [SubdivideBlock(width, width // 4, num_groups), SubdivideBlock(width // 4, width // 8, num_groups)]
        )
        self.out_layer = nn.Linear(width // 8, 101 if self.use_colour else 53)

    def forward(self, x: Sparse) -> Sparse:
        h = x.replace(self.trunk(x))
        for block in self.upsample:
            h = block(h)
        return h.replace(self.out_layer(h.feats.float()))
