# SPDX-License-Identifier: GPL-3.0-or-later
"""A single call of an engine on the cluster, `generate` or `rig`, as the add-on makes it: the engine's files come back
into a folder here, and everything else is done in the Blender that asks.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BackendError, reason_of
from .client import ClusterRun, Row, Say, cannot_use, copy_whole, folder_there
from .jobs_api import JobsApi
from .offer import RESOURCES
from .stages import ROOT, write_json

PART = "Ray cluster"  # what the progress belongs to, for the user


@dataclass(frozen=True)
class Place:
    """Where calls go. shared: a folder that the nodes see, under the path `there` or the same one; python, root: see
    `client.Batch`.
    """

    address: str
    shared: Path
    there: str = ""
    python: str = "python"
    root: str = ""
    token: str = field(default="", repr=False)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Place:
        """As the add-on sends it. Raises BackendError("bad_params")."""
        known = set(cls.__dataclass_fields__)
        if set(given) - known or not all(isinstance(value, str) for value in given.values()):
            raise BackendError("bad_params", f"'cluster' takes {', '.join(sorted(known))}.", "Report this.")
        if not Path(given.get("shared", "")).is_absolute():
            raise BackendError(
                "bad_params", "The shared folder of the Ray cluster is not set.", "Choose it in the preferences."
            )
        return cls(**{**given, "shared": Path(given["shared"])})


@dataclass
class Call:
    """params: of the worker's method, without files; files: parameter -> file, or -> {key: file}; out: an empty
    folder that takes what the engine makes; made: the result's file.

    The run's id is computed from all of these and from the version of Avatar Forge: the same call attaches to a job
    that is still running, and takes what one has made.
    """

    place: Place
    method: str
    params: dict[str, Any]
    files: dict[str, Path | dict[str, Path]]
    out: Path
    made: str
    resources: dict[str, float] = field(default_factory=lambda: dict(RESOURCES))
    retries: int = 10
    run: str = ""
    _begun: bool = field(default=False, init=False)

    @property
    def python(self) -> str:
        return self.place.python or "python"

    @property
    def root(self) -> str:
        return self.place.root or str(ROOT)

    @property
    def names(self) -> list[str]:
        return [self.method]

    @property
    def folder(self) -> Path:
        return self.place.shared / self.run

    def prepare(self) -> str:
        try:
            inputs = dict(self._inputs())
            digests = {key: hashlib.sha256(path.read_bytes()).hexdigest() for key, path in inputs.items()}
            whole = [_version(), self.method, self.params, sorted(digests.items())]
            digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
            self.run = f"{self.method}-{digest[:16]}"
            (self.folder / "inputs").mkdir(parents=True, exist_ok=True)
            for key, path in inputs.items():
                if not (target := self.folder / "inputs" / _name(key, path)).exists():
                    copy_whole(path, target)
            there = folder_there(self.folder, self.place.there)
            names = {key: f"{there}/inputs/{_name(key, path)}" for key, path in inputs.items()}
            params: dict[str, Any] = dict(self.params)
            for name, given in self.files.items():
                params[name] = (
                    {key: names[f"{name}.{key}"] for key in given} if isinstance(given, dict) else names[name]
                )
            spec: dict[str, Any] = {
                "call": {"method": self.method, "params": params, "made": self.made},
                "folder": there,
            }
            spec |= {"resources": self.resources, "retries": self.retries, "items": [[self.method, ""]]}
            write_json(self.folder / "spec.json", spec)
        except OSError as error:
            raise cannot_use(self.place.shared, error) from error
        return f"{there}/spec.json"

    def _inputs(self) -> list[tuple[str, Path]]:
        """(parameter, or parameter.key, file)."""
        single = [(name, path) for name, path in self.files.items() if isinstance(path, Path)]
        groups = [(name, path) for name, path in self.files.items() if isinstance(path, dict)]
        return single + [(f"{name}.{key}", path) for name, group in groups for key, path in group.items()]

    def is_made(self) -> bool:
        return (self.folder / "made" / self.method / "result.json").is_file()

    def fetched(self, row: Row) -> Row:
        source = self.folder / "made" / self.method
        try:
            for name in (Path(name).name for name in row["files"]):  # nowhere else, whatever the cluster says
                copy_whole(source / name, self.out / name)
        except OSError as error:
            reason = reason_of(error)
            note = f"What was made cannot be fetched from {source} ({reason})."
            return {**row, "status": "failed", "code": "files", "note": f"{note} Mount it and try again."}
        return row

    def progress(self, event: Row) -> tuple[str, str]:
        self._begun = True
        return event["stage"], event["message"]

    def summary(self, ended: int) -> tuple[str, str]:
        waiting = "Waiting for a worker of the cluster."
        return ("", "") if self._begun else ("cluster", waiting)


def call(order: Call, say: Say, is_abandoned: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """The engine's result, its file in `order.out`. Raises BackendError; Cancelled."""
    run = ClusterRun(order, JobsApi(order.place.address, order.place.token))
    run.start()
    [row] = run.follow(say, is_abandoned)
    if row["status"] == "failed":
        raise BackendError(row.get("code", "cluster_failed"), row["note"], row.get("hint", ""))
    result = dict(row["result"])
    result[order.made] = str(order.out / Path(result[order.made]).name)
    return result | {"cluster_job": run.job}


def _name(key: str, path: Path) -> str:
    return f"{key}{path.suffix.lower()}"


def _version() -> str:
    return str(tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))["version"])
