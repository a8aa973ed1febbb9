# SPDX-License-Identifier: GPL-3.0-or-later
"""The skeleton model: point encoder, then an OPT decoder over joint tokens (specification, sections 5 and 6.4; Zhang
et al., OPT, 2022).

All beams share one cache of keys and values. A step appends one slot a beam, and each beam sees, by a mask, the
prefix and the slots of its own history; nothing is ever copied when beams are reordered, and the prefix is read once
for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn.precision import MixedPrecision
from .encoder import EncoderConfig, Linear, MeshEncoder

# Sums of a step's attention are split over this many pieces of the cache, so that a GPU has enough to do for a
# handful of queries.
SPLIT = 16
FIRST_CAPACITY = 128
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

    def step(self, x: Tensor, keys: Tensor, values: Tensor, slots: Tensor, mask: Tensor) -> Tensor:
        """One new row for each beam, x (beams, hidden). Writes slots (beams,) of keys, values (heads, n, d); mask
        (beams, n) is added.
        """
        q, k, v = (t[0] for t in self.self_attn.project(self.self_attn_layer_norm(x)[None]))
        keys.index_copy_(1, slots, k)
        values.index_copy_(1, slots, v)
        heads, beams, width = q.shape
        scores = torch.baddbmm(mask.expand(heads, -1, -1), q, keys.transpose(1, 2), alpha=width**-0.5)
        share = scores.softmax(-1, dtype=torch.float32).view(heads, beams, SPLIT, -1).transpose(1, 2)
        share = share.to(values.dtype, memory_format=torch.contiguous_format)
        y = (share @ values.view(heads, SPLIT, -1, width)).sum(1, dtype=torch.float32)
        return self.feed_forward(x + self.self_attn.join(y[None])[0])


class Decoder(nn.Module):
    def __init__(self, c: OptConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocabulary, c.hidden)
        self.embed_positions = nn.Embedding(c.positions + POSITION_OFFSET, c.hidden)
        self.final_layer_norm = nn.LayerNorm(c.hidden)
        self.layers = nn.ModuleList([Layer(c) for _ in range(c.layers)])

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


class Session:
    """Cached decoding of one sequence by several beams. `logits` (beams, vocabulary) is the prediction after the last
    step.

    On CUDA each step is one replay of a captured graph; the cache grows by doubling, and the graph is captured anew
    each time.
    """

    def __init__(
        self, decoder: Decoder, latents: Tensor, start: list[int], beams: int, graphs: bool | None = None
    ) -> None:
        self.decoder, self.beams, self.device = decoder, beams, latents.device
        self.graphs = latents.is_cuda if graphs is None else graphs
        logits, caches = decoder.prefill(latents, torch.tensor([start], device=self.device))
        self.logits = logits[:, -1].expand(beams, -1)
        self.prefix = logits.shape[1]
        self.steps, self.capacity = 0, 0
        self._positions = decoder.embed_positions.num_embeddings - POSITION_OFFSET
        self._keys, self._values = ([cache[side][0] for cache in caches] for side in (0, 1))
        self._mask = torch.zeros(beams, self.prefix, dtype=self._keys[0].dtype, device=self.device)
        # Row 0: tokens; row 1: the beam each row goes on from; row 2: the cache slot it writes; row 3: its position.
        self._input = torch.zeros(4, beams, dtype=torch.int64, device=self.device)
        self._graph: torch.cuda.CUDAGraph | None = None

    @property
    def room(self) -> int:
        """How many steps the position table still has room for."""
        return self._positions - self.prefix - self.steps

    def step(self, tokens: list[int], parents: list[int]) -> Tensor:
        """Beam i goes on from beam parents[i] with tokens[i]. Returns logits (beams, vocabulary) fp32, valid until
        the next step.
        """
        if self.steps == self.capacity:
            self._grow()
        slot = self.prefix + self.steps * self.beams
        slots, position = list(range(slot, slot + self.beams)), [self.prefix + self.steps] * self.beams
        self._input.copy_(torch.tensor([tokens, parents, slots, position]))
        if self._graph is not None:
            self._graph.replay()
        else:
            self._forward()
        self.steps += 1
        return self.logits

    def _forward(self) -> None:
        tokens, parents, slots, position = self._input
        self._mask.copy_(self._mask[parents])
        self._mask.scatter_(1, slots[:, None], 0.0)
        x = self.decoder.embed_tokens(tokens) + self.decoder.embed_positions.weight[position + POSITION_OFFSET]
        for i, layer in enumerate(self.decoder.layers):
            assert isinstance(layer, Layer)
            x = layer.step(x, self._keys[i], self._values[i], slots, self._mask)
        self._logits.copy_(self.decoder.logits(x))
        self.logits = self._logits

    def _grow(self) -> None:
        """Room for twice as many steps. Slots that nothing has written yet are masked, so their content only has to
        be finite.
        """
        self._graph = None  # its memory is free before the new one is captured
        self.capacity = min(max(FIRST_CAPACITY, 2 * self.capacity), self.steps + self.room)
        size = self.prefix + self.capacity * self.beams
        more = size + -size % SPLIT - self._mask.shape[1]
        for caches in (self._keys, self._values):
            for i, cache in enumerate(caches):  # one by one: never two whole caches at once
                caches[i] = F.pad(cache, (0, 0, 0, more))
        self._mask = F.pad(self._mask, (0, more), value=float("-inf"))
        if self.steps == 0:
            self._logits = torch.empty(self.beams, self.logits.shape[1], device=self.device)
        if self.graphs:
            self._graph = self._capture()

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Records `_forward` on the present buffers. Warming up writes the slots of the step to come, which that step
        writes again.
        """
        mask, logits = self._mask.clone(), self._logits.clone()
        slot = self.prefix + self.steps * self.beams
        rows = torch.arange(self.beams, device=self.device)
        self._input.copy_(torch.stack([rows * 0, rows, rows + slot, rows * 0]))
        side = torch.cuda.Stream(self.device)
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for _ in range(2):
                self._forward()
        torch.cuda.current_stream(self.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._forward()
        self._mask.copy_(mask)
        self._logits.copy_(logits)
        self.logits = self._logits
        return graph
