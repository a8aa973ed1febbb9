# SPDX-License-Identifier: GPL-3.0-or-later
"""The skeleton model: point encoder, then an OPT decoder over joint tokens (specification, sections 5 and 6.4; Zhang
et al., OPT, 2022).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn.decoding import Session, attend_to_cache
from ..nn.point_encoder import EncoderConfig, Linear, MeshEncoder
from ..nn.precision import MixedPrecision

POSITION_OFFSET = 2


@dataclass(frozen=True)
class OptConfig:
    """The shipped sizes. `positions`: the longest sequence, latents included."""

    hidden: int = 1024
    layers: int = 24
    heads: int = 16
    ffn: int = 4096
    positions: int = 3076
    vocabulary: int = 267
    encoder: EncoderConfig = field(default_factory=EncoderConfig)

    @classmethod
    def of(cls, config: dict[str, Any]) -> OptConfig:
        """From the original's configuration: {"llm": {...}, "opt": {...}, "mesh_encoder": {...}, "vocab_size": n},
        all optional.
        """
        llm = {**config.get("llm", {}), **config.get("opt", {})}
        names = {
            "hidden_size": "hidden",
            "num_hidden_layers": "layers",
            "num_attention_heads": "heads",
            "ffn_dim": "ffn",
            "max_position_embeddings": "positions",
        }
        found = {ours: llm[theirs] for theirs, ours in names.items() if theirs in llm}
        if "vocab_size" in config:
            found["vocabulary"] = config["vocab_size"]
        return cls(**found, encoder=EncoderConfig.of(config.get("mesh_encoder", {})))


class Attention(nn.Module):
    def __init__(self, c: OptConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (Linear(c.hidden, c.hidden) for _ in range(4))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(b, n, hidden) -> queries, keys, values, each (b, heads, n, d)."""
        x = x.to(self.q_proj.weight.dtype)
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        return q, k, v

    def join(self, y: Tensor) -> Tensor:
        return self.out_proj(y.transpose(1, 2).flatten(-2))


class Layer(nn.Module):
    def __init__(self, c: OptConfig) -> None:
        super().__init__()
        self.self_attn = Attention(c)
        self.self_attn_layer_norm = nn.LayerNorm(c.hidden)
        self.fc1 = Linear(c.hidden, c.ffn)
        self.fc2 = Linear(c.ffn, c.hidden)
        self.final_layer_norm = nn.LayerNorm(c.hidden)

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + self.fc2(F.relu(self.fc1(self.final_layer_norm(x))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (b, n, hidden) fp32 and this layer's keys and values (b, heads, n, d), every row attending to those
        before it.
        """
        q, k, v = self.self_attn.project(self.self_attn_layer_norm(x))
        x = x + self.self_attn.join(F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return self.feed_forward(x), k, v

    def step(self, x: Tensor, _at: None, keys: Tensor, values: Tensor, slots: Tensor, mask: Tensor) -> Tensor:
        """One new row for each beam, see `decoding.Layer`."""
        q, k, v = (t[0] for t in self.self_attn.project(self.self_attn_layer_norm(x)[None]))
        y = attend_to_cache(q, k, v, keys, values, slots, mask)
        return self.feed_forward(x + self.self_attn.join(y[None])[0])


class Decoder(nn.Module):
    def __init__(self, c: OptConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocabulary, c.hidden)
        self.embed_positions = nn.Embedding(c.positions + POSITION_OFFSET, c.hidden)
        self.final_layer_norm = nn.LayerNorm(c.hidden)
        self.layers = nn.ModuleList([Layer(c) for _ in range(c.layers)])

    @property
    def positions(self) -> int:
        return self.embed_positions.num_embeddings - POSITION_OFFSET

    def embed(self, tokens: Tensor, positions: Tensor) -> tuple[Tensor, None]:
        """Tokens and positions (beams,) -> rows (beams, hidden) fp32."""
        return self.embed_tokens(tokens) + self.embed_positions.weight[positions + POSITION_OFFSET], None

    def logits(self, x: Tensor) -> Tensor:
        """(..., hidden) fp32 -> (..., vocabulary) fp32; the output layer is the token table."""
        return self.final_layer_norm(x) @ self.embed_tokens.weight.T

    def prefill(self, latents: Tensor, tokens: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """latents (b, t, hidden), tokens (b, n) -> logits (b, t + n, vocabulary) and each layer's keys and values (b,
        heads, t + n, d).
        """
        x = torch.cat([latents.float(), self.embed_tokens(tokens)], 1)
        x = x + self.embed_positions.weight[POSITION_OFFSET : POSITION_OFFSET + x.shape[1]]
        caches = []
        for layer in self.layers:
            x, k, v = layer(x)
            caches.append((k, v))
        return self.logits(x), caches


class Transformer(nn.Module):
    """Only gives the decoder the name that it has in the checkpoint."""

    def __init__(self, c: OptConfig) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"decoder": Decoder(c)})

    @property
    def decoder(self) -> Decoder:
        decoder = self.model["decoder"]
        assert isinstance(decoder, Decoder)
        return decoder


class SkeletonModel(MixedPrecision):
    """Points of a mesh to joint tokens. Linear layers may compute in half precision; residuals, norms and logits are
    fp32.
    """

    half_parts = ("mesh_encoder", "output_proj", "transformer")

    def __init__(self, config: OptConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or OptConfig()
        self.mesh_encoder = MeshEncoder(c.encoder)
        self.output_proj = Linear(c.encoder.width, c.hidden)
        self.transformer = Transformer(c)

    def encode(self, points: Tensor, normals: Tensor) -> Tensor:
        """Points and normals (b, n, 3) in the cube -> the decoder's prefix (b, tokens, hidden), fp32."""
        return self.output_proj(self.mesh_encoder(points, normals)).float()

    def forward(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """Prefix (b, t, hidden) and tokens (b, n) -> logits (b, n, vocabulary): the prediction after each token."""
        return self.transformer.decoder.prefill(latents, tokens)[0][:, latents.shape[1] :]

    def session(self, latents: Tensor, start: list[int], beams: int, graphs: bool | None = None) -> Session:
        """A decoding of one mesh (latents (1, t, hidden)) by `beams` beams that all begin with the tokens `start`."""
        return Session(self.transformer.decoder, latents, start, beams, graphs)
