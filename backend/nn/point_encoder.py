# SPDX-License-Identifier: GPL-3.0-or-later
"""The point encoder of UniRig and SkinTokens: a perceiver over points and normals (shared/reference/unirig.md 5; Zhao
et al., Michelangelo, 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

QUERY_SEED = 0
CANDIDATES_PER_TOKEN = 4


@dataclass(frozen=True)
class EncoderConfig:
    """The shipped sizes. `frequencies`: sines and cosines a coordinate; `point_feats`: channels beside the position
    (the normal).
    """

    width: int = 512
    heads: int = 8
    layers: int = 16
    tokens: int = 1024
    frequencies: int = 8
    include_pi: bool = False
    qkv_bias: bool = False
    ln_post: bool = True
    point_feats: int = 3

    @classmethod
    def of(cls, config: dict[str, Any]) -> EncoderConfig:
        """From the original's configuration (`mesh_encoder`); entries that change no result are ignored."""
        names = {
            "width": "width",
            "heads": "heads",
            "num_encoder_layers": "layers",
            "token_num": "tokens",
            "num_freqs": "frequencies",
            "include_pi": "include_pi",
            "qkv_bias": "qkv_bias",
            "use_ln_post": "ln_post",
            "point_feats": "point_feats",
        }
        return cls(**{ours: config[theirs] for theirs, ours in names.items() if theirs in config})


def fourier(x: Tensor, frequencies: int, include_pi: bool = False, include_input: bool = True) -> Tensor:
    """(..., d) -> (..., d + 2 d frequencies): the input, then sines, then cosines, axis by axis, of 2^k x (times pi
    on request).
    """
    rates = 2.0 ** torch.arange(frequencies, dtype=torch.float32, device=x.device)
    if x.device.type == "mps":  # whose sines of large angles are inaccurate
        return fourier(x.cpu(), frequencies, include_pi, include_input).to(x.device)
    angles = (x[..., None] * (rates * math.pi if include_pi else rates)).flatten(-2)
    return torch.cat([x, angles.sin(), angles.cos()] if include_input else [angles.sin(), angles.cos()], -1)


def query_candidates(points: int, tokens: int) -> np.ndarray:
    """(4 tokens,) indices of the points among which queries are chosen. They depend on the numbers only, not on the
    run's seed.
    """
    count = CANDIDATES_PER_TOKEN * tokens
    return np.random.default_rng(QUERY_SEED).choice(points, count, replace=count > points)


def farthest_points(points: Tensor, count: int) -> Tensor:
    """(count,) indices into points (n, 3), each the farthest from those before it; the first is 0, equal distances go
    to the lowest index.

    Computed in fp32 on the processor: the thousand tiny steps would cost a GPU more in launches, and its ties are not
    fixed.
    """
    at = points.detach().float().cpu().numpy()
    distance = np.full(len(at), np.inf, np.float32)
    chosen = np.zeros(count, np.int64)
    for k in range(1, count):
        offset = at - at[chosen[k - 1]]
        np.minimum(distance, (offset * offset).sum(1), out=distance)
        chosen[k] = distance.argmax()
    return torch.from_numpy(chosen).to(points.device)


class Linear(nn.Linear):
    """A linear layer that computes in its weights' precision, whatever comes in; residuals and norms around it stay
    fp32.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = Linear(width, 4 * width)
        self.c_proj = Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x)))


class CrossAttention(nn.Module):
    def __init__(self, c: EncoderConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.c_q = Linear(c.width, c.width, bias=c.qkv_bias)
        self.c_kv = Linear(c.width, 2 * c.width, bias=c.qkv_bias)
        self.c_proj = Linear(c.width, c.width)

    def forward(self, x: Tensor, data: Tensor) -> Tensor:
        q = self.c_q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        # Keys and values alternate head by head along the row.
        k, v = self.c_kv(data).unflatten(-1, (self.heads, -1)).transpose(1, 2).chunk(2, -1)
        return self.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))


class SelfAttention(nn.Module):
    def __init__(self, c: EncoderConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.c_qkv = Linear(c.width, 3 * c.width, bias=c.qkv_bias)
        self.c_proj = Linear(c.width, c.width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.c_qkv(x).unflatten(-1, (self.heads, -1)).transpose(1, 2).chunk(3, -1)
        return self.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))


class CrossBlock(nn.Module):
    def __init__(self, c: EncoderConfig) -> None:
        super().__init__()
        self.attn = CrossAttention(c)
        self.ln_1, self.ln_2, self.ln_3 = (nn.LayerNorm(c.width) for _ in range(3))
        self.mlp = Mlp(c.width)

    def forward(self, x: Tensor, data: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x), self.ln_2(data))
        return x + self.mlp(self.ln_3(x))


class SelfBlock(nn.Module):
    def __init__(self, c: EncoderConfig) -> None:
        super().__init__()
        self.attn = SelfAttention(c)
        self.ln_1, self.ln_2 = (nn.LayerNorm(c.width) for _ in range(2))
        self.mlp = Mlp(c.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, c: EncoderConfig) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(SelfBlock(c) for _ in range(c.layers)))

    def forward(self, x: Tensor) -> Tensor:
        return self.resblocks(x)


class PointEncoder(nn.Module):
    """Points and normals (b, n, 3) in the cube -> latents (b, tokens, width). Queries are points far from
    each other.
    """

    def __init__(self, config: EncoderConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or EncoderConfig()
        self.input_proj = Linear(3 + 6 * c.frequencies + c.point_feats, c.width)
        self.cross_attn = CrossBlock(c)
        self.self_attn = Transformer(c)
        self.ln_post = nn.LayerNorm(c.width) if c.ln_post else None

    def select(self, points: Tensor) -> Tensor:
        """(b, tokens) indices of the query points of each item."""
        candidates = torch.from_numpy(query_candidates(points.shape[1], self.config.tokens)).to(points.device)
        return torch.stack([candidates[farthest_points(item[candidates], self.config.tokens)] for item in points])

    def forward(self, points: Tensor, normals: Tensor) -> Tensor:
        data = torch.cat([fourier(points, self.config.frequencies, self.config.include_pi), normals], -1)
        chosen = self.select(points)
        queries = data.gather(1, chosen[..., None].expand(-1, -1, data.shape[-1]))
        x = self.self_attn(self.cross_attn(self.input_proj(queries).float(), self.input_proj(data).float()))
        return x if self.ln_post is None else self.ln_post(x)


class MeshEncoder(nn.Module):
    """The encoder under the name it has in both checkpoints."""

    def __init__(self, config: EncoderConfig | None = None) -> None:
        super().__init__()
        self.encoder = PointEncoder(config)
        self.width = self.encoder.config.width

    def forward(self, points: Tensor, normals: Tensor) -> Tensor:
        return self.encoder(points, normals)
