# SPDX-License-Identifier: GPL-3.0-or-later
"""Cached decoding of one sequence by several beams of any decoder-only transformer.

All beams share one cache of keys and values. A step appends one slot a beam, and each beam sees, by a mask, the
prefix and the slots of its own history; nothing is ever copied when beams are reordered, and the prefix is read once
for all of them.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Sums of a step's attention are split over this many pieces of the cache, so that a GPU has enough to do for a
# handful of queries.
SPLIT = 16
FIRST_CAPACITY = 128


class Decoder(Protocol):
    """layers: each has `step(x, at, keys, values, slots, mask)`: one new row for each beam, x (beams, hidden) fp32 to
    the same; it writes slots (beams,) of keys and values (heads, n, d), and mask (beams, n) is added to the scores.
    positions: the longest sequence, prefix included.
    """

    layers: nn.ModuleList

    @property
    def positions(self) -> int: ...

    def prefill(self, latents: Tensor, tokens: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """latents (b, t, hidden), tokens (b, n) -> logits (b, m, vocabulary), of which the last is the prediction
        after the last token, and each layer's keys and values (b, heads, t + n, d).
        """
        ...

    def embed(self, tokens: Tensor, positions: Tensor) -> tuple[Tensor, Any]:
        """Tokens and positions (beams,) -> rows (beams, hidden), and what layers need to know of the positions."""
        ...

    def logits(self, x: Tensor) -> Tensor: ...


def attend_to_cache(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor, slots: Tensor, mask: Tensor
) -> Tensor:
    """Writes the new keys and values k, v (heads, beams, d) to slots (beams,) of the caches keys, values (heads, n,
    d), and attends with q (groups * heads, beams, d): query head h reads cache head h // groups. mask (beams, n) is
    added. Returns (groups * heads, beams, d) fp32.
    """
    keys.index_copy_(1, slots, k)
    values.index_copy_(1, slots, v)
    heads, (queries, beams, width) = len(keys), q.shape
    rows = q.reshape(heads, -1, width)
    every = mask.repeat(queries // heads, 1) if queries > heads else mask
    scores = torch.baddbmm(every.expand(heads, -1, -1), rows, keys.transpose(1, 2), alpha=width**-0.5)
    share = scores.softmax(-1, dtype=torch.float32).view(heads, rows.shape[1], SPLIT, -1).transpose(1, 2)
    share = share.to(values.dtype, memory_format=torch.contiguous_format)
    y = (share @ values.view(heads, SPLIT, -1, width)).sum(1, dtype=torch.float32)
    return y.view(queries, beams, width)


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
        self.prefix = latents.shape[1] + len(start)
        self.steps, self.capacity = 0, 0
        self._keys, self._values = ([cache[side][0] for cache in caches] for side in (0, 1))
        self._mask = torch.zeros(beams, self.prefix, dtype=self._keys[0].dtype, device=self.device)
        # Row 0: tokens; row 1: the beam each row goes on from; row 2: the cache slot it writes; row 3: its position.
        self._input = torch.zeros(4, beams, dtype=torch.int64, device=self.device)
        self._graph: torch.cuda.CUDAGraph | None = None

    @property
    def room(self) -> int:
        """How many steps the decoder still has positions for."""
        return self.decoder.positions - self.prefix - self.steps

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
        x, at = self.decoder.embed(tokens, position)
        for i, layer in enumerate(self.decoder.layers):
            x = layer.step(x, at, self._keys[i], self._values[i], slots, self._mask)  # type: ignore[operator]
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
