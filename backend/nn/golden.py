# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden vectors of an original's results, and how ours are compared with them. The checks themselves lie with the
engines, by kind.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import BackendError
from .device import choose_device
from .precision import MixedPrecision
from .sparse import Sparse


@dataclass
class Comparison:
    label: str
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return self.error <= self.tolerance

    @property
    def closeness(self) -> float:
        """How near to failing: above 1 it fails."""
        return self.error / self.tolerance if self.tolerance else (np.inf if self.error else 0.0)


@dataclass
class Case:
    """One vector: its description (NAME.json), its arrays, and where the weights of its folder lie."""

    name: str
    folder: Path
    description: dict[str, Any]
    arrays: dict[str, np.ndarray]
    device: torch.device

    @classmethod
    def read(cls, file: Path, device: torch.device) -> Case:
        arrays = file.with_suffix(".npz")
        return cls(
            file.stem,
            file.parent,
            json.loads(file.read_text()),
            dict(np.load(arrays)) if arrays.exists() else {},
            device,
        )

    @property
    def config(self) -> dict[str, Any]:
        return self.description.get("config") or {}

    @property
    def notes(self) -> dict[str, Any]:
        notes = self.description.get("notes")
        return notes if isinstance(notes, dict) else {}

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name]).to(self.device)

    def tolerance(self, name: str = "") -> float:
        """The file's tolerance, for the named result where it has several; the tightest of them for a result it does
        not name.
        """
        value = self.description["tolerance"]
        if not isinstance(value, dict):
            return float(value)
        numbers = {key: float(v) for key, v in value.items() if isinstance(v, int | float)}
        return numbers[name] if name in numbers else min(numbers.values())

    def weights(self, name: str | None = None) -> dict[str, Tensor]:
        return load_file(self.folder / f"{name or self.name}.weights.safetensors", device=str(self.device))

    def other(self, name: str) -> Case:
        """Another vector of the same folder."""
        return Case.read(self.folder / f"{name}.json", self.device)

    def compare(
        self, label: str, got: Tensor | np.ndarray, expected: np.ndarray | None = None, tolerance: float | None = None
    ) -> Comparison:
        """Largest absolute difference to the recorded array of that name, or to `expected`; infinite for another
        shape or a NaN.
        """
        want = self.arrays[label] if expected is None else expected
        have = got.detach().cpu().numpy() if isinstance(got, Tensor) else np.asarray(got)
        limit = self.tolerance(label) if tolerance is None else tolerance
        if have.shape != want.shape:
            return Comparison(f"{label} has shape {have.shape}, not {want.shape}", float("inf"), limit)
        if not have.size:
            return Comparison(label, 0.0, limit)
        have, want = have.astype(np.float64), want.astype(np.float64)
        with np.errstate(invalid="ignore"):
            difference = np.where(have == want, 0.0, np.abs(have - want))  # equal infinities do not differ
        return Comparison(label, float(np.nan_to_num(difference, nan=np.inf).max()), limit)

    def compare_recorded(self, got: dict[str, Any], tolerance: float | None = None) -> list[Comparison]:
        """Compares each result that the vector has an array for."""
        return [self.compare(name, value, tolerance=tolerance) for name, value in got.items() if name in self.arrays]


Check = Callable[[Case], list[Comparison]]


class Checks:
    """An engine's checks. Called with a kind, it registers the check of vectors whose stem begins with that."""

    def __init__(self) -> None:
        self._by_kind: dict[str, Check] = {}

    def __call__(self, *kinds: str) -> Callable[[Check], Check]:
        def add(function: Check) -> Check:
            self._by_kind |= dict.fromkeys(kinds, function)
            return function

        return add

    def find(self, name: str) -> Check | None:
        """The check whose kind is the longest beginning of the stem, or else the longest part of it."""
        kinds = sorted(self._by_kind, key=len, reverse=True)
        named = [k for k in kinds if name.startswith(k)] + [k for k in kinds if k in name]
        return self._by_kind[named[0]] if named else None

    def run(self, case: Case) -> tuple[bool, str]:
        """Whether a vector holds, and a line that says by how much."""
        check = self.find(case.name)
        if check is None:
            return False, "no check knows this kind of file"
        try:
            comparisons = check(case)
            worst = max(comparisons, key=lambda c: c.closeness)
        except Exception as error:  # a self-test reports whatever is wrong with the device and goes on
            traceback.print_exc()
            return False, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        holds = all(c.holds for c in comparisons)
        return holds, f"error {worst.error:.3g}, tolerance {worst.tolerance:.3g} ({worst.label})"

    @torch.no_grad()
    def main(self, program: str, about: str, default: Path, arguments: list[str] | None) -> int:
        """The command line of a self-test: every vector of a folder, one line each. Returns the exit status."""
        parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
        parser.add_argument("folder", nargs="?", type=Path, default=default)
        parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
        options = parser.parse_args(arguments)
        # Other JSON files may lie there (an index); a vector has a tolerance.
        files = [file for file in sorted(options.folder.glob("*.json")) if "tolerance" in json.loads(file.read_text())]
        if not files:
            print(
                f"There are no vectors in {options.folder}; give the folder that holds NAME.json and NAME.npz files.",
                file=sys.stderr,
            )
            return 2
        try:
            device = choose_device(options.device)
        except BackendError as error:
            print(f"{error.message} {error.hint}", file=sys.stderr)
            return 2
        held = 0
        for file in files:
            holds, line = self.run(Case.read(file, device))
            held += holds
            print(f"{'holds' if holds else 'FAILS'}  {file.stem}: {line}", flush=True)
        print(f"{held} of {len(files)} hold")
        return 0 if held == len(files) else 1


def build(kind: type[nn.Module], case: Case, weights: str | None = None) -> Any:
    """The case's network, strictly loaded, in half precision where the config says so."""
    network = kind(**case.config).to(case.device).eval()
    network.load_state_dict(case.weights(weights), strict=True)
    if case.config.get("use_fp16") and isinstance(network, MixedPrecision):
        network.set_dtype(torch.float16)
    return network


def recording(network: nn.Module, case: Case) -> dict[str, Tensor]:
    """Fills, while the network runs, with the features of the submodules whose recorded output the case has
    (`inter_*` arrays).
    """
    record: dict[str, Tensor] = {}
    paths = {"inter_" + path.replace(".", "_"): path for path, _ in network.named_modules() if path}
    for name in case.arrays:
        if not name.startswith("inter_"):
            continue
        if name not in paths:
            raise KeyError(f"no submodule for {name}")

        def hook(_module: nn.Module, _inputs: Any, output: Any, name: str = name) -> None:
            record.setdefault(name, (output.feats if isinstance(output, Sparse) else output).float())

        network.get_submodule(paths[name]).register_forward_hook(hook)
    return record


def compare_record(case: Case, record: dict[str, Tensor], tolerance: float) -> list[Comparison]:
    out = [case.compare(name, value, tolerance=tolerance) for name, value in record.items()]
    silent = [name for name in case.arrays if name.startswith("inter_") and name not in record]
    return out + [Comparison(f"{name} was never computed", float("inf"), tolerance) for name in silent]


def for_every_item(values: Tensor, items: int) -> Tensor:
    """A condition or time of one batch item stands for all items."""
    return values.expand(items, *values.shape[1:]) if len(values) == 1 else values
