# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch on a Ray cluster, from this machine: pictures into the shared folder, the job, progress, the avatars back."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BackendError, Cancelled
from .jobs_api import ENDED, JobsApi
from .stages import ROOT, write_json

MARK = "AVATAR_FORGE "
EVERY = 1.0  # seconds between two questions
PATIENCE = 120.0  # seconds that the head may be away in the middle
RESOURCES = {"3d_gen": 1}
Say = Callable[[str, float, str], None]


@dataclass
class Batch:
    """items: {name: picture}; out: where the avatars go here; shared: a folder that all nodes see under this path;
    python, root: the interpreter with Ray on the nodes, and Avatar Forge's folder there.

    rig_needs: whether the stage in Blender needs the resources too, for a rigger with a model. whole: that stage makes
    the mesh as well, because there are candidates. arguments, promotion: of the batch there. run: the
    id; "" for one made of pictures and options, so that the same batch is the same run.
    """

    items: dict[str, Path]
    out: Path
    shared: Path
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

    def prepare(self) -> Path:
        """Writes pictures and spec into the shared folder; the spec's path. Raises BackendError("files")."""
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
            folder = self.shared / self.run
            (folder / "pictures").mkdir(parents=True, exist_ok=True)
            items = []
            for name, path in self.items.items():
                place = folder / "pictures" / f"{name}{path.suffix.lower()}"
                if not place.exists():
                    part = place.with_name(f".{uuid.uuid4().hex}")
                    shutil.copyfile(path, part)
                    part.replace(place)
                items.append([name, str(place)])
            write_json(folder / "spec.json", {**spec, "folder": str(folder), "items": items})
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise BackendError(
                "files", f"The shared folder {self.shared} cannot be used ({reason}).", "Mount it or free some space."
            ) from error
        return folder / "spec.json"


class ClusterRun:
    """One batch on the cluster at `api`; `follow` blocks until it ends. job: its submission id, the batch's run id."""

    def __init__(self, batch: Batch, api: JobsApi) -> None:
        self.batch, self.api = batch, api
        self.job = ""
        self.rows: dict[str, dict[str, Any]] = {}
        self._read = 0
        self._fractions: dict[str, float] = {}
        self._failure: dict[str, str] = {}
        self._waiting = ""

    def start(self) -> bool:
        """Submits the job, or attaches to it where it is running or has ended well; whether it was submitted now.
        After a failed or stopped one, the next goes on with its files.
        """
        self.api.check()
        spec = self.batch.prepare()
        words = [self.batch.python, "-m", "backend.cluster.driver", str(spec)]
        variables = {"PYTHONPATH": self.batch.root, "PYTHONUNBUFFERED": "1"}
        for k in range(1, 100):
            self.job = self.batch.run if k == 1 else f"{self.batch.run}-{k}"
            if self.api.submit(self.job, shlex.join(words), variables):
                return True
            if self.api.status(self.job)[0] not in ("FAILED", "STOPPED"):
                return False
        raise BackendError("cluster_refused", f"The run {self.batch.run} was stopped too often.", "Choose another id.")

    def follow(self, say: Say) -> list[dict[str, Any]]:
        """The rows of all avatars, in order. Raises BackendError; Cancelled, after the job was stopped there."""
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
                    status, message = "", ""
                    say("cluster", self._fraction(), "The cluster does not answer; waiting for it")
                if status in ENDED:
                    return self._finished(status, message)
                time.sleep(EVERY)
        except (Cancelled, KeyboardInterrupt):
            self.api.stop(self.job)
            raise

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
            say("cluster", self._fraction(), f"{len(self.rows)} of {len(self.batch.items)} avatars are there")

    def _event(self, event: dict[str, Any], say: Say) -> None:
        kind = event["event"]
        if kind == "progress":
            self._fractions[event["name"]] = event["fraction"]
            say(f"cluster {event['name']}", self._fraction(), f"{event['name']}: {event['message']}")
        elif kind == "waiting":
            say("waiting", self._fraction(), event["message"])
            self._waiting = event["message"] if event.get("code") else ""
        elif kind == "failed":
            self._failure = event
        elif kind == "avatar":
            row = event["row"]
            self._fractions[row["name"]] = 1.0
            self.rows[row["name"]] = self._fetched(row)

    def _fetched(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with the avatar's files, now in the folder of this machine; the receipt comes last. Files of
        candidates are fetched too, which the row does not name.
        """
        if row["status"] == "failed":
            return row
        source = self.batch.shared / self.batch.run / "avatars" / row["name"]
        kinds, files = {name: kind for kind, name in row["files"].items()}, {}
        there = [path.name for path in source.glob("[!.]*") if path.is_file() and path.name != "row.json"]
        for name in sorted({*kinds, *there}, key=lambda name: (kinds.get(name) == "receipt", name)):
            part = self.batch.out / f".{uuid.uuid4().hex}.part"
            try:
                shutil.copyfile(source / name, part)
                files[kinds.get(name, name)] = str(part.replace(self.batch.out / name))
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                note = f"{name} cannot be fetched from {source} ({reason}); run the same command again."
                return {**row, "status": "failed", "code": "files", "note": note}
            finally:
                part.unlink(missing_ok=True)
        picture = str(self.batch.items[row["name"]])
        return {**row, "picture": picture, "files": {kind: files[kind] for kind in row["files"]}}

    def _finished(self, status: str, message: str) -> list[dict[str, Any]]:
        if status == "STOPPED":
            raise BackendError(
                "cancelled", "The job was stopped on the cluster.", "Run the same command again to continue."
            )
        if status == "FAILED" and not self.rows:
            reason = self._failure.get("message") or " ".join(message.split())[:300]
            raise BackendError(
                self._failure.get("code", "cluster_failed"), f"The job failed on the cluster: {reason}", "See its log."
            )
        lost = {"status": "failed", "code": "cluster_failed", "note": "The job ended before this avatar was made."}
        return [self.rows.get(name, {"name": name, **lost}) for name in self.batch.items]

    def _fraction(self) -> float:
        return sum(self._fractions.values()) / max(len(self.batch.items), 1)
