# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden vectors of an original network: reading a file, comparing, and the self-test that runs a folder of them."""

from __future__ import annotations

import argparse
import json
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from .golden import Comparison


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


class Checks:
    """The checks of one engine. A file's stem names its kind."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, Check] = {}

    def __call__(self, *prefixes: str) -> Callable[[Check], Check]:
        """Registers a check for the files whose stem begins with one of the prefixes."""

        def add(function: Check) -> Check:
            self._by_prefix.update(dict.fromkeys(prefixes, function))
            return function

        return add

    def find(self, name: str) -> Check | None:
        """The check with the longest prefix of the file's stem."""
        known = sorted(self._by_prefix, key=len, reverse=True)
        return next((self._by_prefix[prefix] for prefix in known if name.startswith(prefix)), None)

    def run(self, path: Path, device: torch.device) -> tuple[bool, str]:
        """Whether a vector holds, and a line that says by how much."""
        check = self.find(path.stem)
        if check is None:
            return False, "no check knows this kind of file"
        try:
            comparisons = check(Case.read(path, device))
        except Exception as error:  # a self-test reports whatever is wrong with the device and goes on
            traceback.print_exc()
            return False, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if not comparisons:
            return False, "nothing in it was compared"
        worst = max(comparisons, key=lambda c: c.error - c.tolerance if c.tolerance == 0 else c.error / c.tolerance)
        return (
            all(c.holds for c in comparisons),
            f"error {worst.error:.3g}, tolerance {worst.tolerance:.3g} ({worst.label})",
        )

    def main(self, program: str, description: str, default: Path) -> int:
        """The command line `PROGRAM [FOLDER] [--device D]`: one line a file, exit status 0 only if all hold."""
        parser = argparse.ArgumentParser(prog=program, description=description)
        parser.add_argument("folder", nargs="?", type=Path, default=default)
        parser.add_argument("--device", default="cpu")
        arguments = parser.parse_args()
        files = [
            f
            for f in sorted(arguments.folder.rglob("*"))
            if f.suffix in (".json", ".safetensors") and not f.name.startswith("example")
        ]
        if not files:
            advice = "give the folder that holds NAME.safetensors and NAME.json"
            print(f"There are no vectors in {arguments.folder}; {advice}.", file=sys.stderr)
            return 2
        torch.set_grad_enabled(False)
        held = 0
        for file in files:
            holds, line = self.run(file, torch.device(arguments.device))
            held += holds
            name = file.relative_to(arguments.folder).with_suffix("")
            print(f"{'holds' if holds else 'FAILS'}  {name}: {line}", flush=True)
        print(f"{held} of {len(files)} hold")
        return 0 if held == len(files) else 1
