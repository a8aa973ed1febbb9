# SPDX-License-Identifier: GPL-3.0-or-later
"""The REST API of Ray's head with the standard library: jobs and nodes (Ray's documentation, "Ray Jobs REST API" and
"State API"; tried with Ray 2.60.0).
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..addresses import shown
from ..errors import BackendError, reason_of

OLDEST = (2, 40)  # minor version whose API was the same
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
TIMEOUT, LONG_TIMEOUT = 10.0, 60.0  # seconds; a busy head takes longer to start a job's supervisor than to answer
TOKEN = "RAY_AUTH_TOKEN"  # environment, as Ray itself calls it, where no token is given
PORT = 6379  # of the head for its nodes, as Ray chooses it


@dataclass(frozen=True)
class JobsApi:
    """address: of the head's dashboard, such as http://HEAD:8265. token: of a cluster that asks for one
    (RAY_AUTH_MODE=token). Every method raises BackendError.
    """

    address: str
    token: str = field(default="", repr=False)

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

    def nodes(self) -> list[dict[str, float]]:
        """What each living node offers: resource -> how much."""
        answer = self._ask("GET", "/api/v0/nodes?detail=1")
        rows = ((answer.get("data") or {}).get("result") or {}).get("result") or []
        return [row.get("resources_total") or {} for row in rows if row.get("state") == "ALIVE"]

    def join_address(self) -> str:
        """HOST:PORT that a node joins the cluster at."""
        told = re.search(r"--gcs-address=([^\s\"]+)", json.dumps(self._ask("GET", "/nodes?view=summary")))
        return told[1] if told else f"{urlsplit(self.address).hostname}:{PORT}"

    def submit(self, job: str, entrypoint: str, variables: dict[str, str]) -> bool:
        """Starts a job under its own id; False where that id is there already."""
        body = {"submission_id": job, "entrypoint": entrypoint, "runtime_env": {"env_vars": variables}}
        try:
            self._ask("POST", "/api/jobs/", body, LONG_TIMEOUT)
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

    def _ask(
        self, verb: str, path: str, body: dict[str, Any] | None = None, timeout: float = TIMEOUT
    ) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if token := self.token or os.environ.get(TOKEN, ""):
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.address.rstrip("/") + path, data, headers, method=verb)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise BackendError(
                    "cluster_token",
                    f"The cluster at {shown(self.address)} did not accept the token.",
                    f"Enter its token in the preferences, or set {TOKEN} before you start Blender.",
                ) from error
            said = error.read(20_000).decode("utf-8", "replace")
            if "already exists" in said:
                reason = "the job already exists"
            else:
                reason = next((line for line in reversed(said.splitlines()) if line.strip()), error.reason)[:200]
            message = f"The cluster at {shown(self.address)} refused ({error.code}: {reason})."
            raise BackendError("cluster_refused", message, "See its log.") from error
        except (OSError, ValueError) as error:
            cause: object = getattr(error, "reason", error)
            if isinstance(cause, TimeoutError):
                raise BackendError(
                    "cluster_unreachable",
                    f"The Ray cluster at {shown(self.address)} does not answer.",
                    "Check the address and the firewall, or try again when the head is less busy.",
                ) from error
            reason = reason_of(cause)
            raise BackendError(
                "cluster_unreachable",
                f"There is no Ray cluster at {shown(self.address)} ({reason}).",
                "Start it there with `ray start --head`, or correct the address.",
            ) from error
        return found if isinstance(found, dict) else {}
