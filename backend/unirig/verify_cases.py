# SPDX-License-Identifier: GPL-3.0-or-later
"""A golden vector of UniRig's format, and the registry of the checks that know each kind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor


@dataclass
class Comparison:
    label: str
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return self.error <= self.tolerance


@dataclass
class Case:
    """One file: NAME.safetensors (tensors, and meta from its header), or NAME.json (everything in meta)."""

    name: str
    meta: dict[str, Any]
    tensors: dict[str, Tensor]
    device: torch.device

    @classmethod
    def read(cls, path: Path, device: torch.device) -> Case:
        if path.suffix == ".json":
            return cls(path.stem, json.loads(path.read_text()), {}, device)
        with safe_open(path, "pt", device=str(device)) as file:
            meta = json.loads((file.metadata() or {}).get("meta", "{}"))
            return cls(path.stem, meta, {name: file.get_tensor(name) for name in file.keys()}, device)  # noqa: SIM118 (no iterator)

    def tensor(self, name: str) -> Tensor:
        return self.tensors[name]

    def array(self, name: str) -> np.ndarray:
        return self.tensors[name].cpu().numpy()

    def has(self, name: str) -> bool:
        return name in self.tensors

    def group(self, prefix: str) -> dict[str, Tensor]:
        """The tensors `PREFIX.*` without the prefix; "w" gives the weights."""
        start = f"{prefix}."
        return {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}

    @property
    def tolerance(self) -> float:
        """The absolute tolerance that the file states, 1e-5 if none."""
        found = re.search(r"(\d+(?:\.\d+)?e-\d+)\s*abs", str(self.meta.get("tolerance", "")))
        return float(found[1]) if found else 1e-5

    def compare(
        self,
        label: str,
        got: Tensor | np.ndarray,
        want: Tensor | np.ndarray | None = None,
        tolerance: float | None = None,
    ) -> Comparison:
        """The largest error relative to max(1, |expected|): tolerances are stated for values of order 1."""
        want = self.tensors[label] if want is None else want
        limit = self.tolerance if tolerance is None else tolerance
        have, need = (np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x) for x in (got, want))
        if have.shape != need.shape:
            return Comparison(f"{label} has shape {have.shape}, not {need.shape}", float("inf"), limit)
        if not have.size:
            return Comparison(label, 0.0, limit)
        difference = np.abs(have.astype(np.float64) - need.astype(np.float64)) / np.maximum(
            1, np.abs(need.astype(np.float64))
        )
        return Comparison(label, float(np.nan_to_num(difference, nan=np.inf).max()), limit)


def exact(label: str, same: bool) -> Comparison:
    return Comparison(label, 0.0 if same else 1.0, 0.0)


Check = Callable[[Case], list[Comparison]]
CHECKS: dict[str, Check] = {}


def check(*prefixes: str) -> Callable[[Check], Check]:
    """Registers a check for the files whose stem begins with one of the prefixes."""

    def add(function: Check) -> Check:
        CHECKS.update(dict.fromkeys(prefixes, function))
        return function

    return add


def check_for(name: str) -> Check | None:
    """The check with the longest prefix of the file's stem."""
    return next((CHECKS[p] for p in sorted(CHECKS, key=len, reverse=True) if name.startswith(p)), None)
