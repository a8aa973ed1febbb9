# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights from safetensors files, taken only when keys and shapes are exactly those of the network."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import BackendError

REPAIR = "Run `python -m backend models verify`, then download the model again."


def read_weights(path: Path, device: torch.device) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises BackendError when it is damaged."""
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
    except (SafetensorError, OSError) as error:
        raise BackendError(
            "bad_weights", f"The weights {path.name} are damaged or incomplete ({error}).", REPAIR
        ) from error


def check_keys(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    expected = network.state_dict()
    problems = [f"{name} is missing" for name in expected if name not in state]
    problems += [f"{name} is not part of the network" for name in state if name not in expected]
    problems += [
        f"{name} has shape {list(state[name].shape)}, not {list(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise BackendError(
            "bad_weights", f"The weights {path.name} do not fit the network: {problems[0]}{more}.", REPAIR
        )


def fill(network: nn.Module, state: dict[str, Tensor], path: Path) -> nn.Module:
    """A network made on the meta device, with the weights of `path` in the dtypes it asks for, ready to run.

    Raises BackendError("bad_weights") that names the first key that is missing, too many or of another shape.
    """
    check_keys(network, state, path)
    for name, target in network.state_dict().items():
        state[name] = state[name].to(target.dtype)  # one by one: the checkpoint is never held twice
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval().requires_grad_(False)
