"""In place of Ray's head, for tests without Ray: its REST API over jobs that this process runs itself.

A job is the driver's command; `work(spec)` does its only task, a single call of an engine, and returns its row. Nothing
is run before a node with the resource has joined.
"""

import contextlib
import json
import shlex
import threading
import time
from pathlib import Path

from . import json_server

VERSION = "2.60.0"
MARK = "AVATAR_FORGE "
NODE = {"CPU": 1.0, "3d_gen": 1.0}


class Head:
    """address: of its API; asked: [(verb, path, headers)]; jobs: id -> {status, log, message, command}."""

    def __init__(self, work, nodes=(NODE,), token=""):
        self.work, self.nodes, self.token = work, [{"CPU": 1.0}, *nodes], token
        self.asked, self.jobs, self.starts = [], {}, 0
        self.go = threading.Event()  # jobs wait for it, so that a test decides what happens before their end
        self.go.set()
        self.version = VERSION

    def submit(self, body):
        job = body["submission_id"]
        if job in self.jobs:
            return 500, {"detail": f"Job with submission_id {job} already exists"}
        self.jobs[job] = {"status": "RUNNING", "log": "noise\n", "message": "", "command": body["entrypoint"]}
        threading.Thread(target=self._run, args=(self.jobs[job],), daemon=True).start()
        return 200, {"submission_id": job}

    def _run(self, job):
        spec = json.loads(Path(shlex.split(job["command"])[-1]).read_text())
        while not any("3d_gen" in node for node in self.nodes) or not self.go.is_set():
            time.sleep(0.01)
            if job["status"] == "STOPPED":
                return
        self.starts += 1
        progress = {"event": "progress", "name": spec["items"][0][0], "stage": "mask", "fraction": 0.5}
        self._say(job, {"event": "offered"}, progress | {"message": "Finding the outline"})
        row = self.work(spec)
        self._say(job, {"event": "avatar", "row": {"name": spec["items"][0][0], **row}})
        job["status"] = "FAILED" if row["status"] == "failed" else "SUCCEEDED"

    def _say(self, job, *events):
        job["log"] += "".join(f"{MARK}{json.dumps(event)}\n" for event in events)

    def answer(self, verb, path, body):
        """(status, JSON)."""
        if path == "/api/version":
            return 200, {"ray_version": self.version}
        if path.startswith("/api/v0/nodes"):
            rows = [{"state": "ALIVE", "resources_total": node} for node in self.nodes]
            return 200, {"data": {"result": {"result": rows}}}
        if path.startswith("/nodes"):
            return 200, {"data": {"summary": [{"cmdline": ["raylet", "--gcs-address=10.0.0.1:6380"]}]}}
        if path == "/api/jobs/" and verb == "POST":
            return self.submit(body)
        job = self.jobs.get(path.removeprefix("/api/jobs/").partition("/")[0])
        if job is None:
            return 404, {"detail": "There is no such job"}
        if path.endswith("/logs"):
            return 200, {"logs": job["log"]}
        if path.endswith("/stop"):
            job["status"] = "STOPPED"
            return 200, {"stopped": True}
        return 200, {"status": job["status"], "message": job["message"]}


@contextlib.contextmanager
def serving(work, **options):
    """A Head that answers on a loopback port."""
    head = Head(work, **options)

    def answer(verb, path, headers, body):
        head.asked.append((verb, path, headers))
        if head.token and headers.get("Authorization") != f"Bearer {head.token}":
            return 401, {"detail": "Unauthorized"}
        return head.answer(verb, path, json.loads(body or "{}"))

    with json_server.serving(answer) as head.address:
        yield head
