# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on a Ray cluster, from this machine: its files into the shared folder, the job, progress, what it has made back.

An order is what is wanted: a `Batch` of avatars, or a single `call.Call` of an engine.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from ..errors import BackendError, Cancelled, reason_of
from .jobs_api import ENDED, JobsApi
from .offer import RESOURCES, advice, missing
from .stages import ROOT, write_json

MARK = "AVATAR_FORGE "
EVERY = 1.0  # seconds between two questions
PATIENCE = 120.0  # seconds that the head may be away in the middle
Say = Callable[[str, float, str], None]
Row = dict[str, Any]


class Order(Protocol):
    """What `ClusterRun` needs of an order. run: the job's submission id, known once it is prepared; names: of its
    items; resources: what it cannot begin without.
    """

    run: str

    @property
    def python(self) -> str: ...

    @property
    def root(self) -> str: ...

    @property
    def names(self) -> list[str]: ...

    @property
    def resources(self) -> dict[str, float]: ...

    def prepare(self) -> str:
        """Writes its files into the shared folder; the spec's path on the nodes. Raises BackendError("files")."""

    def is_made(self) -> bool:
        """Whether all of it is in the shared folder."""

    def fetched(self, row: Row) -> Row:
        """The row of an item that has ended, its files now on this machine."""

    def progress(self, event: Row) -> tuple[str, str]:
        """(stage, message) of an item's progress."""

    def summary(self, ended: int) -> tuple[str, str]:
        """(stage, message) while nothing is new. ended: how many items have."""


@dataclass
class Batch:
    """items: {name: picture}; out: where the avatars go here; shared: a folder that all nodes see under this path, or
    under the path `there`; python, root: the interpreter with Ray on the nodes, and Avatar Forge's folder there.

    rig_needs: whether the stage in Blender needs the resources too, for a rigger with a model. whole: that stage makes
    the mesh as well, because there are candidates. arguments, promotion: of the batch there. run: the
    id; "" for one made of pictures and options, so that the same batch is the same run.
    """

    items: dict[str, Path]
    out: Path
    shared: Path
    there: str = ""
    engine: str = "preview"
    seed: int = 0
    engine_options: dict[str, Any] = field(default_factory=dict)
    markers: dict[str, Any] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    promotion: list[str] = field(default_factory=list)
    rig_needs: bool = False
    whole: bool = False
    resources: dict[str, float] = field(default_factory=lambda: dict(RESOURCES))
    retries: int = 10
    python: str = "python"
    root: str = str(ROOT)
    run: str = ""

    @property
    def names(self) -> list[str]:
        return list(self.items)

    @property
    def folder(self) -> Path:
        return self.shared / self.run

    def prepare(self) -> str:
        try:
            spec = {
                name: getattr(self, name)
                for name in (
                    "engine",
                    "seed",
                    "engine_options",
                    "markers",
                    "arguments",
                    "promotion",
                    "rig_needs",
                    "whole",
                )
            }
            spec |= {"resources": self.resources, "retries": self.retries}
            digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in self.items.items()}
            whole = json.dumps([spec, sorted(digests.items())], sort_keys=True)
            self.run = self.run or f"avatars-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"
            (self.folder / "pictures").mkdir(parents=True, exist_ok=True)
            items, there = [], folder_there(self.folder, self.there)
            for name, path in self.items.items():
                place = self.folder / "pictures" / f"{name}{path.suffix.lower()}"
                if not place.exists():
                    copy_whole(path, place)
                items.append([name, f"{there}/pictures/{place.name}"])
            write_json(self.folder / "spec.json", {**spec, "folder": there, "items": items})
        except OSError as error:
            raise cannot_use(self.shared, error) from error
        return f"{there}/spec.json"

    def is_made(self) -> bool:
        return all((self.folder / "avatars" / name).is_dir() for name in self.items)

    def fetched(self, row: Row) -> Row:
        """The row with the avatar's files, now in the folder of this machine; the receipt comes last. Files of
        candidates are fetched too, which the row does not name.
        """
        source = self.folder / "avatars" / row["name"]
        kinds, files = {name: kind for kind, name in row["files"].items()}, {}
        there = [path.name for path in source.glob("[!.]*") if path.is_file() and path.name != "row.json"]
        for name in sorted({*kinds, *there}, key=lambda name: (kinds.get(name) == "receipt", name)):
            try:
                files[kinds.get(name, name)] = str(copy_whole(source / name, self.out / name))
            except OSError as error:
                reason = reason_of(error)
                note = f"{name} cannot be fetched from {source} ({reason}); run the same command again."
                return {**row, "status": "failed", "code": "files", "note": note}
        picture = str(self.items[row["name"]])
        return {**row, "picture": picture, "files": {kind: files[kind] for kind in row["files"]}}

    def progress(self, event: Row) -> tuple[str, str]:
        return f"cluster {event['name']}", f"{event['name']}: {event['message']}"

    def summary(self, ended: int) -> tuple[str, str]:
        return "cluster", f"{ended} of {len(self.items)} avatars are there"


def copy_whole(source: Path, target: Path) -> Path:
    """Complete under its name or not at all. Raises OSError."""
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        shutil.copyfile(source, part)
        return part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def try_folder(shared: Path) -> None:
    """Raises BackendError("files") where the shared folder takes no files."""
    try:
        with tempfile.TemporaryFile(dir=shared):
            pass
    except OSError as error:
        raise cannot_use(shared, error) from error


def folder_there(folder: Path, there: str) -> str:
    """The path of a run's folder on the nodes. there: of the shared folder, "" where it is the same."""
    return str(PurePosixPath(there) / folder.name) if there else str(folder)


def cannot_use(shared: Path, error: OSError) -> BackendError:
    reason = reason_of(error)
    return BackendError(
        "files", f"The shared folder {shared} cannot be used ({reason}).", "Mount it or free some space."
    )


class ClusterRun:
    """One order on the cluster at `api`; `follow` blocks until it ends. job: its submission id."""

    def __init__(self, order: Order, api: JobsApi) -> None:
        self.order, self.api = order, api
        self.job = ""
        self.rows: dict[str, Row] = {}
        self._read = 0
        self._fractions: dict[str, float] = {}
        self._failure: dict[str, str] = {}
        self._waiting = ""
        self._last = ("", "")

    def start(self) -> bool:
        """Submits the job, or attaches to it where it is running or has ended well; whether it was submitted now.
        After a failed or stopped one, or one whose files were deleted, the next goes on with what is there.
        """
        self.api.check()
        spec = self.order.prepare()
        words = [self.order.python, "-m", "backend.cluster.driver", spec]
        variables = {"PYTHONPATH": self.order.root, "PYTHONUNBUFFERED": "1"}
        for k in range(1, 100):
            self.job = self.order.run if k == 1 else f"{self.order.run}-{k}"
            if self.api.submit(self.job, shlex.join(words), variables):
                self._look_for_worker()
                return True
            status, _ = self.api.status(self.job)
            if status not in ("FAILED", "STOPPED") and (status != "SUCCEEDED" or self.order.is_made()):
                return False
        raise BackendError("cluster_refused", f"The run {self.order.run} was stopped too often.", "Choose another id.")

    def follow(self, say: Say, is_abandoned: Callable[[], bool] = lambda: False) -> list[Row]:
        """The rows of all items, in order. Raises BackendError; Cancelled, after the job was stopped there, or where
        only this process ends (is_abandoned) and the job goes on.
        """
        heard = time.monotonic()
        try:
            while True:
                try:
                    status, message = self.api.status(self.job)
                    self._take(self.api.log(self.job), say)
                    heard = time.monotonic()
                except BackendError as error:
                    if error.code != "cluster_unreachable" or time.monotonic() - heard > PATIENCE:
                        raise
                    status = message = ""
                    silent = "The cluster does not answer; waiting for it."
                    say("cluster", self._fraction(), silent)
                if status in ENDED:
                    return self._finished(status, message)
                time.sleep(EVERY)
        except (Cancelled, KeyboardInterrupt):
            if not is_abandoned():
                self.api.stop(self.job)
            raise

    def _look_for_worker(self) -> None:
        """What nobody offers is known before Ray has started the job, which takes seconds. The job itself goes on
        looking.
        """
        with contextlib.suppress(BackendError):
            nodes = self.api.nodes()  # none: the head has just started
            if nodes and (short := missing(nodes, self.order.resources)):
                self._waiting = advice(short, self.api.join_address())

    def _take(self, log: str, say: Say) -> None:
        lines = log.splitlines(keepends=True)
        for line in lines[self._read :]:
            if not line.endswith("\n"):
                break
            self._read += 1
            if line.startswith(MARK):
                self._event(json.loads(line.removeprefix(MARK)), say)
        if self._waiting:  # until a worker has joined: who listens may look at the last message only
            say("waiting", self._fraction(), self._waiting)
        else:
            stage, message = self.order.summary(len(self.rows))
            say(stage or self._last[0], self._fraction(), message or self._last[1])

    def _event(self, event: dict[str, Any], say: Say) -> None:
        kind = event["event"]
        if kind == "progress":
            self._waiting = ""
            self._fractions[event["name"]] = event["fraction"]
            self._last = self.order.progress(event)
            say(self._last[0], self._fraction(), self._last[1])
        elif kind == "waiting":
            say("waiting", self._fraction(), event["message"])
            self._waiting = event["message"] if event.get("code") else ""
        elif kind == "offered":
            self._waiting = ""
        elif kind == "failed":
            self._failure = event
        elif kind == "avatar":
            row = event["row"]
            self._fractions[row["name"]] = 1.0
            self.rows[row["name"]] = row if row["status"] == "failed" else self.order.fetched(row)

    def _finished(self, status: str, message: str) -> list[Row]:
        if status == "STOPPED":
            raise BackendError(
                "cancelled", "The job was stopped on the cluster.", "Run the same command again to continue."
            )
        if status == "FAILED" and not self.rows:
            said = " ".join(message.split())
            if "No module named" in said and "backend" in said:
                raise BackendError(
                    "cluster_root",
                    f"Avatar Forge is not in {self.order.root} on the cluster's head.",
                    "Copy it there, or give the folder that has it on the nodes.",
                )
            if "exit code 127" in said or "exit code 126" in said:
                raise BackendError(
                    "cluster_python",
                    f"{self.order.python} does not run on the cluster's head.",
                    "Give the Python that has Ray on the nodes.",
                )
            hint = self._failure.get("hint") or f"See the log of the job {self.job}."
            if told := self._failure.get("message"):
                raise BackendError(self._failure["code"], told, hint)
            raise BackendError("cluster_failed", f"The job failed on the cluster: {said[:300].rstrip('.')}.", hint)
        lost = {"status": "failed", "code": "cluster_failed", "note": "The job ended before this avatar was made."}
        return [self.rows.get(name, {"name": name, **lost}) for name in self.order.names]

    def _fraction(self) -> float:
        return sum(self._fractions.values()) / max(len(self.order.names), 1)
