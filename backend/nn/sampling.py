# SPDX-License-Identifier: GPL-3.0-or-later
"""Euler sampling of a rectified flow with classifier-free guidance inside an interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor


class Schedule:
    """What `sample` asks of a sampler's settings: the times, and how strongly each is guided.

    guidance g: the velocity is g times the conditional one and 1 - g times the unconditional one, so 1 is unguided.
    guidance_rescale 0..1: how far the guided estimate's spread is brought back to the conditional one's (Lin et al.
    2024, section 3.4).
    """

    steps: int
    rescale_t: float
    sigma_min: float
    guidance_rescale = 0.0

    @property
    def guidance(self) -> float:
        raise NotImplementedError

    @property
    def interval(self) -> tuple[float, float]:
        raise NotImplementedError

    def times(self) -> np.ndarray:
        """(steps + 1,) float64 from 1 to 0, crowded towards 1 by `rescale_t`."""
        t = np.linspace(1, 0, self.steps + 1)
        return self.rescale_t * t / (1 + (self.rescale_t - 1) * t)

    def guidance_at(self, t: float) -> float:
        """g inside the interval (both ends belong to it), 1 outside."""
        return self.guidance if self.interval[0] <= t <= self.interval[1] else 1.0


# velocity(x, t, index of the step, g) -> (conditional velocity, unconditional one); the second may be None where g is
# 1, the first where g is 0
Velocity = Callable[[Tensor, float, int, float], tuple[Tensor | None, Tensor | None]]


def sample(
    velocity: Velocity,
    noise: Tensor,
    settings: Schedule,
    on_step: Callable[[int, int], None] | None = None,
    items: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Integrates from unit noise at t = 1 to the sample at t = 0.

    noise: (b, ...), or the rows of a voxel list with `items` rows a batch item. The model multiplies t by 1000.
    `on_step(done, steps)` is called before every step and may raise to stop. Returns the sample and the estimates of
    it at the first and the last step.
    """
    x, times, s0 = noise, settings.times(), settings.sigma_min
    first = last = None
    for step, (t, following) in enumerate(zip(times[:-1].tolist(), times[1:].tolist(), strict=True)):
        if on_step:
            on_step(step, settings.steps)
        g = settings.guidance_at(t)
        positive, negative = velocity(x, t, step, g)
        v = _guided(positive, negative, g)
        if settings.guidance_rescale > 0 and g not in (0, 1):
            v = _rescaled(x, positive, v, s0 + (1 - s0) * t, settings, items)
        last = (1 - s0) * x - (s0 + (1 - s0) * t) * v
        first = last if first is None else first
        x = x - (t - following) * v
    assert first is not None and last is not None
    return x, first, last


def _guided(positive: Tensor | None, negative: Tensor | None, g: float) -> Tensor:
    if g == 1:
        assert positive is not None
        return positive
    assert negative is not None
    return negative if positive is None or g == 0 else g * positive + (1 - g) * negative


def _rescaled(
    x: Tensor, positive: Tensor | None, v: Tensor, sigma: float, settings: Schedule, items: Sequence[int] | None
) -> Tensor:
    """The guided velocity with the spread of its estimate, per batch item, brought towards the conditional one's."""
    assert positive is not None
    scaled = (1 - settings.sigma_min) * x
    wanted, estimate = scaled - sigma * positive, scaled - sigma * v
    ratio = _spread(wanted, items) / _spread(estimate, items)
    phi = settings.guidance_rescale
    return (scaled - estimate * (phi * ratio + 1 - phi)) / sigma


def _spread(x: Tensor, items: Sequence[int] | None) -> Tensor:
    """Standard deviation of everything that belongs to one batch item, shaped to multiply x with."""
    if items is None:
        return x.flatten(1).std(1, correction=0).view(-1, *[1] * (x.dim() - 1))
    # An item without rows has no spread, and nothing to multiply with it.
    spreads = [part.std(correction=0).expand(len(part)) for part in x.split(list(items)) if len(part)]
    return torch.cat([x.new_zeros(0), *spreads])[:, None]


def noise_generator(seed: int) -> torch.Generator:
    """The CPU generator that all noise of one generation comes from, so that a seed means the same on every device."""
    return torch.Generator("cpu").manual_seed(seed)


def structure_noise(generator: torch.Generator, samples: int, channels: int, side: int) -> Tensor:
    """(samples, channels, side, side, side): drawn first, before the structured latent's noise."""
    return torch.randn(samples, channels, side, side, side, generator=generator)
