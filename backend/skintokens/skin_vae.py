# SPDX-License-Identifier: GPL-3.0-or-later
"""The skin network: what a shape looks like (condition encoder), and the weight of each point for a joint that four
codes describe (shared/reference/skintokens.md 8).

Residuals and norms are fp32; linear layers compute in their weights' precision. Every joint is independent of the
others and every point too, so both can be cut freely.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn.point_encoder import CANDIDATES_PER_TOKEN, Linear, farthest_points
from .embedding import embed, frequencies, phases, released

BLOCK = 1 << 16  # points whose queries are kept for all joints
ROWS = 1 << 13  # of what is attended to, whose keys and values are computed at once


@dataclass(frozen=True)
class SkinConfig:
    """The released sizes. latent: channels between the halves; condition_tokens: query points of the condition
    encoder; levels: of each digit of a code.
    """

    point_feats: int = 3
    latent: int = 512
    heads: int = 12
    encoder_width: int = 768
    decoder_width: int = 768
    encoder_layers: int = 2
    decoder_layers: int = 10
    frequencies: int = 8
    include_pi: bool = True
    phased: bool = True
    levels: tuple[int, ...] = (8, 8, 8, 8, 8)
    condition_tokens: int = 384

    @classmethod
    def of(cls, config: dict[str, Any], condition_tokens: int | None = None) -> SkinConfig:
        """From the original's configuration (`vae`); entries that change no result are ignored."""
        names = {
            "cond_channels": "point_feats",
            "latent_channels": "latent",
            "num_attention_heads": "heads",
            "width_encoder": "encoder_width",
            "width_decoder": "decoder_width",
            "num_layers_encoder": "encoder_layers",
            "num_layers_decoder": "decoder_layers",
            "embed_frequency": "frequencies",
            "embed_include_pi": "include_pi",
            "use_pmpe": "phased",
        }
        found = {ours: config[theirs] for theirs, ours in names.items() if theirs in config}
        if "FSQ_dict" in config:
            found["levels"] = tuple(config["FSQ_dict"]["levels"])
        if condition_tokens is not None:
            found["condition_tokens"] = condition_tokens
        return cls(**found)

    @property
    def codebook(self) -> int:
        return math.prod(self.levels)


def digits(codes: Tensor, levels: tuple[int, ...]) -> Tensor:
    """Codes (...) to the quantiser's values (..., len(levels)) in [-1, 1), least significant first (Mentzer et al.,
    finite scalar quantisation, 2023). Codes outside the codebook wrap digit by digit.
    """
    level = torch.tensor(levels, device=codes.device)
    basis = torch.cumprod(torch.cat([level.new_ones(1), level[:-1]]), 0)
    half = level // 2
    digit = torch.div(codes[..., None], basis, rounding_mode="floor") % level
    return (digit - half).float() / half


class Attention(nn.Module):
    """Self-attention, or attention to `other` when `cross`. The projections that share an input are joined along the
    channels first and then cut into heads, so that heads mix columns of different matrices, as in the original.
    """

    def __init__(self, width: int, heads: int, cross: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (Linear(width, width, bias=False) for _ in range(3))
        self.to_out = nn.ModuleList([Linear(width, width)])
        self.norm_cross = nn.LayerNorm(width) if cross else None

    def forward(self, x: Tensor) -> Tensor:
        """Self-attention of x (b, n, width)."""
        joined = torch.cat([self.to_q(x), self.to_k(x), self.to_v(x)], -1)
        q, k, v = self._heads(joined).chunk(3, -1)
        return self.join(F.scaled_dot_product_attention(q, k, v))

    def queries(self, x: Tensor) -> Tensor:
        """(b, n, width) to queries (b, heads, n, d)."""
        return self._heads(self.to_q(x))

    def keys(self, other: Tensor) -> tuple[Tensor, Tensor]:
        """(b, m, width) to keys and values (b, heads, m, d) of what is attended to."""
        assert self.norm_cross is not None
        joined = torch.empty(*other.shape[:2], 2, other.shape[2], dtype=self.to_k.weight.dtype, device=other.device)
        for part in _ranges(other.shape[1], ROWS):
            normed = self.norm_cross(other[:, part])
            joined[:, part, 0], joined[:, part, 1] = self.to_k(normed), self.to_v(normed)
        k, v = self._heads(joined.flatten(-2)).chunk(2, -1)
        return k, v

    def join(self, y: Tensor) -> Tensor:
        """(b, heads, n, d) to (b, n, width)."""
        return self.to_out[0](y.transpose(1, 2).flatten(-2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """The names are those of the checkpoint; the activation is a plain GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.ModuleList(
            [nn.ModuleDict({"proj": Linear(width, 4 * width)}), nn.Identity(), Linear(4 * width, width)]
        )

    def forward(self, x: Tensor) -> Tensor:
        first, _, last = self.net
        assert isinstance(first, nn.ModuleDict)
        return last(F.gelu(first["proj"](x)))


class SelfBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, heads, cross=False)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        return x + self.ff(self.norm3(x))


class CrossBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, heads, cross=True)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """x (b, n, width); q (b, heads, n, d) from x, k and v (b, heads, m, d) from what is attended to."""
        x = x + self.attn2.join(F.scaled_dot_product_attention(q, k, v))
        return x + self.ff(self.norm3(x))

    def queries(self, x: Tensor) -> Tensor:
        return self.attn2.queries(self.norm2(x))


class ConditionEncoder(nn.Module):
    """Features of all points and of the query points to rows (b, tokens, width)."""

    def __init__(self, c: SkinConfig) -> None:
        super().__init__()
        self.proj_in = Linear(_features(c), c.encoder_width)
        self.blocks = nn.ModuleList(
            [
                CrossBlock(c.encoder_width, c.heads),
                *(SelfBlock(c.encoder_width, c.heads) for _ in range(c.encoder_layers)),
            ]
        )
        self.norm_out = nn.LayerNorm(c.encoder_width)

    def forward(self, queries: Tensor, data: Tensor) -> Tensor:
        cross, *others = self.blocks
        assert isinstance(cross, CrossBlock)
        x = self.proj_in(queries).float()
        x = cross(x, cross.queries(x), *cross.attn2.keys(self.proj_in(data).float()))
        for block in others:
            x = block(x)
        return self.norm_out(x)


class SkinDecoder(nn.Module):
    """Memory rows of a joint, and points that look at them."""

    def __init__(self, c: SkinConfig) -> None:
        super().__init__()
        self.proj_query = Linear(_features(c), c.decoder_width)
        self.blocks = nn.ModuleList(
            [
                *(SelfBlock(c.decoder_width, c.heads) for _ in range(c.decoder_layers)),
                CrossBlock(c.decoder_width, c.heads),
            ]
        )
        self.norm_out = nn.LayerNorm(c.decoder_width)
        self.proj_out = Linear(c.decoder_width, 1)

    @property
    def cross(self) -> CrossBlock:
        block = self.blocks[-1]
        assert isinstance(block, CrossBlock)
        return block

    def memory(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (joints, m, width) to the keys and values (joints, heads, m, d) that points attend to."""
        for block in list(self.blocks)[:-1]:
            rows = block(rows)
        return self.cross.attn2.keys(rows)

    def logits(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Points x (1, n, width), queries q (1, heads, n, d), a joint's keys and values (1, heads, m, d) to (n,)."""
        return self.proj_out(self.norm_out(self.cross(x, q, k, v))).float()[0, :, 0]


class Quantiser(nn.Module):
    """Codes (...) to latents (..., latent)."""

    def __init__(self, c: SkinConfig) -> None:
        super().__init__()
        self.levels = c.levels
        self.project_out = Linear(len(c.levels), c.latent)

    def forward(self, codes: Tensor) -> Tensor:
        return self.project_out(digits(codes, self.levels)).float()


class SkinNetwork(nn.Module):
    """The halves under the names of the checkpoint (`vae.model`).

    query_dtype: the precision of the query points' embedding. The release computes it in bfloat16, in which the high
    frequencies are a different, coarse function; the network was trained with that one.
    """

    query_dtype = torch.bfloat16

    def __init__(self, config: SkinConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or SkinConfig()
        self.cond_encoder = ConditionEncoder(c)
        self.cond_quant = Linear(c.encoder_width, c.latent)
        self.FSQ = Quantiser(c)
        self.post_quant = Linear(c.latent, c.decoder_width)
        self.decoder = SkinDecoder(c)
        # No buffers: the checkpoint has none, and they must not be left without memory when it is loaded.
        self.rates = released(frequencies(c.frequencies, c.include_pi))
        self.phase = released(phases(c.frequencies)) if c.phased else None

    def features(self, points: Tensor, normals: Tensor, dtype: torch.dtype) -> Tensor:
        """(..., 3) twice to (..., features) fp32, the embedding computed in `dtype`.

        Computed on the processor: a few milliseconds, and some devices have inaccurate sines of large angles.
        """
        embedded = embed(points.detach().cpu().to(dtype), self.rates, self.phase).float()
        return torch.cat([embedded.to(points.device), normals.float()], -1)

    def candidates(self, points: int, rng: np.random.Generator) -> np.ndarray:
        """(4 tokens,) indices of the points among which the condition's query points are chosen."""
        count = CANDIDATES_PER_TOKEN * self.config.condition_tokens
        return rng.choice(points, count, replace=count > points)

    def select(self, points: Tensor, candidates: np.ndarray) -> Tensor:
        """(tokens,) which of the candidates are the query points: those far from each other."""
        chosen = torch.from_numpy(candidates).to(points.device)
        return farthest_points(points[chosen], self.config.condition_tokens)

    def condition(self, points: Tensor, normals: Tensor, candidates: np.ndarray) -> Tensor:
        """Points and normals (n, 3) in the cube to the shape's rows (tokens, latent) fp32."""
        data = self.features(points, normals, torch.float32)[None]
        at = torch.from_numpy(candidates).to(points.device)[self.select(points, candidates)]
        return self.cond_quant(self.cond_encoder(data[:, at], data)).float()[0]

    def joint_rows(self, codes: Tensor, condition: Tensor) -> Tensor:
        """Codes (joints, 4) and the shape's rows (tokens, latent) to memory rows (joints, 4 + tokens, width): the codes
        come first.
        """
        rows = torch.cat([self.FSQ(codes), condition.expand(len(codes), -1, -1)], 1)
        return self.post_quant(rows).float()

    def query(self, points: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
        """Points and normals (n, 3) to rows (1, n, width) and queries (1, heads, n, d), the same for all joints."""
        x = self.decoder.proj_query(self.features(points, normals, self.query_dtype)[None]).float()
        return x, self.decoder.cross.queries(x)

    def weights(
        self,
        points: Tensor,
        normals: Tensor,
        codes: Tensor,
        condition: Tensor,
        chunk: int = 1 << 14,
        joints_at_once: int = 4,
        progress: Callable[[int, float], None] = lambda joint, share: None,
    ) -> Tensor:
        """(n, joints) fp32 weights in [0, 1] of points and normals (n, 3) for joints with codes (joints, 4).

        chunk: points at once; joints_at_once: whose memories are computed together. progress(joint, share of all
        done) after each joint, joints counted from 1, may raise to stop.
        """
        out = torch.empty(len(codes), len(points), device=points.device)
        memories: list[tuple[Tensor, Tensor]] = []
        blocks = list(_ranges(len(points), BLOCK))
        for number, block in enumerate(blocks):
            here, facing, weights = points[block], normals[block], out[:, block]
            parts = list(_ranges(len(here), chunk))
            asked = [self.query(here[part], facing[part]) for part in parts]
            for joint in range(len(codes)):
                if joint == len(memories):
                    rows = self.joint_rows(codes[joint : joint + joints_at_once], condition)
                    memories += zip(*self.decoder.memory(rows), strict=True)
                keys, values = memories[joint]
                for part, (x, q) in zip(parts, asked, strict=True):
                    weights[joint, part] = self.decoder.logits(x, q, keys[None], values[None])
                progress(joint + 1, (number + (joint + 1) / len(codes)) / len(blocks))
        return out.sigmoid().T


def _features(c: SkinConfig) -> int:
    return 3 + 6 * c.frequencies + c.point_feats


def _ranges(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
