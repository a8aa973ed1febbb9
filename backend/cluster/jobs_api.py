# SPDX-License-Identifier: GPL-3.0-or-later
"""Ray's Jobs REST API with the standard library (Ray's documentation, "Ray Jobs REST API"; tried with Ray 2.60.0)."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from ..addresses import shown
from ..errors import BackendError

OLDEST = (2, 40)  # minor version whose API was the same
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
TIMEOUT = 10.0  # seconds


@dataclass(frozen=True)
class JobsApi:
    """address: of the head's dashboard, such as http://HEAD:8265. Every method raises BackendError."""

    address: str

    def check(self) -> str:
        """Ray's version there. Raises BackendError(cluster_unreachable, bad_params, cluster_version)."""
        if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", self.address):
            raise BackendError(
                "bad_params",
                "The address of the Ray cluster cannot be used.",
                "Enter the address of its dashboard, such as http://head:8265.",
            )
        version = str(self._ask("GET", "/api/version").get("ray_version", ""))
        found = re.match(r"(\d+)\.(\d+)", version)
        if not found or (int(found[1]), int(found[2])) < OLDEST:
            raise BackendError(
                "cluster_version",
                f"The cluster at {shown(self.address)} runs Ray {version or 'of an unknown version'}.",
                f"Avatar Forge needs Ray {OLDEST[0]}.{OLDEST[1]} or newer there, the same version on every node.",
            )
        return version

    def submit(self, job: str, entrypoint: str, variables: dict[str, str]) -> bool:
        """Starts a job under its own id; False where that id is there already."""
        body = {"submission_id": job, "entrypoint": entrypoint, "runtime_env": {"env_vars": variables}}
        try:
            self._ask("POST", "/api/jobs/", body)
        except BackendError as error:
            if "already exists" in error.message:
                return False
            raise
        return True

    def status(self, job: str) -> tuple[str, str]:
        """(PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED; what Ray says of it)."""
        answer = self._ask("GET", f"/api/jobs/{job}")
        return str(answer.get("status")), str(answer.get("message") or "")

    def log(self, job: str) -> str:
        return str(self._ask("GET", f"/api/jobs/{job}/logs").get("logs") or "")

    def stop(self, job: str) -> None:
        self._ask("POST", f"/api/jobs/{job}/stop")

    def _ask(self, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address.rstrip("/") + path, data, {"Content-Type": "application/json"}, method=verb
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read(20_000).decode("utf-8", "replace")
            if "already exists" in said:
                reason = "the job already exists"
            else:
                reason = next((line for line in reversed(said.splitlines()) if line.strip()), error.reason)[:200]
            message = f"The cluster at {shown(self.address)} refused ({error.code}: {reason})."
            raise BackendError("cluster_refused", message, "See its log.") from error
        except (OSError, ValueError) as error:
            cause: object = getattr(error, "reason", error)
            reason = str(getattr(cause, "strerror", None) or cause).rstrip(".").lower()
            raise BackendError(
                "cluster_unreachable",
                f"There is no Ray cluster at {shown(self.address)} ({reason}).",
                "Start it there with `ray start --head`, or correct the address.",
            ) from error
        return found if isinstance(found, dict) else {}
