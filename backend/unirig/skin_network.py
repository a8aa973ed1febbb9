# SPDX-License-Identifier: GPL-3.0-or-later
"""UniRig's skin network: sampled points and joints to weights (shared/reference/unirig.md 7).

A perceiver sees the whole shape, a point transformer each point, bone tokens look at the shape, points look at bones
and shape; a small head turns how well point and bone fit, together with the geodesic feature, into a weight. Half
precision leaves residuals, norms and softmax in fp32 and the point transformer altogether.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn.point_encoder import EncoderConfig, Linear, MeshEncoder, fourier
from ..nn.precision import MixedPrecision
from .ptv3 import Points, PointTransformer
from .submanifold import Rule

BONE_FREQUENCIES = 6
PAIRS = 1 << 16  # pairs of point and bone that the head looks at in one go; bounds its memory


class Norm(nn.LayerNorm):
    """Answers in its input's precision; the statistics are fp32 inside."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


def normed(*widths: int) -> list[nn.Module]:
    """Linear, layer norm, GELU from each width to the next."""
    return [layer for a, b in pairwise(widths) for layer in (Linear(a, b), Norm(b), nn.GELU())]


class CrossAttention(nn.Module):
    """Rows of `Wkv` are all keys, then all values, heads first."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.Wq = Linear(channels, channels)
        self.Wkv = Linear(channels, 2 * channels)
        self.out_proj = Linear(channels, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q = self.Wq(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.Wkv(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class CrossBlock(nn.Module):
    """Post-norm: x (b, n, c) fp32 attends to context (b, m, c), then a feed-forward network."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.attention = CrossAttention(channels, heads)
        self.ffn = nn.Sequential(Linear(channels, 4 * channels), nn.GELU(), Linear(4 * channels, channels))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = self.norm1(x + self.attention(x, context))
        return self.norm2(x + self.ffn(x))


class BoneEncoder(nn.Module):
    """Joints (b, j, 3) to tokens (b, j, feat)."""

    def __init__(self, feat: int, embed: int, heads: int, layers: int) -> None:
        super().__init__()
        self.bone_encoder = nn.Sequential(nn.Identity(), *normed(3 + 6 * BONE_FREQUENCIES, embed, 4 * embed, feat))
        self.attn = nn.ModuleList([CrossBlock(feat, heads) for _ in range(layers)])

    def embed(self, joints: Tensor, low: Tensor) -> Tensor:
        """Tokens that know their joint alone. low (b, 3): the least coordinates of the points."""
        return self.bone_encoder(fourier(joints - low[:, None], BONE_FREQUENCIES, include_pi=True)).float()

    def forward(self, joints: Tensor, low: Tensor, latents: Tensor) -> Tensor:
        tokens = self.embed(joints, low)
        context = torch.cat([tokens, latents], 1)  # what the bones see stays as it was first
        for block in self.attn:
            tokens = block(tokens, context)
        return tokens


class WeightHead(nn.Module):
    """(..., channels) to (..., 1)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(*normed(channels, hidden, hidden, hidden, hidden), Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).float()


class SkinNetwork(MixedPrecision):
    """Parameters are named as in the configuration of the original; defaults are the released sizes."""

    half_parts = (
        "global_encoder",
        "out_proj",
        "bone_encoder",
        "mesh_bone_attn",
        "qmesh",
        "kmesh",
        "downscale",
        "skinweight_pred",
    )

    def __init__(
        self,
        feat_dim: int = 768,
        num_heads: int = 16,
        grid_size: float = 0.005,
        mlp_dim: int = 512,
        num_bone_attn: int = 8,
        num_mesh_bone_attn: int = 16,
        bone_embed_dim: int = 1024,
        voxel_mask: float = 3.0,
        mesh_encoder: dict[str, Any] | None = None,
        global_encoder: EncoderConfig | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.cell, self.mask_power = num_heads, grid_size, voxel_mask
        self.mesh_encoder = PointTransformer(**(mesh_encoder or {}))
        self.global_encoder = MeshEncoder(global_encoder)
        self.feat_map = nn.Sequential(*normed(self.mesh_encoder.channels, feat_dim))
        self.out_proj = nn.Sequential(*normed(self.global_encoder.encoder.config.width, feat_dim))
        self.bone_encoder = BoneEncoder(feat_dim, bone_embed_dim, num_heads, num_bone_attn)
        self.mesh_bone_attn = nn.ModuleList([CrossBlock(feat_dim, num_heads) for _ in range(num_mesh_bone_attn)])
        self.qmesh = Linear(feat_dim, feat_dim * num_heads)
        self.kmesh = Linear(feat_dim, feat_dim * num_heads)
        self.voxel_skin_embed = nn.Linear(1, num_heads)
        self.voxel_skin_norm = nn.LayerNorm(num_heads)
        self.attn_skin_norm = nn.LayerNorm(num_heads)
        self.downscale = nn.Sequential(*normed(2 * num_heads, num_heads))
        self.skinweight_pred = WeightHead(num_heads, mlp_dim)

    def latents(self, points: Tensor, normals: Tensor) -> Tensor:
        """(b, tokens, feat) what the whole shape looks like."""
        return self.out_proj(self.global_encoder(points, normals)).float()

    def place(
        self,
        points: Tensor,
        rules: tuple[Rule, Rule] | None = None,
        permutation: Tensor | None = None,
        orders: Tensor | None = None,
    ) -> Points:
        """The point transformer's cells and curves for points (b, n, 3)."""
        return self.mesh_encoder.points(
            points.flatten(0, 1), [points.shape[1]] * len(points), self.cell, rules, permutation, orders
        )

    def point_features(self, points: Tensor, normals: Tensor, placed: Points) -> Tensor:
        """(b, n, feat)."""
        features = torch.cat([points, normals, torch.zeros_like(points)], -1)
        return self.feat_map(self.mesh_encoder(features.flatten(0, 1), placed)).unflatten(0, points.shape[:2])

    def fit(self, points: Tensor, bones: Tensor) -> Callable[[slice], Tensor]:
        """A function of a range of points that gives how well they fit each bone, (b, n, j, heads): attention over
        the bones per head.

        The product of a point's query with a bone's key is linear in the point's features, so both projections become
        one narrow matrix per bone and no query is ever computed.
        """
        width = points.shape[-1]
        keys = self.kmesh(bones).unflatten(-1, (self.heads, width))
        query = self.qmesh.weight.view(self.heads, width, width)
        matrix = torch.einsum("bjhd,hdc->bcjh", keys, query).flatten(2)
        offset = torch.einsum("bjhd,hd->bjh", keys, self.qmesh.bias.view(self.heads, width)).flatten(1)

        def attention(rows: slice) -> Tensor:
            scores = torch.baddbmm(offset[:, None], points[:, rows].to(self.dtype), matrix).float()
            return F.softmax(scores.unflatten(-1, (-1, self.heads)) / math.sqrt(width), dim=2)

        return attention

    def pair_features(self, fit: Tensor, geodesic: Tensor) -> Tensor:
        """fit (b, n, j, heads), geodesic (b, n, j) -> (b, n, j, heads) what the head knows of a point and a bone."""
        embedded = self.voxel_skin_norm(self.voxel_skin_embed(geodesic[..., None]))
        return self.downscale(torch.cat([self.attn_skin_norm(fit), embedded], -1))

    def forward(
        self,
        points: Tensor,
        normals: Tensor,
        joints: Tensor,
        parents: Tensor,
        geodesic: Tensor,
        bone_counts: list[int] | None = None,
        placed: Points | None = None,
        progress: Callable[[float], None] = lambda fraction: None,
    ) -> Tensor:
        """points, normals (b, n, 3), joints (b, j, 3), parents (b, j) with -1 for a root, geodesic (b, n, j) ->
        weights (b, n, j), rows sum to 1. Bones from bone_counts on are padding: they are seen, as in the original,
        and get no weight. Everything fp32.
        """
        latents = self.latents(points, normals)
        progress(0.1)
        features = self.point_features(points, normals, placed or self.place(points))
        progress(0.4)
        bones = self.bone_encoder(joints, points.amin(1), latents)
        context = torch.cat([bones, latents], 1)
        for i, block in enumerate(self.mesh_bone_attn):
            features = block(features, context)
            progress(0.4 + 0.4 * (i + 1) / len(self.mesh_bone_attn))
        fit = self.fit(features, bones)
        counts = torch.tensor(bone_counts or [joints.shape[1]] * len(joints), device=joints.device)
        padding = torch.arange(joints.shape[1], device=joints.device) >= counts[:, None]
        out = torch.empty_like(geodesic)
        chunk = max(1, PAIRS // (len(joints) * joints.shape[1]))
        for start in range(0, points.shape[1], chunk):
            rows = slice(start, start + chunk)
            near = geodesic[:, rows]
            scores = self.skinweight_pred(self.pair_features(fit(rows), near))[..., 0].masked_fill(
                padding[:, None], -torch.inf
            )
            out[:, rows] = self.masked(F.softmax(scores, -1), near, parents)
            progress(0.8 + 0.2 * min(1.0, rows.stop / points.shape[1]))
        return out

    def masked(self, weights: Tensor, geodesic: Tensor, parents: Tensor) -> Tensor:
        """Weights (b, n, j) times a power of the geodesic feature of each bone and its children, normalised. A row
        that the feature rules out altogether stays as the network gave it.
        """
        children = torch.zeros_like(geodesic[:, 0]).unsqueeze(1).expand(-1, parents.shape[1], -1).clone()
        batch, child = torch.nonzero(parents >= 0, as_tuple=True)
        children[batch, child, parents[batch, child]] = 1
        near = (geodesic + geodesic @ children).pow(self.mask_power) * weights
        total = near.sum(-1, keepdim=True)
        return torch.where(total > 0, near / total, weights)


SETTINGS = (
    "feat_dim",
    "num_heads",
    "grid_size",
    "mlp_dim",
    "num_bone_attn",
    "num_mesh_bone_attn",
    "bone_embed_dim",
    "voxel_mask",
)
POINT_SETTINGS = (
    "in_channels",
    "enc_depths",
    "enc_channels",
    "enc_num_head",
    "enc_patch_size",
    "enable_qknorm",
    "res_linear",
    "layer_norm",
)


def build(config: dict[str, Any]) -> SkinNetwork:
    """The network of a configuration in the original's names; {} is the released one. Entries that change no result
    are ignored.
    """
    settings = {name: value for name, value in config.items() if name in SETTINGS}
    points = {name: value for name, value in config.get("mesh_encoder", {}).items() if name in POINT_SETTINGS}
    return SkinNetwork(
        **settings, mesh_encoder=points, global_encoder=EncoderConfig.of(config.get("global_encoder", {}))
    )


def set_precision(model: SkinNetwork, dtype: torch.dtype) -> None:
    """Half precision for everything but the point transformer, whose attention takes float16 inputs on CUDA."""
    model.set_dtype(dtype)
    model.mesh_encoder.set_half_attention(next(model.parameters()).is_cuda)
