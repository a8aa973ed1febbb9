# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m backend.trellis2.verify [FOLDER]`: does this machine compute what the original networks computed?

Runs every vector of a golden folder (NAME.json + NAME.npz, weights in safetensors beside it) and prints one line a
file: largest error and tolerance. The last line is `N of M hold`; the exit status is 0 only if all do. A file's stem
names its kind.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Importing them registers their checks.
from . import verify_networks, verify_operators, verify_pipeline  # noqa: F401
from .verify_cases import check

DEFAULT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "trellis2"


def main(arguments: list[str] | None = None) -> int:
    return check.main("backend.trellis2.verify", __doc__.splitlines()[0], DEFAULT, arguments)


if __name__ == "__main__":
    sys.exit(main())
