# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of a network compute in half precision."""

from __future__ import annotations

import torch
from torch import nn

from ..errors import BackendError


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """auto: half precision on an accelerator as the networks were trained, single on a processor."""
    known = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    if name not in known:
        raise BackendError("bad_params", f"There is no precision {name!r}.", "Choose auto, fp16, bf16 or fp32.")
    return known[name]


class MixedPrecision(nn.Module):
    """A network whose inner parts may compute in half precision while its outer layers, norms and gammas stay fp32.

    Sparse convolution weights live in modules that define `half_parameters`, because they are no torch classes.
    """

    half_parts: tuple[str, ...] = ("blocks",)
    dtype = torch.float32

    def set_dtype(self, dtype: torch.dtype) -> None:
        """Casts the linear and convolution weights below `half_parts` and computes there in `dtype`."""
        for name in self.half_parts:
            for module in self.get_submodule(name).modules():
                if isinstance(module, nn.Linear | nn.Conv3d) or getattr(module, "half_parameters", False):
                    for parameter in module.parameters(recurse=False):
                        parameter.data = parameter.data.to(dtype)
        self.dtype = dtype
