# SPDX-License-Identifier: GPL-3.0-or-later
"""The headless run itself, inside the registered package; see batch.py for the command line."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy

from . import workflow
from .client import session
from .client.process.locks import hold
from .client.process.tasks import Steps, Task
from .errors import AvatarError
from .picture import cards
from .publish import steps as publish
from .request import Request, read_markers
from .vrm.spec.vrm_file import VrmFile, VrmFileError


@dataclass
class Row:
    """A line of the summary. status: made, kept or failed."""

    name: str
    status: str
    seconds: float
    note: str


def run(options: argparse.Namespace, pictures: list[Path], sides: list[dict[str, Path]], names: list[str]) -> int:
    """Makes every avatar, prints progress and the summary; the exit status. sides: further pictures of each."""
    out = options.out.absolute()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(
            f"The folder {out} cannot be created ({(error.strerror or str(error)).lower()}); choose another one.",
            file=sys.stderr,
        )
        return 2
    rows: list[Row] = []
    try:
        for picture, further, name in zip(pictures, sides, names, strict=True):
            further = {side: path.absolute() for side, path in further.items()}
            rows.append(_one(options, picture.absolute(), further, name, out))
    finally:
        session.close()
        _print_summary(rows)
    return 1 if any(row.status == "failed" for row in rows) else 0


def _one(options: argparse.Namespace, picture: Path, further: dict[str, Path], name: str, out: Path) -> Row:
    started = time.perf_counter()
    vrm, sheet, receipt = out / f"{name}.vrm", out / f"{name}.sheet.png", out / f"{name}.receipt.json"
    if not options.again and _is_complete(vrm, receipt):
        print(f"{name}: already exists (--again makes it again)", flush=True)
        return Row(name, "kept", 0.0, vrm.name)
    try:
        with _lock(out / f".{name}.lock"):
            bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
            request = Request.from_settings(
                bpy.context.scene,
                _readable(picture),
                name=name,
                engine=options.engine,
                rigger=options.rigger,
                seed=options.seed,
                rigger_seed=options.rigger_seed,
                engine_options=options.engine_options,
                rigger_options=options.rigger_options,
                markers=_markers(options.markers, picture),
                pictures=further,
                author=options.author,
                vrm_version=options.vrm,
                vrm=vrm,
                sheet=None if options.no_sheet else sheet,
                receipt=receipt,
                record=not options.no_record,
            )
            receipt.unlink(missing_ok=True)
            task = Task(f"Make {name}", _steps(request, options.turnaround), session.worker)
            made = task.wait(_Printer(name))
            promoted = _promoted(options, made, name) if options.bucket else ""
    except AvatarError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return Row(name, "failed", time.perf_counter() - started, str(error))
    except OSError as error:
        sentence = (
            f"A file in {out} cannot be written ({(error.strerror or str(error)).lower()}); free some space or choose"
            " another folder."
        )
        print(f"{name}: {sentence}", file=sys.stderr, flush=True)
        return Row(name, "failed", time.perf_counter() - started, sentence)
    for warning in made.warnings:
        print(f"{name}: note: {warning['message']}", flush=True)
    for check in made.report.checks:
        if check.status == "FAIL":
            print(f"{name}: check failed: {check.title}, {check.figure}. {check.fix}", flush=True)
    counts = made.report.counts
    card = f", {counts['PASS']} checks passed" + "".join(
        f", {counts[s]} {w}" for s, w in (("WARN", "to check"), ("FAIL", "failed")) if counts[s]
    )
    return Row(
        name,
        "made",
        time.perf_counter() - started,
        vrm.name + promoted + card + ("" if not made.warnings else f", {len(made.warnings)} notes"),
    )


def _steps(request: Request, turnaround: bool) -> Steps:
    if turnaround:
        request.picture, request.pictures = yield from cards.from_sheet(request.picture)
    return (yield from workflow.make_avatar(bpy.context, request))


def _promoted(options: argparse.Namespace, made: workflow.Made, name: str) -> str:
    """Promotes an avatar that was just made; what the summary says of it. Raises AvatarError."""
    target = publish.Target(options.bucket, options.endpoint, options.prefix, options.profile, options.region)
    if not publish.may_reach(target):
        raise AvatarError(
            "Blender is not allowed to use the internet, so nothing was promoted; start it with --online-mode.",
            "offline",
        )
    steps = publish.promote(made.avatar, "", target, version=options.vrm)
    entry = Task(f"Promote {name}", steps, session.worker).wait(_Printer(name))
    return f", promoted as {entry['key']}"


def _readable(picture: Path) -> Path:
    if not picture.is_file():
        raise AvatarError(f"There is no file {picture.name}; check the path.", "no_picture")
    return picture


def _markers(given: Path | None, picture: Path) -> dict | None:
    if given is None:
        return None
    path = given / f"{picture.stem}.json" if given.is_dir() else given
    return read_markers(path) if path.exists() or not given.is_dir() else None


def _is_complete(vrm: Path, receipt: Path) -> bool:
    """A finished avatar from an earlier run: the receipt is written last."""
    if not receipt.exists() or not vrm.exists():
        return False
    try:
        VrmFile(vrm)
    except (VrmFileError, OSError):
        return False
    return True


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Two runs into one folder do not make the same avatar at once."""
    busy = AvatarError(
        "Another run is making this avatar in the same folder; wait for it or choose another folder.", "busy"
    )
    file = hold(path, busy)
    try:
        yield
    finally:
        file.close()
        path.unlink(missing_ok=True)


class _Printer:
    """A line whenever the stage changes; on a terminal one line that moves."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shown = ""

    def __call__(self, task: Task) -> None:
        if task.message and task.message != self.shown:
            self.shown = task.message
            print(f"{self.name}: {task.fraction:4.0%} {task.message}", flush=True)


def _print_summary(rows: list[Row]) -> None:
    if not rows:
        return
    width = max(len(row.name) for row in rows)
    print()
    for row in rows:
        print(f"{row.name:{width}}  {row.status:6}  {row.seconds:6.1f} s  {row.note}")
    counts = {status: sum(row.status == status for row in rows) for status in ("made", "kept", "failed")}
    print(", ".join(f"{count} {status}" for status, count in counts.items() if count), flush=True)
