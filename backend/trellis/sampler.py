# SPDX-License-Identifier: GPL-3.0-or-later
"""Euler sampling of a rectified flow with classifier-free guidance inside an interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class SamplerSettings:
    steps: int = 25
    cfg_strength: float = 5.0
    cfg_interval: tuple[float, float] = (0.5, 1.0)
    rescale_t: float = 3.0
    sigma_min: float = 1e-5

    def times(self) -> np.ndarray:
        """(steps + 1,) float64 from 1 to 0, crowded towards 1 by `rescale_t`."""
        t = np.linspace(1, 0, self.steps + 1)
        return self.rescale_t * t / (1 + (self.rescale_t - 1) * t)

    def guided(self, t: float) -> bool:
        return self.cfg_strength != 0 and self.cfg_interval[0] <= t <= self.cfg_interval[1]


# velocity(x, t, index of the step, guided) -> (conditional velocity, unconditional one or None when not guided)
Velocity = Callable


def sample(velocity: Velocity, noise, settings: SamplerSettings, on_step: Callable[[int, int], None] | None = None):
    """Integrates from unit noise at t = 1 to the sample at t = 0. Works on anything with + and * (tensors,
    `Sparse.feats`).

    `velocity(x, t, step, guided)` gives the conditional velocity and, if guided, the unconditional one; the model
    multiplies t by 1000. `on_step(done, steps)` is called before every step and may raise to stop. Returns (sample,
    x0 estimates of the first and last step).
    """
    x, times = noise, settings.times()
    first = last = None
    for step, (t, following) in enumerate(zip(times[:-1].tolist(), times[1:].tolist(), strict=True)):
        if on_step:
            on_step(step, settings.steps)
        guided = settings.guided(t)
        positive, negative = velocity(x, t, step, guided)
        v = (1 + settings.cfg_strength) * positive - settings.cfg_strength * negative if guided else positive
        last = (1 - settings.sigma_min) * x - (settings.sigma_min + (1 - settings.sigma_min) * t) * v
        first = last if first is None else first
        x = x - (t - following) * v
    return x, first, last


def noise_generator(seed: int) -> torch.Generator:
    """The CPU generator that all noise of one generation comes from, so that a seed means the same on every device."""
    return torch.Generator("cpu").manual_seed(seed)


def structure_noise(generator: torch.Generator, samples: int, channels: int, side: int) -> torch.Tensor:
    """(samples, channels, side, side, side): drawn first, before the structured latent's noise."""
    return torch.randn(samples, channels, side, side, side, generator=generator)
