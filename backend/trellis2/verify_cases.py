# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of TRELLIS.2's golden vectors are registered here by the other verify_* modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..nn.golden import Case, Checks, Comparison

check = Checks()


def loosely(case: Case, label: str, got: Tensor, want: np.ndarray) -> list[Comparison]:
    """A half-precision result: bounded by the largest and by the root-mean-square difference."""
    limits = case.description["tolerance"]
    difference = np.abs(got.float().cpu().numpy().astype(np.float64) - want)
    if difference.shape != want.shape or not np.isfinite(difference).all():
        return [Comparison(f"{label} has another shape or is not finite", float("inf"), limits["max"])]
    return [
        Comparison(f"{label}, largest", float(difference.max(initial=0)), limits["max"]),
        Comparison(f"{label}, root mean square", float(np.sqrt((difference**2).mean())), limits["rms"]),
    ]


def with_weights(network: nn.Module, state: dict[str, Tensor], case: Case, dtype: torch.dtype = torch.float32) -> Any:
    """The network, strictly loaded, its inner parts in `dtype`."""
    network = network.to(case.device).eval().requires_grad_(False)
    network.load_state_dict(state, strict=True)
    if dtype != torch.float32:
        network.set_dtype(dtype)  # type: ignore[operator]
    return network
