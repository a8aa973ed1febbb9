# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what the built-in engines say of themselves to avatar_addon/client/engines.json, so that the add-on knows
their options and models before a backend is installed: `python -m tools.describe_engines` with the backend's Python.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backend.registry import BUILT_IN, Engines

FILE = Path(__file__).resolve().parents[1] / "avatar_addon" / "client" / "engines.json"
HERE_AND_NOW = ("available", "reason")


def described() -> dict[str, list[dict[str, Any]]]:
    """Kind -> a row of every built-in engine (`Engines.describe`), without what depends on this computer."""
    return {
        kind: [
            {key: value for key, value in row.items() if key not in HERE_AND_NOW}
            for row in Engines(kind).describe()
            if row["name"] in BUILT_IN[kind]
        ]
        for kind in BUILT_IN
    }


def main() -> None:
    FILE.write_text(json.dumps(described(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
