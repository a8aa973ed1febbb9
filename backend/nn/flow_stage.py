# SPDX-License-Identifier: GPL-3.0-or-later
"""One sampling stage of a picture-to-3D engine: the guided velocity for one or several pictures, and its progress."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..engines import Progress
from ..errors import BackendError
from .sampling import Velocity
from .transformer import Context, FlowTransformer

# How several pictures of one thing are combined: one a step; all in every step; the mean of what is seen in them.
MULTI_IMAGE = ("stochastic", "multidiffusion", "average")

# network(x, time, contexts) -> velocity
Network = Callable[[Tensor, Tensor, list[Context]], Tensor]


def guided_velocity(
    network: Network, flow: FlowTransformer, tokens: list[Tensor], multi_image: str, batch: bool
) -> Velocity:
    """The velocity of `network`, which runs `flow`, for `sampling.sample`.

    tokens: one condition (1, tokens, channels) a picture; without a picture's condition it is zeros, whose answer is a
    constant. batch: both halves of guidance in one evaluation. Keys and values are computed once, here. Raises
    BackendError("bad_params") for another way to combine pictures.
    """
    if multi_image not in MULTI_IMAGE:
        raise BackendError(
            "bad_params",
            f"There is no method {multi_image!r} to combine pictures.",
            f"Choose one of: {', '.join(MULTI_IMAGE)}.",
        )
    if multi_image == "average":
        tokens = [torch.stack(tokens).mean(0)]
    positive, negative = [flow.contexts(cond) for cond in tokens], flow.contexts(None)

    def velocity(x: Tensor, t: float, step: int, g: float) -> tuple[Tensor | None, Tensor | None]:
        time = torch.tensor([1000 * t], dtype=torch.float32, device=x.device)
        if g == 0:
            return None, network(x, time, negative)
        if multi_image == "multidiffusion" and len(positive) > 1:
            mean = torch.stack([network(x, time, contexts) for contexts in positive]).mean(0)
            return mean, network(x, time, negative) if g != 1 else None
        contexts = positive[step % len(positive)]
        if g != 1 and batch:
            # A block gives items without keys and values the zero condition's constant: one evaluation, both halves.
            both = network(torch.cat([x, x]), time.expand(2), contexts)
            return both[: len(x)], both[len(x) :]
        return network(x, time, contexts), network(x, time, negative) if g != 1 else None

    return velocity


def report_steps(
    progress: Progress, stage: str, begin: float, end: float, message: str, flow: FlowTransformer
) -> Callable[[int, int], None]:
    """Progress from `begin` to `end` before every step and, inside it, before every block of `flow`: that is also where
    a job is cancelled. Returns the callback for `sampling.sample`.
    """
    at, words, share_of_step, furthest = begin, message, 0.0, begin

    def on_step(done: int, steps: int) -> None:
        nonlocal at, words, share_of_step
        share_of_step = (end - begin) / steps
        at, words = begin + share_of_step * done, f"{message}: step {done + 1} of {steps}"
        progress(stage, at, words)

    def on_block(share: float) -> None:
        nonlocal furthest
        furthest = max(furthest, at + share_of_step * share)  # a step may evaluate the network several times
        progress(stage, furthest, words)

    flow.on_block = on_block
    return on_step
