# SPDX-License-Identifier: GPL-3.0-or-later
"""The generators and riggers that the backend offers, as they describe themselves, and why one cannot run here.

The built-in ones are known from engines.json beside this module (tools/describe_engines.py writes it); those of other
packages once the backend has told of them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # name, label, options, models, views, seeded: see backend.registry.Engines.describe
KINDS = ("generators", "riggers")

BUILT_IN: dict[str, dict[str, Row]] = {
    kind: {row["name"]: row for row in rows}
    for kind, rows in json.loads(Path(__file__).with_name("engines.json").read_text(encoding="utf-8")).items()
}
# name -> label; `learn_engines` adds those of other packages.
GENERATORS, RIGGERS = ({name: row["label"] for name, row in BUILT_IN[kind].items()} for kind in KINDS)
UNAVAILABLE: dict[
    str, str
] = {}  # "generators.trellis" -> one sentence why it cannot run here, as the backend last said
ON_LEARNED: list[Callable[[], None]] = []  # called when engines of other packages have become known
_others: dict[str, dict[str, Row]] = {kind: {} for kind in KINDS}


def learn_engines(hello: dict) -> None:
    """Offers the engines that the backend reports; the panel says of the chosen one why it cannot run here. Engines of
    other packages that it does not report any more are forgotten.
    """
    for known, kind in ((GENERATORS, "generators"), (RIGGERS, "riggers")):
        if kind not in hello:
            continue
        for gone in _others[kind].keys() - {row["name"] for row in hello[kind]}:
            del _others[kind][gone], known[gone]
            UNAVAILABLE.pop(f"{kind}.{gone}", None)
        for row in hello[kind]:
            name = row["name"]
            known[name] = row["label"]
            UNAVAILABLE[f"{kind}.{name}"] = "" if row.get("available") else row.get("reason", "")
            if name not in BUILT_IN[kind]:
                _others[kind][name] = row
    for listener in ON_LEARNED:
        listener()


def remember_engines(hello: dict, file: Path) -> None:
    """Learns what the backend reports, and keeps it for the next start of Blender."""
    learn_engines(hello)
    with contextlib.suppress(OSError):
        file.write_text(json.dumps({kind: hello.get(kind, []) for kind in KINDS}), encoding="utf-8")


def recall_engines(file: Path) -> None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        learn_engines(json.loads(file.read_text(encoding="utf-8")))


def row_of(kind: str, name: str) -> Row:
    """How an engine describes itself, {} for one that nobody knows. kind: "generators" or "riggers"."""
    return BUILT_IN[kind].get(name) or _others[kind].get(name, {})


def built_in_models() -> dict[str, Row]:
    """Every model that a built-in engine needs, by name."""
    rows = [row for kind in KINDS for row in BUILT_IN[kind].values()]
    return {model["name"]: model for row in rows for model in row["models"]}


def all_rows() -> list[tuple[str, Row]]:
    """(kind, row) of every engine that is known, the built-in ones first."""
    return [(kind, row) for known in (BUILT_IN, _others) for kind in KINDS for row in known[kind].values()]


def options(kind: str, name: str) -> list[Row]:
    """An engine's options (backend.options.Option.to_dict)."""
    return row_of(kind, name).get("options", [])


def models(kind: str, name: str) -> list[Row]:
    """The models that an engine needs: {name, label, licence, size, variable}."""
    return row_of(kind, name).get("models", [])


def all_models() -> dict[str, Row]:
    """Every model that an engine needs, by name."""
    return {model["name"]: model for _, row in reversed(all_rows()) for model in row.get("models", [])}


def label(kind: str, name: str) -> str:
    """An engine's name in a word or two."""
    return (GENERATORS if kind == "generators" else RIGGERS).get(name, name).partition(" (")[0]


def unavailable(kind: str, name: str) -> str:
    """Why an engine cannot run here, "" when it can or when nobody has asked."""
    return UNAVAILABLE.get(f"{kind}.{name}", "")


def is_known(kind: str, name: str) -> bool:
    """Whether the backend has told if the engine can run here."""
    return f"{kind}.{name}" in UNAVAILABLE
