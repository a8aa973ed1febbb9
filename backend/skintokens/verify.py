# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m backend.skintokens.verify [FOLDER]`: does this machine compute what the original networks computed?

Runs every vector in a golden folder and in the folders below it (NAME.safetensors and NAME.json, see
`nn.golden_safetensors`) and prints one line a file: largest error and tolerance. The last line is `N of M hold`; the
exit status is 0 only if all do. A file's stem names its kind.
"""

from __future__ import annotations

import sys
from pathlib import Path

from . import verify_decoding, verify_meshes  # noqa: F401 (importing them registers their checks)
from .verify_networks import check

DEFAULT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "skintokens"

if __name__ == "__main__":
    sys.exit(check.main("python -m backend.skintokens.verify", (__doc__ or "").splitlines()[0], DEFAULT))
