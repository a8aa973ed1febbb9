# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds JSON objects in what a client sends. No bpy.

The protocol has no delimiter: a message is one JSON object, and the next one may follow in the same packet. Every
byte is looked at once. What is not JSON ends the connection; nothing is ever skipped to find a later "{", because the
body of a web page's request begins with one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

DEEPEST = 64  # nested objects and lists
MOST_TOKENS = 200_000  # strings, objects and lists in one message: what parsing it may cost
_HEAD = 4096  # bytes in which the command's name must stand if its message is to be long

_SPACE = re.compile(rb"[ \t\r\n]*")
_OUTSIDE = re.compile(rb"[ \t\r\n,:0-9+\-.eEtrufalsn]*")  # what may stand between strings and brackets
_INSIDE = re.compile(rb'[^"\\\x00-\x1f]*')
_TYPE = re.compile(rb'\{[ \t\r\n]*"type"[ \t\r\n]*:[ \t\r\n]*"([A-Za-z0-9_.-]{1,64})"')
_METHOD = re.compile(rb"[A-Z]{1,16}")
_CLOSES = {ord("{"): ord("}"), ord("["): ord("]")}
_QUOTE, _BACKSLASH, _OPENS = ord('"'), ord("\\"), ord("{")


class Malformed(Exception):
    """The connection cannot go on. kind: "http", "tls", "json", "size", "depth"; `str()` is one sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class Decoder:
    """`feed` bytes as they come; it returns the messages that are complete. longest: command name ("" while unknown)
    -> most bytes.
    """

    longest: Callable[[str], int]
    _buffer: bytearray = field(default_factory=bytearray)
    _at: int = 0  # the first byte that was not looked at
    _stack: list[int] = field(default_factory=list)  # the brackets that have to come
    _in_string: bool = False
    _tokens: int = 0

    @property
    def pending(self) -> int:
        """Bytes of a message that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Raises Malformed. A message is returned only with everything before it in order."""
        self._buffer += data
        messages = []
        while (end := self._scan()) is not None:
            message = bytes(self._buffer[:end])
            del self._buffer[:end]
            self._at, self._tokens = 0, 0
            messages.append(_parse(message))
        self._check_size()
        return messages

    def _scan(self) -> int | None:
        """Goes on to the end of the object, and returns where that is, or None while it has not come."""
        buffer, at = self._buffer, self._at
        if not self._stack:
            start = _SPACE.match(buffer).end()  # type: ignore[union-attr]
            del buffer[:start]
            at = 0
            if not buffer:
                return None
            if buffer[0] != _OPENS:
                self._refuse_opening()
                return None
        size = len(buffer)
        while at < size:
            if self._in_string:
                at = _INSIDE.match(buffer, at).end()  # type: ignore[union-attr]
                if at >= size:
                    break
                if buffer[at] == _BACKSLASH:
                    if at + 1 >= size:  # what it escapes has not come
                        break
                    at += 2
                    continue
                if buffer[at] != _QUOTE:
                    raise Malformed("json", "A string contains a control character; the connection is closed.")
                self._in_string = False
                at += 1
                continue
            at = _OUTSIDE.match(buffer, at).end()  # type: ignore[union-attr]
            if at >= size:
                break
            if self._token(buffer[at]):
                self._at = 0
                return at + 1
            at += 1
        self._at = at
        return None

    def _token(self, byte: int) -> bool:
        """A quote or a bracket outside strings; True when the whole object is closed."""
        self._tokens += 1
        if self._tokens > MOST_TOKENS:
            raise Malformed("size", f"A message has more than {MOST_TOKENS} parts; the connection is closed.")
        if byte == _QUOTE:
            self._in_string = True
        elif byte in _CLOSES:
            self._stack.append(_CLOSES[byte])
            if len(self._stack) > DEEPEST:
                raise Malformed("depth", f"A message is nested more than {DEEPEST} deep; the connection is closed.")
        elif self._stack[-1] == byte:
            self._stack.pop()
            return not self._stack
        else:
            raise Malformed("json", "This is not JSON; the connection is closed.")
        return False

    def _check_size(self) -> None:
        name = _TYPE.match(self._buffer[:_HEAD]) if len(self._buffer) > self.longest("") else None
        limit = self.longest(name[1].decode("ascii") if name else "")
        if len(self._buffer) > limit:
            raise Malformed("size", f"A message is longer than {limit} bytes; the connection is closed.")

    def _refuse_opening(self) -> None:
        """Raises Malformed, unless more bytes are needed to tell what the peer speaks."""
        head = bytes(self._buffer[:32])
        if head[0] == 0x16 and len(head) == 1:
            return
        if head[:2] == b"\x16\x03":
            raise Malformed("tls", "A client tried to use TLS, which this socket does not support.")
        if method := _METHOD.match(head):
            if method.end() == len(head) < 16:
                return
            if head[method.end() : method.end() + 1] == b" ":
                raise Malformed("http", "A browser or another HTTP client tried to connect; it was refused.")
        raise Malformed("json", "This is not JSON; the connection is closed.")


def _parse(message: bytes) -> dict[str, Any]:
    try:
        return json.loads(message.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:  # UnicodeDecodeError is one
        raise Malformed("json", f"This is not JSON ({problem}); the connection is closed.") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
