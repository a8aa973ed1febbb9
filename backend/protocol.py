# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's wire format: one JSON object a line, UTF-8 (docs/architecture.md, "The worker's protocol").

Everything that arrives is checked here, so that the worker behind it deals with good requests only.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import BackendError

VERSION = 1
MAX_LINE = 1 << 20  # bytes; meshes travel as files, so a longer line is a mistake
MAX_INTEGER = 2**53  # integers that every JSON reader keeps exact


@dataclass(frozen=True)
class Request:
    """One line from the client. `params` are checked by `backend.methods.params`, which knows the methods."""

    id: int
    method: str
    params: dict[str, Any] = field(default_factory=dict)


class ProtocolError(BackendError):
    """A line that is no request. `id` is that of the request where it could be read, else None (JSON null)."""

    def __init__(self, message: str, request_id: int | None = None) -> None:
        super().__init__("bad_request", message, "Send one JSON object a line: {id, method, params}.")
        self.id = request_id


class LineSplitter:
    """Cuts a byte stream into lines and keeps at most MAX_LINE bytes of one; None stands for a line that was
    too long.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.limit = limit
        self._tail = bytearray()
        self._too_long = False

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self._append(piece)
            yield None if self._too_long else bytes(self._tail)
            self._tail.clear()
            self._too_long = False
        self._append(rest)

    def _append(self, piece: bytes) -> None:
        if len(self._tail) + len(piece) > self.limit:
            self._too_long = True
            self._tail.clear()
        elif not self._too_long:
            self._tail += piece


def parse_request(line: bytes | None) -> Request:
    """A line of `LineSplitter` as a request. Raises ProtocolError, and nothing else, whatever the bytes are."""
    if line is None:
        raise ProtocolError(f"The line is longer than {MAX_LINE} bytes.")
    try:
        message = json.loads(line.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, parse_int=_exact)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"The line is not JSON ({type(error).__name__}).") from error
    if not isinstance(message, dict):
        raise ProtocolError("The line is not a JSON object.")
    request_id = message.get("id")
    if type(request_id) is not int or request_id < 0:
        raise ProtocolError("The request has no 'id' that is a non-negative integer.")
    method, params = message.get("method"), message.get("params", {})
    if not isinstance(method, str):
        raise ProtocolError("The request has no 'method' that is a string.", request_id)
    if not isinstance(params, dict):
        raise ProtocolError("The request's 'params' is not an object.", request_id)
    if unknown := sorted(message.keys() - {"id", "method", "params"}):
        raise ProtocolError(f"The request has the unknown field {unknown[0][:40]!r}.", request_id)
    return Request(request_id, method, params)


def encode(message: dict[str, Any]) -> bytes:
    """A message as one line. Numpy scalars and arrays and paths become JSON; values that are NaN or infinite are left
    out.
    """
    return json.dumps(plain(message), allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def plain(value: Any) -> Any:
    """`value` as JSON types. In an object a non-finite number is dropped with its key ("missing values are absent");
    a list that holds one becomes None, because dropping an item would shift the others, and is dropped in turn.
    """
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        items = ((str(key), item, plain(item)) for key, item in value.items())
        return {key: cleaned for key, item, cleaned in items if cleaned is not None or item is None}
    if isinstance(value, (list, tuple)):
        cleaned = [plain(item) for item in value]
        return (
            None if any(new is None and old is not None for new, old in zip(cleaned, value, strict=True)) else cleaned
        )
    if isinstance(value, os.PathLike):
        return str(Path(value))
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _exact(text: str) -> int:
    value = int(text)
    if abs(value) > MAX_INTEGER:
        raise ValueError("number out of range")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value
