# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m backend promote | register | sync | rerun`: what the Publish panel does, from a shell."""

from __future__ import annotations

import argparse
import functools
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import BackendError
from ..failures import explain
from ..protocol import plain
from ..registry import Engines
from . import runs

Command = Callable[[list[str]], int]


def _explained(command: Command) -> Command:
    """Failures as two sentences on stderr and status 1."""

    @functools.wraps(command)
    def run(arguments: list[str]) -> int:
        logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
        try:
            return command(arguments)
        except (Exception, KeyboardInterrupt) as error:
            explained = explain(error)
            if explained.code == "internal":
                logging.getLogger(__name__).exception("unexpected")
            print(f"{explained.message} {explained.hint}".strip(), file=sys.stderr)
            return 130 if explained.code == "cancelled" else 1

    return run


@_explained
def promote(arguments: list[str]) -> int:
    """Uploads a VRM file to a bucket. The last line on stdout is the index entry as JSON."""
    from ..methods import publishing

    parser = argparse.ArgumentParser(prog="python -m backend promote", description=promote.__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--endpoint", default="", help="URL of an S3-compatible server (default: Amazon S3)")
    parser.add_argument("--name", required=True, help="the file becomes NAME-vN.vrm")
    parser.add_argument("--prefix", default="", help="folder in the bucket")
    parser.add_argument(
        "--profile", default="", help="profile in ~/.aws/credentials; keys may also be set in the environment"
    )
    parser.add_argument("--region", default="")
    parser.add_argument(
        "--report", type=Path, help="report card as JSON (default: the one of the run folder that contains the file)"
    )
    parser.add_argument(
        "--override", default="", metavar="REASON", help="promote in spite of a FAIL; the reason is recorded"
    )
    parser.add_argument(
        "--run-id", default="", help="id of the run (default: that of the run folder that contains the file)"
    )
    parser.add_argument(
        "--url", action="append", default=[], metavar="NAME=TEMPLATE", help="such as cdn=https://cdn.example/{key}"
    )
    options = parser.parse_args(arguments)
    folder = options.file.absolute().parent
    receipt = runs.read_receipt(folder / runs.RECEIPT) if (folder / runs.RECEIPT).exists() else {}
    params = {
        name: getattr(options, name)
        for name in ("name", "bucket", "endpoint", "prefix", "profile", "region", "override")
    }
    params |= {
        "file": options.file,
        "run_id": options.run_id or receipt.get("run", ""),
        "run_folder": folder if receipt else None,
        "report": _read_json(options.report) if options.report else receipt.get("report"),
        "urls": dict(_pair(word) for word in options.url),
        "tracking_uri": "",
    }
    entry = publishing.promote(_Shell(), **params)
    print(json.dumps(entry, ensure_ascii=False))
    return 0


@_explained
def register(arguments: list[str]) -> int:
    """Shows the patch that adds a model to the frontend's lists. With --apply, applies it."""
    from ..promotion import registration

    parser = argparse.ArgumentParser(prog="python -m backend register", description=register.__doc__)
    parser.add_argument("model", help="for example companion-v1.vrm")
    parser.add_argument("files", nargs="+", type=Path, help="Go and JavaScript or TypeScript files with a list")
    parser.add_argument("--variable", default=registration.VARIABLE)
    parser.add_argument("--apply", action="store_true")
    parser.add_argument("--replace", action="store_true", help="the new version takes the place of the listed one")
    options = parser.parse_args(arguments)
    patches = registration.plan(options.files, options.model, options.variable, options.replace)
    for patch in patches:
        print(patch.diff() if patch.changes else f"{patch.path.name} already lists {options.model}.\n", end="")
    if options.apply:
        for path in registration.apply(patches):
            print(f"Changed {path}.")
    return 0


@_explained
def sync(arguments: list[str]) -> int:
    """Sends recorded runs that MLflow does not have yet. The exit status is 1 if some are left."""
    from . import tracking

    parser = argparse.ArgumentParser(prog="python -m backend sync", description=sync.__doc__)
    parser.add_argument(
        "--runs", type=Path, default=runs.default_root(), help=f"folder of the runs; {runs.VARIABLE}, else %(default)s"
    )
    parser.add_argument("--all", action="store_true", help="also runs that another MLflow store already has")
    parser.add_argument("--patient", action="store_true", help="retry for some minutes")
    options = parser.parse_args(arguments)
    done = tracking.sync(options.runs.absolute(), everything=options.all, patient=options.patient)
    store = tracking.choose_store(options.runs).shown
    print(f"{done['sent']} sent, {done['pending']} left; MLflow: {store}. {done['message']}".strip())
    return 1 if done["pending"] else 0


@_explained
def rerun(arguments: list[str]) -> int:
    """Makes an avatar again from its receipt and compares the files. Exit status 0 if all are the same, else 1."""
    from .rerun import rerun_receipt

    parser = argparse.ArgumentParser(prog="python -m backend rerun", description=rerun.__doc__)
    parser.add_argument("receipt", type=Path)
    parser.add_argument(
        "--blender", help="a Blender, or a Python with the bpy module (default: AVATAR_FORGE_BLENDER or blender)"
    )
    parser.add_argument("--out", type=Path, help="folder to keep the new avatar in (default: it is deleted)")
    parser.add_argument("--picture", type=Path, help="path of the picture, if it is not in the folder of the receipt")
    options = parser.parse_args(arguments)
    return rerun_receipt(options.receipt.absolute(), options.blender, options.out, options.picture)


@_explained
def step(arguments: list[str]) -> int:
    """One step of a pipeline: `analyse` says whether a picture can be used, `generate` leaves the mesh and result.json
    in a folder, which the batch takes with --generated.
    """
    from ..image.analysis import analyse
    from ..methods import making

    parser = argparse.ArgumentParser(prog="python -m backend step", description=step.__doc__)
    parser.add_argument("step", choices=["analyse", "generate"])
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--engine", default="preview")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine-options", type=json.loads, default={}, metavar="JSON")
    parser.add_argument("--out", type=Path, help="folder for the mesh; a complete one is kept")
    options = parser.parse_args(arguments)
    if options.step == "analyse":
        analyse(options.picture)
        return 0
    if options.out is None:
        parser.error("generate needs --out")
    done = options.out.absolute() / "result.json"
    if not done.exists():
        options.out.mkdir(parents=True, exist_ok=True)
        result = making.generate(
            _Shell(), options.engine, options.picture.absolute(), done.parent, options.seed, options.engine_options
        )
        request = {"engine": options.engine, "seed": options.seed, "engine_options": options.engine_options}
        runs.write_json(done, {**plain(result), "request": request})
    return 0


class _Shell:
    """What a worker's method asks for (`methods.registry.Job`), where there is no worker: everything runs at once."""

    staging = None
    is_cancelled = False

    def __init__(self) -> None:
        self.progress = _Lines()

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def engines(self, kind: str) -> Engines:
        return Engines(kind)


class _Lines:
    """Progress on stderr: a line when the message changes."""

    def __init__(self) -> None:
        self.shown = ""

    def __call__(self, stage: str, fraction: float, message: str) -> None:
        if message != self.shown:
            self.shown = message
            print(f"{fraction:4.0%} {message}", file=sys.stderr, flush=True)


def _pair(word: str) -> tuple[str, str]:
    name, _, template = word.partition("=")
    return name, template


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BackendError("unreadable", f"The report {path.name} cannot be read.", "Make it again.") from error
    if not isinstance(content, dict):
        raise BackendError("unreadable", f"The report {path.name} is not a JSON object.", "Make it again.")
    return content
