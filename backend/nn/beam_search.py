# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding joint tokens: greedy, sampling, beam search and beam sampling (shared/reference/unirig.md 6.5).

The choices are made on the processor in fp32 from each step's logits: one copy a step, the same draws for a seed on
every device, and the grammar needs the tokens there anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from .joint_grammar import Grammar

UNFILLED = -1e9


@dataclass(frozen=True)
class Decoding:
    """How to choose tokens; the defaults are UniRig's. `sample` False takes the best instead of drawing."""

    beams: int = 15
    sample: bool = True
    temperature: float = 1.5
    top_k: int = 5
    top_p: float = 0.95
    repetition_penalty: float = 3.0
    length_penalty: float = 1.0
    early_stopping: bool = False
    max_new_tokens: int = 2048


class Session(Protocol):
    """See `decoding.Session`."""

    logits: Tensor

    @property
    def room(self) -> int: ...

    def step(self, tokens: list[int], parents: list[int]) -> Tensor: ...


# draw(probabilities (n,), count) -> indices (count,), without replacement, in drawn order
Draw = Callable[[Tensor, int], Tensor]


@dataclass
class Step:
    """What one step decided on: each beam's tokens so far, scores (beams, vocabulary) before the grammar,
    probabilities drawn from.
    """

    index: int
    tokens: list[list[int]]
    scores: Tensor
    probabilities: Tensor | None


def seeded_draw(seed: int) -> Draw:
    """Draws of a run. Entries that cannot come up are only given to fill the count."""
    generator = torch.Generator().manual_seed(seed)

    def draw(probabilities: Tensor, count: int) -> Tensor:
        live = probabilities.nonzero()[:, 0]  # a few of thousands
        chosen = live[torch.multinomial(probabilities[live], min(count, len(live)), generator=generator)]
        missing = count - len(chosen)
        return chosen if not missing else torch.cat([chosen, (probabilities == 0).nonzero()[:missing, 0]])

    return draw


def decode(
    session: Session,
    grammar: Grammar,
    eos: int,
    how: Decoding,
    draw: Draw,
    on_step: Callable[[Step], Any] = lambda _: None,
) -> list[int]:
    """The tokens that follow the session's start tokens, eos included when it came within the limit.

    `grammar` is the state after the start tokens. `on_step` may raise to cancel.
    """
    limit = min(how.max_new_tokens, session.room + 1)
    search = _beams if how.beams > 1 else _single
    return search(session, grammar, eos, how, draw, on_step, limit)


def _single(
    session: Session, grammar: Grammar, eos: int, how: Decoding, draw: Draw, on_step: Callable[[Step], Any], limit: int
) -> list[int]:
    logits, tokens = session.logits, list[int]()
    seen = torch.zeros(1, logits.shape[1], dtype=torch.bool)
    while True:
        scores = penalise(logits[:1].float().cpu(), seen, how.repetition_penalty)
        allowed = scores.masked_fill(~torch.from_numpy(grammar.allowed().copy()), float("-inf"))
        chances = warp(allowed, how, keep=1).softmax(-1)[0] if how.sample else None
        on_step(Step(len(tokens), [tokens], scores, chances))
        token = int(allowed.argmax()) if chances is None else int(draw(chances, 1)[0])
        tokens.append(token)
        seen[0, token] = True
        if token == eos or len(tokens) == limit:
            return tokens
        grammar = grammar.after(token)
        logits = session.step([token], [0])


def _beams(
    session: Session, grammar: Grammar, eos: int, how: Decoding, draw: Draw, on_step: Callable[[Step], Any], limit: int
) -> list[int]:
    beams, size = how.beams, session.logits.shape[1]
    running, histories, states = torch.full((beams,), UNFILLED), [list[int]() for _ in range(beams)], [grammar] * beams
    running[0] = 0
    seen = torch.zeros(beams, size, dtype=torch.bool)
    finished: list[tuple[float, list[int]]] = []
    logits = session.logits
    for length in range(1, limit + 1):
        scores = penalise(logits.float().cpu().log_softmax(-1), seen, how.repetition_penalty)
        allowed = scores.masked_fill(
            ~torch.stack([torch.from_numpy(s.allowed().copy()) for s in states]), float("-inf")
        )
        total = ((warp(allowed, how, keep=2) if how.sample else allowed) + running[:, None]).flatten()
        chances = total.softmax(-1) if how.sample else None
        on_step(Step(length - 1, histories, scores, chances))
        chosen = total.topk(2 * beams).indices if chances is None else draw(chances, 2 * beams)
        values, parents, tokens = total[chosen], (chosen // size).tolist(), (chosen % size).tolist()
        done = torch.tensor([token == eos or length == limit for token in tokens])
        finished.extend(
            (float(values[rank]) / length**how.length_penalty, [*histories[parents[rank]], tokens[rank]])
            for rank in range(beams)
            if done[rank] and values[rank] > UNFILLED / 2
        )
        finished = sorted(finished, key=lambda entry: -entry[0])[:beams]
        if bool(done.all()):
            break
        running, best = torch.where(done, values + UNFILLED, values).topk(beams)
        parents, tokens = [parents[i] for i in best], [tokens[i] for i in best]
        worst = finished[-1][0] if len(finished) == beams else UNFILLED
        if (how.early_stopping and len(finished) == beams) or not float(
            running[0]
        ) / length**how.length_penalty > worst:
            break
        histories = [[*histories[p], t] for p, t in zip(parents, tokens, strict=True)]
        states = [states[p].after(t) for p, t in zip(parents, tokens, strict=True)]
        seen = seen[parents]
        seen[torch.arange(beams), torch.tensor(tokens)] = True
        logits = session.step(tokens, parents)
    return finished[0][1] if finished else histories[0]


def penalise(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Scores (beams, vocabulary) of tokens that a beam has already written become less likely (Keskar et al., CTRL,
    2019).
    """
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def warp(scores: Tensor, how: Decoding, keep: int) -> Tensor:
    """Temperature, the k best (ties stay), then the nucleus (Holtzman et al., 2020); at least `keep` entries a row
    survive.
    """
    scores = scores / how.temperature
    k = min(max(how.top_k, keep), scores.shape[1])
    alive = scores.shape[1]
    if how.top_k > 0:
        scores = scores.masked_fill(scores < scores.topk(k).values[:, -1:], float("-inf"))
        alive = max(int((scores > float("-inf")).sum(1).max()), keep)
    if how.top_p < 1:
        best, order = scores.topk(alive)  # sorting tens of thousands of tokens to look at five would take far longer
        ascending, order = best.flip(1), order.flip(1)
        drop = ascending.softmax(-1).cumsum(-1) <= 1 - how.top_p
        drop[:, -keep:] = False
        scores = scores.scatter(1, order, ascending.masked_fill(drop, float("-inf")))
    return scores
