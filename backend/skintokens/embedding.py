# SPDX-License-Identifier: GPL-3.0-or-later
"""The skin network's point embedding: Fourier features with a phase (shared/reference/skintokens.md 8.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def frequencies(count: int, include_pi: bool = True) -> Tensor:
    """(count,) 2^i, times pi on request, fp32."""
    return 2.0 ** torch.arange(count, dtype=torch.float32, device="cpu") * (math.pi if include_pi else 1.0)


def phases(count: int) -> Tensor:
    """(count,) the phases that the second wave of each frequency has, fp32."""
    part = torch.arange(1, count + 1, dtype=torch.float32, device="cpu") / count
    return 2 * math.pi * (count ** (1 - part) + part)


def embed(x: Tensor, rates: Tensor, phase: Tensor | None = None) -> Tensor:
    """x (..., d) to (..., d + 2 d n): x, then sines, then cosines, axis by axis; with phases (n,) a slow shifted wave
    is added to each. Computed in the precision of x.
    """
    angles = (x[..., None] * rates.to(x.dtype)).flatten(-2)
    sine, cosine = angles.sin(), angles.cos()
    if phase is not None:
        shifted = (x[..., None] * (math.pi / 2) + phase.to(x.dtype)).flatten(-2)
        sine, cosine = sine + shifted.sin(), cosine + shifted.cos()
    return torch.cat([x, sine, cosine], -1)


def released(values: Tensor) -> Tensor:
    """Constants as the release has them: rounded to bfloat16, in fp32."""
    return values.bfloat16().float()
