# SPDX-License-Identifier: GPL-3.0-or-later
"""What a TRELLIS.2 checkpoint says about its samplers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..nn.sampling import Schedule


@dataclass(frozen=True)
class SamplerSettings(Schedule):
    """guidance_strength g: the velocity is g times the conditional one plus 1 - g times the unconditional one."""

    steps: int = 12
    guidance_strength: float = 7.5
    guidance_rescale: float = 0.0
    guidance_interval: tuple[float, float] = (0.6, 1.0)
    rescale_t: float = 3.0
    sigma_min: float = 1e-5

    @property
    def guidance(self) -> float:
        return self.guidance_strength

    @property
    def interval(self) -> tuple[float, float]:
        return self.guidance_interval

    @classmethod
    def of(cls, params: dict[str, Any], sigma_min: float = 1e-5) -> SamplerSettings:
        """From the params of pipeline.json. Raises KeyError, TypeError, ValueError."""
        low, high = params["guidance_interval"]
        return cls(
            int(params["steps"]),
            float(params["guidance_strength"]),
            float(params["guidance_rescale"]),
            (float(low), float(high)),
            float(params["rescale_t"]),
            float(sigma_min),
        )
