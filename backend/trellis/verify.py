# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m backend.trellis.verify [FOLDER]`: does this machine compute what the original networks computed?

Runs every vector of a golden folder (NAME.json + NAME.npz, weights in safetensors beside it) and prints one line a
file: largest error and tolerance. The last line is `N of M hold`; the exit status is 0 only if all do. A file's stem
names its kind.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path

import torch

from ..errors import BackendError
from ..nn.device import choose_device

# Importing them registers their checks.
from . import verify_meshes, verify_networks, verify_operators, verify_pipeline  # noqa: F401
from .verify_cases import Case, check_for

DEFAULT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "trellis"


def run(case: Case) -> tuple[bool, str]:
    """Whether a vector holds, and a line that says by how much."""
    check = check_for(case.name)
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
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m backend.trellis.verify", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
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
        holds, line = run(Case.read(file, device))
        held += holds
        print(f"{'holds' if holds else 'FAILS'}  {file.stem}: {line}", flush=True)
    print(f"{held} of {len(files)} hold")
    return 0 if held == len(files) else 1


if __name__ == "__main__":
    sys.exit(main())
