# SPDX-License-Identifier: GPL-3.0-or-later
"""The batch that goes on: takes each picture that arrives in a folder, and .vrm files to promote (docs/batch.md).

It asks the folder again and again instead of being told, since no system tells what another machine writes to a
network share. A file is taken once it looks complete and has not changed for `settle` seconds. What became of a file
is a line of `watch.jsonl` in the folder of the avatars, under the digest of its content: so a renamed or copied file
is known, and a restart goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from . import batch_run
from .arrivals import Arrivals
from .batch import PICTURES
from .batch_summary import Lines, Row
from .client import session
from .client.process.locks import hold
from .client.process.tasks import Task
from .errors import AvatarError, reason_of
from .files import digest
from .publish import steps as publish
from .report.limits import FAIL

JOURNAL = "watch.jsonl"
# What may be better in a while: the machine, the network or the storage failed, not the file.
PASSING = {
    "files", "not_writable", "backend_died", "busy", "offline", "server_error", "unreachable", "no_credentials",
    "clock_skew", "folder_in_use", "tls", "internal", "not_kept", "damaged", "exists", "refused", "no_bucket",
}  # fmt: skip
BEGIN = b'{"sha256": "'  # of every line of the journal
RETRY = 60.0  # seconds to the first retry of one of these; doubled each time
RETRY_MOST = 3600.0


@dataclass
class Watch:
    """folder: what arrives there is taken; out: the avatars; target: where to promote to, or None."""

    options: argparse.Namespace
    folder: Path
    out: Path
    target: publish.Target | None
    says: Lines

    def __post_init__(self) -> None:
        self.journal = Journal(self.out / JOURNAL)
        self.arrivals = Arrivals(self.folder, self.options.settle)
        self.rows: list[Row] = []
        self._later: dict[Path, tuple[float, float]] = {}  # file -> (not before, seconds waited last)

    def turn(self, ending: Callable[[], bool]) -> bool:
        """Takes what is complete now; whether nothing is left to wait for."""
        for path in self.arrivals.complete():
            if ending():
                break
            if time.monotonic() >= self._later.get(path, (0.0, 0.0))[0]:
                self._take(path)
        return not self.arrivals.waiting() and not self._later

    def _take(self, path: Path) -> None:
        try:
            sha256 = digest(path)
        except OSError:  # it went away, or the share did
            return
        known = self.journal.known.get(sha256)
        promote_only = path.suffix.lower() not in PICTURES
        if known:
            self.arrivals.done(path)
            if known["file"] != path.name:
                row = Row(path.stem, "skipped", note=f"{path.name} is the same file as {known['file']}", sha256=sha256)
                self._ended(row, path)
            return
        if promote_only:
            row = self._promote(path, sha256)
        else:
            name = self.journal.name_for(path, sha256)
            row = batch_run.make(self.options, path, name, self.out, self.target, self.says)
        if row.status == "failed" and row.code in PASSING:
            waited = min(max(2 * self._later.get(path, (0.0, 0.0))[1], RETRY), RETRY_MOST)
            self._later[path] = (time.monotonic() + waited, waited)
            print(f"{row.name}: trying again in {waited:.0f} s", file=sys.stderr, flush=True)
            return
        self._later.pop(path, None)
        self.arrivals.done(path)
        self.journal.add(sha256, path.name, row)
        self._ended(row, path)

    def _promote(self, path: Path, sha256: str) -> Row:
        """A .vrm file that a person has exported: the report card first, then the bucket."""
        row, started = Row(path.stem, "promoted", picture=str(path), sha256=sha256), time.perf_counter()
        self.says.begins(row.name)
        try:
            if self.target is None:
                raise AvatarError(f"{path.name} is not promoted: no bucket is given (--bucket).", "no_target")
            report = Task("Check", publish.report_of(path), session.worker).wait(self.says.progress)
            row.checks, row.failed = report.counts, [check.id for check in report.checks if check.status == FAIL]
            steps = publish.record_file(path, row.name, report, self.target.tracking_uri)
            row.run = Task("Record", steps, session.worker).wait(self.says.progress)
            row.promoted = batch_run.promote(path, row.name, self.target, row.run, self.says)
            row.note = f"{path.name}, promoted as {row.promoted['key']}"
        except AvatarError as error:
            row.status, row.code, row.note = "failed", error.code, str(error)
        except OSError as error:
            row.status, row.code = "failed", "files"
            row.note = f"{path.name} cannot be read ({reason_of(error)})."
        row.seconds = round(time.perf_counter() - started, 2)
        self.says.ended(row)
        return row

    def _ended(self, row: Row, path: Path) -> None:
        """One line of the log for each file."""
        self.rows.append(row)
        if row.status != "failed":
            self.says.note(row.name, f"{row.status}, {row.seconds:.1f} s: {row.note}")


class Journal:
    """What became of every file, by digest; a line each, on the disk before the next file begins.

    A line that a killed process left unfinished is dropped. `known`: digest -> its line. Raises AvatarError for a file
    that is not a journal.
    """

    def __init__(self, path: Path) -> None:
        if path.is_symlink() or (path.exists() and not path.is_file()):  # writing to a link changes another file
            raise self._foreign(path)
        self.known: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}  # file of a name -> that name
        whole = 0
        if path.exists():
            data = path.read_bytes()
            for raw in data.splitlines(keepends=True):
                if not raw.endswith(b"\n"):
                    break
                whole += len(raw)
                self._read(raw)
            if not self.known and data[: len(BEGIN)] != BEGIN[: len(data)]:  # its first line may be unfinished
                raise self._foreign(path)
        self._file = path.open("ab")
        self._file.truncate(whole)

    @staticmethod
    def _foreign(path: Path) -> AvatarError:
        return AvatarError(
            f"{path.name} in {path.parent} was not made by Avatar Forge; move it away or choose another folder.",
            "exists",
        )

    def _read(self, raw: bytes) -> None:
        try:
            line = json.loads(raw)
            sha256, name, file = (str(line[key]) for key in ("sha256", "name", "file"))
        except (ValueError, LookupError, TypeError, RecursionError):
            return
        self.known[sha256], self._names[name] = line, file

    def name_for(self, path: Path, sha256: str) -> str:
        """The file's stem; with a part of its digest where another file's avatar has that name. A file that was
        replaced under its name keeps it: it is the avatar's next version.
        """
        taken = self._names.get(path.stem)
        return path.stem if taken in (None, path.name) else f"{path.stem}-{sha256[:8]}"

    def add(self, sha256: str, file: str, row: Row) -> None:
        kept = {"name": row.name, "status": row.status, "code": row.code, "run": row.run, "note": row.note}
        line = {"sha256": sha256, "file": file, **kept, "key": row.promoted.get("key", "")}
        self.known[sha256], self._names[row.name] = line, file
        self._file.write(json.dumps({key: value for key, value in line.items() if value}).encode("ascii") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def run(options: argparse.Namespace) -> int:
    """Watches until SIGTERM or Ctrl-C, which end it after the current file; the second one interrupts that."""
    folder, out = options.watch.absolute(), options.out.absolute()
    says = batch_run.speaker(options)
    busy = AvatarError(f"Another process is already watching into {out}; end it or choose another folder.", "busy")
    try:
        if not os.path.isdir(folder):  # noqa: PTH112  Path's raises OSError for a long name
            raise AvatarError(f"There is no folder {folder}; create it, or mount it first.", "files")
        target = batch_run.destination(options)
        batch_run.find_cluster(options)
        batch_run.make_folder(out)
        batch_run.check_engines(options)
        lock = hold(out / ".watch.lock", busy)
        watch = Watch(options, folder, out, target, says)
    except AvatarError as error:
        says.refused(error, batch_run.WRONG)
        session.close()
        return batch_run.WRONG
    status = batch_run.FAILED
    try:
        with _Ending() as ending:
            print(f"Watching {folder}", file=sys.stderr, flush=True)
            while not watch.turn(ending.is_set) or not options.once:
                if ending.wait(options.every):
                    break
        status = batch_run.FAILED if any(row.status == "failed" for row in watch.rows) else batch_run.MADE
        if not options.once:
            status = batch_run.MADE  # each file's own failure is in its line
    finally:
        session.close()
        says.summary(watch.rows, status)
        lock.close()
    return status


class _Ending(threading.Event):
    """Set by the first SIGTERM or Ctrl-C; further ones are the batch's own, which interrupt it."""

    def __enter__(self) -> _Ending:
        self._before = {number: signal.signal(number, self._asked) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.is_set():
            before = self._before[signal.Signals(number)]
            assert callable(before)
            before(number, frame)
            return
        self.set()
        print("Ending after the current file.", file=sys.stderr, flush=True)
