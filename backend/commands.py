# SPDX-License-Identifier: GPL-3.0-or-later
"""The small commands of `python -m backend`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import worker as worker_module
from .errors import BackendError
from .methods.hello import describe
from .models import store as model_store
from .protocol import encode
from .registry import BUILT_IN, Engines


def worker(arguments: list[str]) -> int:
    """Serves Blender over stdin and stdout until stdin ends."""
    return worker_module.main()


def hello(arguments: list[str]) -> int:
    """The installer's self-check: prints the answer to `hello` as one line of JSON; status 1 when no generator or no
    rigger can run.
    """
    _, sink = worker_module.claim_pipes()
    answer = describe(Engines("generators"), Engines("riggers"))
    os.write(sink, encode(answer))
    usable = all(any(engine["available"] for engine in answer[kind]) for kind in ("generators", "riggers"))
    sys.stderr.flush()
    return 0 if usable else 1


def models(arguments: list[str]) -> int:
    """Lists, downloads, verifies and removes the weights of the model engines. The exit status is 1 if that fails or
    if a file is damaged.
    """
    parser = argparse.ArgumentParser(prog="python -m backend models", description=models.__doc__)
    parser.add_argument(
        "--models",
        type=Path,
        metavar="FOLDER",
        help=f"folder of the models (default: {model_store.VARIABLE}, else the user's data folder)",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    for kind in BUILT_IN:
        Engines(kind).models()  # importing the engines declares what they need
    known = sorted(model_store.MODELS)
    listing = actions.add_parser("list", help="list the models with size, source and licence")
    listing.add_argument("--json", action="store_true")
    for action, words in (
        ("download", "download missing files; an interrupted download resumes"),
        ("verify", "read every file and compare its SHA-256 with the lock"),
        ("remove", "delete a model's files"),
    ):
        # Deleting takes a name; the other two mean all models without one (verify: all that are there).
        actions.add_parser(action, help=words).add_argument(
            "names", nargs="+" if action == "remove" else "*", metavar="NAME"
        )
    options = parser.parse_args(arguments)
    root = options.models.absolute() if options.models else None
    try:
        if options.action == "list":
            return _list_models(root, options.json)
        names = options.names
        if not names:
            there = [name for name in known if model_store.status(name, root)["state"] != "missing"]
            names = known if options.action == "download" else there
        run = {"download": _download, "verify": _verify, "remove": _remove}[options.action]
        return max((run(name, root) for name in names), default=0)
    except BackendError as error:
        print(f"\n{error.message} {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the command again to resume.", file=sys.stderr)
        return 1


def _list_models(root: Path | None, as_json: bool) -> int:
    rows = [model_store.status(name, root) for name in sorted(model_store.MODELS)]
    if as_json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows:
        print(f"{row['name']}: {row['label']}\n  {row['state']}, {row['bytes'] / 1e9:.2f} GB in {row['folder']}")
        for source in row["sources"]:
            print(
                f"  {source['licence']:<11} {source['repo']} at {source['revision'][:12]}, {len(source['files'])} files"
            )
            print(f"              {source['pinned']}")
    return 0


def _download(name: str, root: Path | None) -> int:
    if model_store.status(name, root)["state"] != "ready":
        for licence, text in model_store.get(name).terms.items():
            print(f"{text.read_text(encoding='utf-8')}\nDownloading means that you agree to this {licence}.\n")
    where = model_store.download(name, _line, root)
    print(f"\n{name} is ready in {where}")
    return 0


def _verify(name: str, root: Path | None) -> int:
    problems = model_store.verify(name, _line, root)
    print("".join(f"\n{name}: {problem}" for problem in problems) or f"\n{name}: all files are unchanged")
    return 1 if problems else 0


def _remove(name: str, root: Path | None) -> int:
    print(f"{name}: {model_store.remove(name, root) / 1e9:.2f} GB freed")
    return 0


def _line(_stage: str, fraction: float, message: str, **_more: Any) -> None:
    """Progress on one line of a terminal; a log has no use for it."""
    if sys.stderr.isatty():
        print(f"\r{100 * fraction:3.0f} %  {message[:100]:<100}", end="", file=sys.stderr, flush=True)
