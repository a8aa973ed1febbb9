# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device the networks run on."""

from __future__ import annotations

import torch

from ..errors import BackendError


def choose_device(name: str = "auto") -> torch.device:
    """The named device, or the best one there is. Raises BackendError when the named one is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BackendError(
            "unknown_device", f"There is no usable device {name!r} here.", "Choose auto, cuda, mps or cpu."
        ) from error
    return device
