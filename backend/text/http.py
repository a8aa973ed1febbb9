# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON and files over HTTP from one server: keys stay with it, answers are limited, errors are one sentence."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..addresses import shown
from ..errors import BackendError, reason_of

CHECK = "Check its address, model and key in the preferences, and that it is running."
WAIT = "It has too much to do; wait a minute and try again."
RETRY = "Try again; if that does not help, read the server's log."
MOST = 64 << 20  # bytes of an answer
PORTS = {"http": 80, "https": 443}


class _SameServer(urllib.request.HTTPRedirectHandler):
    """A redirect to another server, or from https to http, would take the key and the prompt there."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if not is_same_server(req.full_url, newurl):
            raise urllib.error.URLError("it redirects to another server")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def is_same_server(url: str, other: str) -> bool:
    """Whether a secret for the server of `url` may go to `other`: the same scheme, host and port, or https of a host
    that was asked by http.
    """
    try:
        parts = urlsplit(url), urlsplit(other)
        here, there = ((part.scheme, part.hostname, part.port or PORTS.get(part.scheme)) for part in parts)
    except ValueError:  # no address
        return False
    return here == there or (here, there) == (("http", here[1], 80), ("https", here[1], 443))


@dataclass(frozen=True)
class Server:
    """title: what it is for, in error messages; url: its address, with or without the final /v1; key: or ""."""

    title: str
    url: str
    key: str = field(default="", repr=False)
    timeout: float = 300.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key.strip())  # as it is pasted, with the end of the line
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in PORTS and parts.hostname and (parts.port or 1) and self.url.isprintable()
        except ValueError:
            usable = False
        if not usable or parts.username or parts.password:
            raise BackendError(
                "bad_params",
                f"The address of the {self.title} is not usable.",
                "Enter it in the preferences, such as http://127.0.0.1:8000, without a user name or password.",
            )
        if not (self.key.isascii() and self.key.isprintable()):  # the error of a header would repeat it
            raise BackendError(
                "bad_params",
                f"The key of the {self.title} has a character that no key has.",
                "Enter it again in the preferences.",
            )

    def address(self, path: str) -> str:
        """path: with its leading slash; a /v1 that the address ends with is not doubled."""
        base = self.url.rstrip("/")
        if path.startswith("/v1/") and base.endswith("/v1"):
            base = base.removesuffix("/v1")
        return base + path

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises BackendError: text_server; `refused` is in its code's place where the server refuses the request."""
        return self._object(self._ask(self.address(path), json.dumps(body).encode()))

    def get(self, path: str) -> dict[str, Any]:
        return self._object(self._ask(self.address(path)))

    def file(self, address: str) -> bytes:
        """A file of this server. Raises BackendError for an address of another one."""
        full = address if "://" in address else self.address(address)
        if not is_same_server(self.url, full):
            raise self._error("it answered with an address of another server")
        return self._ask(full)

    def _ask(self, address: str, body: bytes | None = None) -> bytes:
        headers = {"Accept": "application/json, */*", "User-Agent": "avatar-forge"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        opener = urllib.request.build_opener(_SameServer)
        try:
            with opener.open(urllib.request.Request(address, body, headers), timeout=self.timeout) as answer:
                return self._whole(answer)
        except urllib.error.HTTPError as error:
            if 300 <= error.code < 400:  # without an end, or to where a request with a body does not follow
                raise self._error(f"it redirects to another address ({error.code})") from None
            code = "refused" if error.code == 400 else "text_server"
            hint = WAIT if error.code == 429 else RETRY if error.code >= 500 else CHECK
            raise self._error(f"it answered {error.code} ({_reason(error)})", code, hint) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            words = reason_of(getattr(error, "reason", error))[:120]
            message = f"The {self.title} at {shown(self.url)} cannot be reached ({words})."
            raise BackendError("text_server", message, CHECK) from None

    def _whole(self, answer: http.client.HTTPResponse) -> bytes:
        """All of an answer, of a server that sends it whole and in time."""
        until, data = time.monotonic() + self.timeout, bytearray()
        while part := answer.read1(1 << 16):
            data += part
            if len(data) > MOST:
                raise self._error(f"its answer is larger than {MOST >> 20} MB")
            if time.monotonic() > until:
                raise self._error(f"its answer took longer than {self.timeout:.0f} seconds")
        if answer.length:  # bytes that it has announced and not sent
            raise self._error("its answer breaks off", hint=RETRY)
        return bytes(data)

    def _object(self, data: bytes) -> dict[str, Any]:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise self._error("its answer is not JSON") from None
        if not isinstance(value, dict):
            raise self._error("its answer is not a JSON object")
        return value

    def _error(self, reason: str, code: str = "text_server", hint: str = CHECK) -> BackendError:
        reason = reason.replace(self.key, "***") if self.key else reason
        return BackendError(code, f"The {self.title} at {shown(self.url)} failed: {reason}.", hint)

    def wrong(self, reason: str) -> BackendError:
        """The error for an answer that has another shape than its API says."""
        return self._error(reason)


def _reason(error: urllib.error.HTTPError) -> str:
    """What the server says about a refused request, in one line."""
    try:
        told = json.loads(error.read(4096))
        message = told.get("error", told.get("message", ""))
        message = message.get("message", "") if isinstance(message, dict) else message
    except (ValueError, AttributeError, OSError, RecursionError):
        message = ""
    return " ".join(str(message or error.reason).split())[:160]
