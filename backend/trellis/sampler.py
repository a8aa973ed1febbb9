# SPDX-License-Identifier: GPL-3.0-or-later
"""What a TRELLIS checkpoint says about its samplers."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn.sampling import Schedule


@dataclass(frozen=True)
class SamplerSettings(Schedule):
    """cfg_strength s: the velocity is 1 + s times the conditional one minus s times the unconditional one."""

    steps: int = 25
    cfg_strength: float = 5.0
    cfg_interval: tuple[float, float] = (0.5, 1.0)
    rescale_t: float = 3.0
    sigma_min: float = 1e-5

    @property
    def guidance(self) -> float:
        return 1 + self.cfg_strength

    @property
    def interval(self) -> tuple[float, float]:
        return self.cfg_interval
