# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt of an avatar: what it was made from, with what, in which time, with which figures."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from ..files import digest


def make_receipt(
    picture: Path, files: dict[str, Path], parameters: dict[str, Any], versions: dict[str, str],
    seconds: dict[str, float],
    metrics: dict[str, float], warnings: list[dict[str, str]],
) -> dict[str, Any]:  # fmt: skip
    """files: what was written, by kind; they are named and digested. All values are JSON."""
    return {
        "receipt": 1,
        "picture": {"name": picture.name, "sha256": digest(picture)},
        "files": {
            kind: {"name": path.name, "bytes": path.stat().st_size, "sha256": digest(path)}
            for kind, path in files.items()
        },
        "parameters": parameters,
        "versions": {"python": platform.python_version(), **versions},
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        "metrics": {name: round(float(value), 6) for name, value in metrics.items()},
        "warnings": warnings,
    }
