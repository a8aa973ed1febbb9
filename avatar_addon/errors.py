# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that carries a sentence for the user, and the words of other programs' exceptions in one."""

from __future__ import annotations

import re

PLACES = re.compile(r"\s*(Location:|File |Traceback )")
SEVERITY = re.compile(r"^Error:\s+")
# The file that the sentence names anyway, and a reason that is empty.
OWN_PATH = re.compile(r"""\s*(["'])(?:/|[A-Za-z]:[/\\])(?:(?!\1).)*\1|\s*\(\)""")
FAULT = re.compile(r"(?:\w+\.)*([A-Z]\w*(?:Error|Exception))\b")


class AvatarError(Exception):
    """A step cannot go on. `str()` is one sentence for the user: what, why, what to do next.

    `code` is stable and for programs (batch summary, socket); it is never shown alone.
    """

    def __init__(self, message: str, code: str = "failed") -> None:
        super().__init__(message)
        self.code = code


def reason_of(error: BaseException) -> str:
    """Why the system refused, as part of a sentence: "no space left on device"."""
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".").lower()


def last_line(error: BaseException) -> str:
    """The last thing that an error says, as part of a sentence; not where in a package it was raised."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    lines = [line for line in lines if not PLACES.match(line)]
    return lines[-1].strip().rstrip(".") if lines else type(error).__name__


def why_not_read(error: BaseException) -> str:
    """What an importer says of a file, as part of a sentence. Python's words for what it stumbled over help nobody."""
    said = OWN_PATH.sub("", SEVERITY.sub("", last_line(error)))
    fault = FAULT.match(said)
    return f"its content is not understood: {fault[1]}" if fault else said
