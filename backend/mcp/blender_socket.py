# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the add-on inside Blender over its socket: one JSON object each way, without delimiter (docs/vscode.md)."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HOST, PORT = "127.0.0.1", 9876
PORT_VARIABLE, TOKEN_VARIABLE = "BLENDER_PORT", "AVATAR_FORGE_TOKEN"
TOKEN_FILE = "AVATAR_FORGE_TOKEN_FILE"  # only the user can read it; VS Code passes it on, unlike what it asks for
LONGEST_REPLY = 8_000_000  # bytes; the add-on's are below one million
TIMEOUT = 20.0  # seconds for one command

NOBODY = (
    "Blender does not answer on 127.0.0.1:{port}. Ask the user to open Blender and start the MCP server there: 3D"
    " viewport, sidebar (N), tab Avatar, panel MCP Server, Start."
)


STRANGE = "Blender's answer cannot be understood; update Avatar Forge in Blender and restart it."


class BlenderError(Exception):
    """What Blender refused, or that it does not answer, as a sentence for the model and the user."""


class BlenderBusy(BlenderError):
    """It has not answered in time; what was asked may still be done."""


class Blender:
    """token: for an add-on that asks for one. Every question has a connection of its own, so none is ever stale."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self._token = token

    @property
    def token(self) -> str:
        """What was given, else what the file of AVATAR_FORGE_TOKEN_FILE says now, else AVATAR_FORGE_TOKEN."""
        if self._token is not None:
            return self._token
        if file := os.environ.get(TOKEN_FILE):
            try:
                return Path(file).read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                raise BlenderError(
                    f"The token file {file} cannot be read. Ask the user to press Set Up VS Code in Blender again."
                ) from error
        return os.environ.get(TOKEN_VARIABLE, "")

    def ask(self, command: str, timeout: float = TIMEOUT, needs: Sequence[str] = (), **params: Any) -> dict[str, Any]:
        """The command's result. needs: what it must have in it. Parameters that are None are left out. Raises
        BlenderError, BlenderBusy.
        """
        message = {"type": command, "params": {name: value for name, value in params.items() if value is not None}}
        reply = self._exchange(message | ({"token": self.token} if self.token else {}), timeout)
        if not isinstance(reply, dict):
            raise BlenderError(STRANGE)
        if reply.get("status") == "error":
            raise BlenderError(str(reply.get("message")))
        result = reply.get("result")
        if not isinstance(result, dict) or not set(needs) <= result.keys():
            raise BlenderError(STRANGE)
        return result

    def _exchange(self, message: dict[str, Any], timeout: float) -> Any:
        until = time.monotonic() + timeout
        try:
            with socket.create_connection((HOST, self.port), timeout=5.0) as connection:
                connection.settimeout(timeout)
                connection.sendall(json.dumps(message, allow_nan=False).encode("ascii"))
                return _receive(connection, until)
        except TimeoutError as error:
            busy = "it may be busy with something long, or wait for the user's answer to a question"
            raise BlenderBusy(
                f"Blender has not answered {message['type']} in {timeout:.0f} seconds; {busy}."
            ) from error
        except RecursionError as error:
            raise BlenderError(STRANGE) from error
        except OSError as error:
            raise BlenderError(NOBODY.format(port=self.port)) from error
        except ValueError as error:
            raise BlenderError(f"The request cannot be written as JSON ({error}).") from error


def _receive(connection: socket.socket, until: float) -> Any:
    """One JSON object. A closing brace may be the last one, so only then is it parsed."""
    received = bytearray()
    while True:
        connection.settimeout(max(until - time.monotonic(), 0.001))
        part = connection.recv(1 << 16)
        if not part:
            raise ConnectionError("closed")
        received += part
        if len(received) > LONGEST_REPLY:
            raise BlenderError("Blender's answer is too long; ask for less.")
        if received.rstrip().endswith(b"}"):
            try:
                return _writable(json.loads(received))
            except ValueError:
                continue


def _writable(reply: Any) -> Any:
    """Half a surrogate pair, as names of files may have, becomes "?": no client could be told it."""
    return json.loads(json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace"))
