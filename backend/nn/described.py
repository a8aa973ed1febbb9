# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoint folders that describe themselves: pipeline.json, NAME.json with a network's class and the constructor's
arguments, NAME.safetensors with its weights.

Weights are only ever read as safetensors, and only when keys and shapes are exactly those of the network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..errors import BackendError
from .precision import MixedPrecision
from .weights import REPAIR, fill, read_weights

D = TypeVar("D")
WRONG = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class Checkpoints:
    """How the folders of one model are read.

    label: for messages; model: in `python -m backend models download MODEL`; classes: as they are named in NAME.json,
    where an "Elastic" prefix changes nothing at inference; named: what NAME.json says -> {name, args}, for files that
    say it in other words; own_names: weights of a class under the names of our network, of classes that were published
    under others.
    """

    label: str
    model: str
    classes: Mapping[str, type[nn.Module]]
    named: Callable[[dict[str, Any]], dict[str, Any]]
    own_names: Mapping[type[nn.Module], Callable[[dict[str, Tensor]], dict[str, Tensor]]]

    def describe(self, folder: Path, parse: Callable[[dict[str, Any]], D]) -> D:
        """`parse` of the arguments in pipeline.json. Raises BackendError: missing_weights, bad_weights."""
        try:
            return parse(json.loads((folder / "pipeline.json").read_text())["args"])
        except FileNotFoundError as error:
            raise self.missing(folder) from error
        except WRONG as error:
            raise BackendError(
                "bad_weights", f"The file pipeline.json in {folder} is damaged ({error}).", REPAIR
            ) from error

    def missing(self, folder: Path) -> BackendError:
        return BackendError(
            "missing_weights",
            f"The {self.label} weights are not in {folder}.",
            f"Download them with `python -m backend models download {self.model}`, or choose the preview engine.",
        )

    def load_network(self, path: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
        """The network at `path` (.json and .safetensors beside each other), ready to run.

        `dtype` is what its inner parts compute in; the rest follows the checkpoint's own recipe (fp32).
        Raises BackendError with the code missing_weights or bad_weights; the sentence names the first key that is
        wrong.
        """
        config, weights = path.with_suffix(".json"), path.with_suffix(".safetensors")
        if not weights.exists():
            raise self.missing(path.parent)
        network = self.build(config)
        if isinstance(network, MixedPrecision):
            network.set_dtype(dtype)
        state = read_weights(weights, device)
        if type(network) in self.own_names:
            state = self.own_names[type(network)](state)
        return fill(network, state, weights)

    def build(self, config: Path) -> nn.Module:
        """The network that NAME.json describes, on the meta device. Raises BackendError("bad_weights")."""
        try:
            described = self.named(json.loads(config.read_text()) if config.exists() else {})
            kind = self.classes[described["name"].removeprefix("Elastic")]
            with torch.device("meta"):
                return kind(**described["args"])
        except WRONG as error:
            raise BackendError(
                "bad_weights",
                f"The description {config.name} does not fit any {self.label} network ({error}).",
                REPAIR,
            ) from error
