# SPDX-License-Identifier: GPL-3.0-or-later
"""Picture servers: OpenAI's /v1/images/generations, and ComfyUI's /prompt with a workflow of the user's.

Sources: OpenAI API reference, "Create image"; ComfyUI server routes /prompt, /history, /view, /queue, /interrupt.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from ..errors import BackendError
from .http import Server

SIZE = "1024x1536"  # upright, and one that OpenAI's own models offer
PATIENCE = 900.0  # seconds for a ComfyUI job
POLL = 0.5
# What servers of OpenAI's kind may not know; left out one after the other when a request is refused.
OPTIONAL = ("seed", "response_format", "size")
FIELDS = {"prompt": "6.text", "seed": "3.seed", "count": "5.batch_size"}  # of the workflow that is shipped
WORKFLOW = Path(__file__).with_name("comfyui_workflow.json")


class Pictures(Protocol):
    """A server that makes pictures."""

    def make(self, prompt: str, seed: int, count: int, wait: Callable[[], None]) -> list[bytes]:
        """Up to `count` picture files. wait: called while it works, and may raise to stop. Raises BackendError."""


@dataclass(frozen=True)
class OpenAIPictures:
    server: Server
    model: str = ""

    def make(self, prompt: str, seed: int, count: int, wait: Callable[[], None]) -> list[bytes]:
        wait()
        body: dict[str, Any] = {"prompt": prompt, "n": count, "size": SIZE, "response_format": "b64_json", "seed": seed}
        if self.model:
            body["model"] = self.model
        return [self._file(entry) for entry in self._entries(self._post(body))][:count]

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        for left_out in (*OPTIONAL, None):
            try:
                return self.server.post("/v1/images/generations", body)
            except BackendError as error:
                if error.code != "refused" or left_out is None:
                    raise BackendError("text_server", error.message, error.hint) from error
                body = {name: value for name, value in body.items() if name != left_out}
        raise AssertionError("the last attempt returns or raises")

    def _entries(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        data = answer.get("data")
        if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data) or not data:
            raise self.server.wrong("its answer has no pictures")
        return data

    def _file(self, entry: dict[str, Any]) -> bytes:
        if isinstance(entry.get("b64_json"), str):
            try:
                return base64.b64decode(entry["b64_json"], validate=True)
            except (binascii.Error, ValueError):
                raise self.server.wrong("a picture is not in base64") from None
        if isinstance(entry.get("url"), str):
            return self.server.file(entry["url"])
        raise self.server.wrong("an entry of its answer has no picture")


@dataclass(frozen=True)
class ComfyPictures:
    """workflow: as "Export (API)" of ComfyUI writes it; fields: prompt, seed and count -> NODE.INPUT of it; count may
    be missing, and the workflow then runs once a picture.
    """

    server: Server
    workflow: dict[str, Any]
    fields: dict[str, str]

    @classmethod
    def load(cls, server: Server, path: Path | None = None, fields: dict[str, str] | None = None) -> ComfyPictures:
        """The workflow in a file of the user's, else the one that is shipped. Raises BackendError: bad_workflow."""
        file = path or WORKFLOW
        try:
            workflow = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _bad_workflow(file, f"it cannot be read ({type(error).__name__})") from None
        named = {name: field for name, field in (fields or FIELDS).items() if field}
        made = cls(server, workflow, named)
        if not isinstance(workflow, dict) or "nodes" in workflow:
            raise _bad_workflow(file, "it is not in the API format")
        for name in ("prompt", "seed"):
            if name not in named:
                raise _bad_workflow(file, f"the field for the {name} is not named")
        for name, field in named.items():
            node, _, key = field.partition(".")
            inputs = workflow.get(node, {}).get("inputs") if isinstance(workflow.get(node), dict) else None
            if not isinstance(inputs, dict) or key not in inputs:
                raise _bad_workflow(file, f"it has no field {field[:60]} for the {name}")
        return made

    def make(self, prompt: str, seed: int, count: int, wait: Callable[[], None]) -> list[bytes]:
        rounds = 1 if "count" in self.fields else count
        found: list[bytes] = []
        for k in range(rounds):
            found += self._run({"prompt": prompt, "seed": seed + k, "count": count}, wait)
        return found[:count]

    def _run(self, values: dict[str, Any], wait: Callable[[], None]) -> list[bytes]:
        workflow = copy.deepcopy(self.workflow)
        for name, field in self.fields.items():
            node, _, key = field.partition(".")
            workflow[node]["inputs"][key] = values[name]
        answer = self.server.post("/prompt", {"prompt": workflow, "client_id": uuid.uuid4().hex})
        job = answer.get("prompt_id")
        if not isinstance(job, str):
            raise self.server.wrong("it did not accept the workflow")
        try:
            outputs = self._outputs(job, wait)
        except BaseException:
            self._stop(job)
            raise
        return [self.server.file("/view?" + urlencode(image)) for image in outputs]

    def _outputs(self, job: str, wait: Callable[[], None]) -> list[dict[str, str]]:
        """The pictures that a job has saved, once it is done."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            wait()
            entry = self.server.get(f"/history/{job}").get(job)
            if isinstance(entry, dict):
                status = entry.get("status") or {}
                if isinstance(status, dict) and status.get("status_str") == "error":
                    raise self.server.wrong("the workflow failed there")
                return self._saved(entry)
            time.sleep(POLL)
        raise self.server.wrong(f"the workflow was not done after {PATIENCE / 60:.0f} minutes")

    def _saved(self, entry: dict[str, Any]) -> list[dict[str, str]]:
        outputs = entry.get("outputs")
        if not isinstance(outputs, dict):
            raise self.server.wrong("its answer has no outputs")
        images = [image for node in outputs.values() if isinstance(node, dict) for image in node.get("images") or []]
        kept = [image for image in images if isinstance(image, dict) and image.get("type") != "temp"] or images
        if not kept:
            raise self.server.wrong("the workflow has saved no picture")
        names = ("filename", "subfolder", "type")
        return [{name: str(image.get(name, "")) for name in names} for image in kept]

    def _stop(self, job: str) -> None:
        """Takes a job back that nobody waits for any more; what the server says to that does not matter."""
        for path, body in (("/queue", {"delete": [job]}), ("/interrupt", {"prompt_id": job})):
            try:
                Server(self.server.title, self.server.url, self.server.key, timeout=2.0).post(path, body)
            except BackendError:
                continue


def _bad_workflow(file: Path, reason: str) -> BackendError:
    return BackendError(
        "bad_workflow",
        f"The ComfyUI workflow {file.name} cannot be used: {reason}.",
        "Export it from ComfyUI with Export (API) and name its fields in the preferences.",
    )
