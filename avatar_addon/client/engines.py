# SPDX-License-Identifier: GPL-3.0-or-later
"""The generators and riggers that the backend offers, and why one cannot run here."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

# name -> label; `learn_engines` adds those of other packages once the backend has told them.
GENERATORS = {"preview": "Preview (silhouette inflation, no model)", "trellis": "TRELLIS (needs a GPU and its weights)"}
RIGGERS = {"geometric": "Geometric (no model)", "unirig": "UniRig (needs its weights)"}
UNAVAILABLE: dict[
    str, str
] = {}  # "generators.trellis" -> one sentence why it cannot run here, as the backend last said


def learn_engines(hello: dict) -> None:
    """Offers the engines that the backend reports; the panel says of the chosen one why it cannot run here."""
    for known, kind in ((GENERATORS, "generators"), (RIGGERS, "riggers")):
        for engine in hello.get(kind, []):
            known[engine["name"]] = engine["label"]
            UNAVAILABLE[f"{kind}.{engine['name']}"] = "" if engine.get("available") else engine.get("reason", "")


def remember_engines(hello: dict, file: Path) -> None:
    """Learns what the backend reports, and keeps it for the next start of Blender."""
    learn_engines(hello)
    with contextlib.suppress(OSError):
        file.write_text(json.dumps({kind: hello.get(kind, []) for kind in ("generators", "riggers")}), encoding="utf-8")


def recall_engines(file: Path) -> None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        learn_engines(json.loads(file.read_text(encoding="utf-8")))


def label(kind: str, name: str) -> str:
    """An engine's name in a word or two."""
    return (GENERATORS if kind == "generators" else RIGGERS).get(name, name).partition(" (")[0]


def unavailable(kind: str, name: str) -> str:
    """Why an engine cannot run here, "" when it can or when nobody has asked. kind: "generators" or "riggers"."""
    return UNAVAILABLE.get(f"{kind}.{name}", "")
