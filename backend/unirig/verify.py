# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m backend.unirig.verify [FOLDER]`: does this machine compute what the original networks computed?

Runs every vector in a golden folder and in the folders below it (NAME.safetensors and NAME.json, see
`verify_cases`) and prints one line a file: largest error and tolerance. The last line is `N of M hold`; the exit
status is 0 only if all do. A file's stem names its kind; `example*` files are data.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

import torch

from . import verify_skeleton as _skeleton_checks  # noqa: F401 (importing it registers its checks)
from . import verify_skin as _skin_checks  # noqa: F401
from .verify_cases import Case, check_for

DEFAULT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "unirig"


def run(path: Path, device: torch.device) -> tuple[bool, str]:
    """Whether a vector holds, and a line that says by how much."""
    check = check_for(path.stem)
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m backend.unirig.verify", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    files = [
        f
        for f in sorted(arguments.folder.rglob("*"))
        if f.suffix in (".json", ".safetensors") and not f.name.startswith("example")
    ]
    if not files:
        print(
            f"There are no vectors in {arguments.folder}; give the folder that holds NAME.safetensors and NAME.json.",
            file=sys.stderr,
        )
        return 2
    torch.set_grad_enabled(False)
    held = 0
    for file in files:
        holds, line = run(file, torch.device(arguments.device))
        held += holds
        name = file.relative_to(arguments.folder).with_suffix("")
        print(f"{'holds' if holds else 'FAILS'}  {name}: {line}", flush=True)
    print(f"{held} of {len(files)} hold")
    return 0 if held == len(files) else 1


if __name__ == "__main__":
    sys.exit(main())
