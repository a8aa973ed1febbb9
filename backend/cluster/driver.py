# SPDX-License-Identifier: GPL-3.0-or-later
"""The job on the cluster: `python -m backend.cluster.driver SPEC.json`, where Ray is. It makes a task of every stage of
every avatar, or of a single call of an engine, and prints what happens as lines `AVATAR_FORGE {json}`, which the client
reads from the job's log.
"""

from __future__ import annotations

import json
import platform
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any

from . import stages
from .offer import advice, missing

MARK = "AVATAR_FORGE "
LOOK = 2.0  # seconds between two looks at progress and resources


def say(**event: Any) -> None:
    print(MARK + json.dumps(event), flush=True)


class Driver:
    """spec: as `client.Batch` or `call.Call` writes it."""

    def __init__(self, spec: dict[str, Any], ray: Any) -> None:
        self.spec, self.ray = spec, ray
        retries = {"max_retries": spec["retries"], "num_cpus": 1}
        resources = spec["resources"]
        self._generate = ray.remote(**retries, resources=resources)(stages.generate)
        self._call = ray.remote(**retries, resources=resources)(stages.call)
        self._finish = ray.remote(**retries, resources=resources if spec.get("rig_needs") else {})(stages.finish)
        self._pending: dict[Any, tuple[str, str, bool]] = {}  # task -> (name, picture, is the last stage)
        self._failed = 0
        self._missing: str | None = None
        self._shown: dict[str, Any] = {}

    def run(self) -> int:
        """How many avatars failed."""
        first = self._call if "call" in self.spec else self._finish if self.spec["whole"] else self._generate
        for name, picture in self.spec["items"]:
            self._pending[first.remote(self.spec, name, picture)] = (name, picture, first is not self._generate)
        self._say_missing()
        looked = time.monotonic()
        while self._pending:
            done, _ = self.ray.wait(list(self._pending), num_returns=1, timeout=LOOK)
            for task in done:
                self._ended(task, *self._pending.pop(task))
            if time.monotonic() - looked >= LOOK:
                looked = time.monotonic()
                self._say_progress()
                self._say_missing()
        return self._failed

    def _ended(self, task: Any, name: str, picture: str, is_last: bool) -> None:
        try:
            result = self.ray.get(task)
        except Exception as error:  # Ray wraps what a task raises, and has many of its own
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, stages.StageError):
                code, message = cause.code, str(cause)
            elif "No module named 'backend'" in str(error):
                code, message = "cluster_root", f"Avatar Forge is not in {stages.ROOT} on a worker; copy it there."
            else:
                code = "worker_lost"
                message = f"The worker was lost too often ({type(error).__name__}); start the batch again to continue."
            self._failed += 1
            say(event="avatar", row={"name": name, "status": "failed", "code": code, "note": message})
            return
        if is_last:
            say(event="avatar", row={**result, "name": name})
        else:
            self._pending[self._finish.remote(self.spec, name, picture)] = (name, picture, True)

    def _say_progress(self) -> None:
        for name, _, _ in self._pending.values():
            try:
                path = Path(self.spec["folder"]) / "progress" / f"{name}.json"
                note = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if self._shown.get(name) != note:
                self._shown[name] = note
                say(event="progress", name=name, **note)

    def _say_missing(self) -> None:
        needed = self.spec.get("rig_needs") or any(not is_last for _, _, is_last in self._pending.values())
        wanted = self.spec["resources"] if needed or "call" in self.spec else {}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        short = missing(nodes, wanted)
        message = advice(short, self.ray.get_runtime_context().gcs_address) if short else ""
        if message == self._missing:
            return
        if message or self._missing:
            say(event="waiting", code="no_resource" if message else "", message=message or "A worker has joined.")
        else:
            say(event="offered")  # whatever the client has seen before
        self._missing = message


def why_not_joined(said: str, version: str) -> dict[str, str]:
    """code, message and hint. said: Ray's exception; version: of Ray in this process."""
    if versions := re.search(r"started with:\s*Ray: (\S+)\s*Python: (\S+)", said):
        own = f"Ray {version} and Python {platform.python_version()}"
        message = f"The cluster runs Ray {versions[1]} and Python {versions[2]}, but {sys.executable} has {own}."
        return {"code": "cluster_version", "message": message, "hint": "Use the same versions on every node."}
    reason = " ".join(said.split()).rstrip(".")[:300]
    return {"code": "cluster_failed", "message": f"The job could not join the cluster ({reason}).", "hint": ""}


def main(arguments: list[str]) -> int:
    try:
        spec = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"The head {socket.gethostname()} cannot read {arguments[0]} ({reason})."
        hint = "Mount the shared folder on every node, under the path that is set for the nodes."
        say(event="failed", code="files", message=message, hint=hint)
        return 1
    try:
        import ray
    except ImportError:
        say(event="failed", code="no_ray", message=f"Ray is not installed in {sys.executable} on the cluster's head.")
        return 1
    try:
        ray.init(address="auto", log_to_driver=False)
    except Exception as error:  # a version that differs is a RuntimeError, an absent head a ConnectionError
        say(event="failed", **why_not_joined(str(error), ray.__version__))
        return 1
    say(event="started", ray=ray.__version__)
    return 1 if Driver(spec, ray).run() else 0  # a job that failed is not attached to: the same batch tries again


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
