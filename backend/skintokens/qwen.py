# SPDX-License-Identifier: GPL-3.0-or-later
"""A decoder of the Qwen3 shape over skeleton and skin tokens (shared/reference/skintokens.md 6; Yang et al., Qwen3,
2025).

Heads of queries share keys and values in groups; queries and keys are normed per head and rotated by their position
(Su et al., RoFormer, 2021). Residuals, norms and logits are fp32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn.decoding import attend_to_cache
from ..nn.point_encoder import Linear
from .embedding import released


@dataclass(frozen=True)
class QwenConfig:
    """The released sizes. positions: the longest sequence, prefix included."""

    hidden: int = 896
    layers: int = 28
    heads: int = 16
    shared_heads: int = 8
    head_width: int = 128
    ffn: int = 3072
    positions: int = 3192
    vocabulary: int = 33036
    norm_eps: float = 1e-6
    theta: float = 1e6

    @classmethod
    def of(cls, config: dict[str, Any], vocabulary: int | None = None) -> QwenConfig:
        """From the original's configuration (`llm`); entries that change no result are ignored."""
        names = {
            "hidden_size": "hidden",
            "num_hidden_layers": "layers",
            "num_attention_heads": "heads",
            "num_key_value_heads": "shared_heads",
            "head_dim": "head_width",
            "intermediate_size": "ffn",
            "max_position_embeddings": "positions",
            "vocab_size": "vocabulary",
            "rms_norm_eps": "norm_eps",
            "rope_theta": "theta",
        }
        found = {ours: config[theirs] for theirs, ours in names.items() if theirs in config}
        return cls(**(found if vocabulary is None else {**found, "vocabulary": vocabulary}))


Turn = tuple[Tensor, Tensor]


def turning(positions: Tensor, rates: Tensor) -> Turn:
    """Cosines and sines (n, 2 rates) by which rows at `positions` (n,) are turned."""
    angles = positions[:, None].float() * rates
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def turned(x: Tensor, by: Turn) -> Tensor:
    """x (..., n, d) rotated in halves: channel j with channel j + d / 2."""
    first, second = x.chunk(2, -1)
    cosine, sine = by
    return x * cosine + torch.cat([-second, first], -1) * sine


class Attention(nn.Module):
    def __init__(self, c: QwenConfig) -> None:
        super().__init__()
        self.width, self.groups = c.head_width, c.heads // c.shared_heads
        self.q_proj = Linear(c.hidden, c.heads * c.head_width, bias=False)
        self.k_proj, self.v_proj = (Linear(c.hidden, c.shared_heads * c.head_width, bias=False) for _ in range(2))
        self.o_proj = Linear(c.heads * c.head_width, c.hidden, bias=False)
        self.q_norm, self.k_norm = (nn.RMSNorm(c.head_width, c.norm_eps) for _ in range(2))

    def project(self, x: Tensor, by: Turn) -> tuple[Tensor, Tensor, Tensor]:
        """(b, n, hidden) to queries (b, heads, n, d), keys and values (b, shared heads, n, d), by position."""
        q, k, v = (layer(x).unflatten(-1, (-1, self.width)) for layer in (self.q_proj, self.k_proj, self.v_proj))
        q, k = (
            turned(norm(part.float()).transpose(1, 2), by).to(v.dtype)
            for norm, part in ((self.q_norm, q), (self.k_norm, k))
        )
        return q, k, v.transpose(1, 2)

    def join(self, y: Tensor) -> Tensor:
        return self.o_proj(y.transpose(-3, -2).flatten(-2))

    def forward(self, x: Tensor, by: Turn) -> tuple[Tensor, Tensor, Tensor]:
        """Causal attention of x (b, n, hidden), and the keys and values for the cache."""
        q, k, v = self.project(x, by)
        keys, values = (t.repeat_interleave(self.groups, 1) for t in (k, v))
        return self.join(F.scaled_dot_product_attention(q, keys, values, is_causal=True)), k, v


class Mlp(nn.Module):
    def __init__(self, c: QwenConfig) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (Linear(c.hidden, c.ffn, bias=False) for _ in range(2))
        self.down_proj = Linear(c.ffn, c.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c: QwenConfig) -> None:
        super().__init__()
        self.self_attn = Attention(c)
        self.mlp = Mlp(c)
        self.input_layernorm, self.post_attention_layernorm = (nn.RMSNorm(c.hidden, c.norm_eps) for _ in range(2))

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.post_attention_layernorm(x))

    def forward(self, x: Tensor, by: Turn) -> tuple[Tensor, Tensor, Tensor]:
        """x (b, n, hidden) fp32 and this layer's keys and values (b, shared heads, n, d)."""
        y, k, v = self.self_attn(self.input_layernorm(x), by)
        return self.feed_forward(x + y), k, v

    def step(self, x: Tensor, by: Turn, keys: Tensor, values: Tensor, slots: Tensor, mask: Tensor) -> Tensor:
        """One new row for each beam, see `nn.decoding.Decoder`."""
        q, k, v = (t[0] for t in self.self_attn.project(self.input_layernorm(x)[None], by))
        y = attend_to_cache(q, k, v, keys, values, slots, mask)
        return self.feed_forward(x + self.self_attn.join(y))


class Decoder(nn.Module):
    """The transformer without its tied output table (`transformer.model`)."""

    def __init__(self, c: QwenConfig) -> None:
        super().__init__()
        self.positions = c.positions
        self.embed_tokens = nn.Embedding(c.vocabulary, c.hidden)
        self.layers = nn.ModuleList([Layer(c) for _ in range(c.layers)])
        self.norm = nn.RMSNorm(c.hidden, c.norm_eps)
        # The release rounds the rates to bfloat16 and computes angles from the rounded ones in fp32.
        part = torch.arange(0, c.head_width, 2, dtype=torch.float32, device="cpu") / c.head_width
        self.rates = released(1.0 / c.theta**part)

    def _turning(self, positions: Tensor) -> Turn:
        self.rates = self.rates.to(positions.device)  # stays there: a captured graph must not copy it
        return turning(positions, self.rates)

    def hidden(self, rows: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Rows (b, n, hidden) from position 0 to the normed result and each layer's keys and values."""
        by = self._turning(torch.arange(rows.shape[1], device=rows.device))
        x, caches = rows.float(), []
        for layer in self.layers:
            x, k, v = layer(x, by)
            caches.append((k, v))
        return self.norm(x), caches

    def rows(self, prefix: Tensor, tokens: Tensor) -> Tensor:
        """Prefix (b, t, hidden) and tokens (b, n) to rows (b, t + n, hidden) fp32."""
        return torch.cat([prefix.float(), self.embed_tokens(tokens).float()], 1)

    def prefill(self, latents: Tensor, tokens: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """See `nn.decoding.Decoder`; logits of the last row only."""
        x, caches = self.hidden(self.rows(latents, tokens))
        return self.vocabulary(x[:, -1:]), caches

    def embed(self, tokens: Tensor, positions: Tensor) -> tuple[Tensor, Turn]:
        return self.embed_tokens(tokens).float(), self._turning(positions)

    def logits(self, x: Tensor) -> Tensor:
        """(..., hidden) fp32 rows of the last layer to (..., vocabulary) fp32."""
        return self.vocabulary(self.norm(x))

    def vocabulary(self, x: Tensor) -> Tensor:
        """Normed rows to logits; the output layer is the token table."""
        table = self.embed_tokens.weight
        return F.linear(x.to(table.dtype), table).float()
