# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the socket: how they are declared, and how one request becomes one reply. No bpy."""

from __future__ import annotations

import inspect
import json
import math
import traceback
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from ...errors import AvatarError

LONGEST_REQUEST = 4 << 20  # bytes
LONGEST_REPLY = 1_000_000  # bytes; the servers parse a reply again at every 8 KiB of it
WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    Sequence: "a list",
    dict: "an object",
}
TOO_LONG = (
    "The answer is {size} bytes long, but the socket can carry only {limit}; ask for less: filter, print or"
    " list only a part of it."
)


class Refusal(Exception):
    """Becomes an error reply with this text."""


@dataclass(frozen=True)
class Later:
    """A handler returns it for a reply that takes some ticks. poll: None while it is not there, then the envelope.

    abandon: called when the client has gone before that.
    """

    poll: Callable[[], dict | Later | None]
    abandon: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Command:
    name: str
    run: Callable[..., Any]
    mutates: bool  # changes the file: one undo step
    longest: int  # bytes of a request
    signature: inspect.Signature
    kinds: dict[str, tuple[type, ...]]  # what each annotated parameter may be


COMMANDS: dict[str, Command] = {}


def command(
    name: str, *, mutates: bool = False, longest: int = LONGEST_REQUEST
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares a handler. It takes keyword parameters, each of which may be None, and returns what JSON can carry.

    A value that does not fit its parameter's annotation is refused before the handler is called.
    """

    def declare(run: Callable[..., Any]) -> Callable[..., Any]:
        kinds = {parameter: _kinds(hint) for parameter, hint in get_type_hints(run).items() if parameter != "return"}
        COMMANDS[name] = Command(name, run, mutates, longest, inspect.signature(run), kinds)
        return run

    return declare


def _kinds(hint: Any) -> tuple[type, ...]:
    """The classes that an annotation allows; empty: anything."""
    parts = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return () if Any in parts else tuple(get_origin(part) or part for part in parts)


def _misfit(known: Command, params: dict[str, Any]) -> str:
    """A sentence about the first parameter that cannot be what was sent, or ""."""
    for name, kinds in known.kinds.items():
        value = params.get(name)
        if value is None or not kinds:
            continue
        number = not isinstance(value, bool) and isinstance(value, int) and float in kinds
        if not number and not (bool in kinds if isinstance(value, bool) else isinstance(value, kinds)):
            wanted = " or ".join(WORDS.get(kind, kind.__name__) for kind in kinds if kind is not types.NoneType)
            return f"{known.name}: {name} must be {wanted}, not {str(value)[:60]!r}."
    return ""


def _has_half(value: Any) -> bool:
    """Whether a text in a request has half a surrogate pair, which Blender cannot take in any name."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return True
    return False


def longest_request(name: str) -> int:
    """Bytes that a request may have; name: "" while it is not known."""
    known = COMMANDS.get(name)
    return known.longest if known else LONGEST_REQUEST


def success(result: Any) -> dict:
    return {"status": "success", "result": result}


def failure(message: str) -> dict:
    return {"status": "error", "message": message}


def answer(request: dict) -> dict | Later:
    """Runs one request on the calling thread: its envelope, or a `Later`. Raises nothing.

    The servers recognise "Unknown command type" and "unexpected keyword argument": those words stay.
    """
    name, params = request.get("type"), request.get("params")
    if not isinstance(name, str):
        return failure('A request is {"type": command, "params": {...}}; this one has no type.')
    if params is not None and not isinstance(params, dict):
        return failure(f"{name}: params must be an object or null.")
    known = COMMANDS.get(name)
    if known is None:
        return failure(f"Unknown command type: {name}")
    try:
        known.signature.bind(**(params or {}))
    except TypeError as problem:
        return failure(f"{name}() {problem}")
    if _has_half(params):
        return failure(f"{name}: the request contains half a character (a lone surrogate); remove it.")
    if misfit := _misfit(known, params or {}):
        return failure(misfit)
    try:
        result = known.run(**(params or {}))
    except (Refusal, AvatarError) as problem:
        return failure(str(problem))
    except (Exception, SystemExit) as problem:  # a fault of ours: the traceback is for the console
        traceback.print_exc()
        return failure(f"{name} failed ({type(problem).__name__}: {problem}); see Blender's console.")
    return result if isinstance(result, Later) else success(result)


def encode(envelope: dict) -> bytes:
    """The envelope as it travels: strict JSON in ASCII. What JSON cannot carry, or is too long, becomes an
    error reply.
    """
    try:
        text = _dump(envelope)
    except (TypeError, ValueError, RecursionError) as problem:
        text = _dump(failure(f"The answer cannot be written as JSON ({problem})."))
    if len(text) > LONGEST_REPLY:
        text = _dump(failure(TOO_LONG.format(size=len(text), limit=LONGEST_REPLY)))
    return text.encode("ascii")


def _dump(value: Any) -> str:
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:  # NaN or infinite
        text = json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))
    if r"\ud" in text:  # half a surrogate pair cannot be written as UTF-8 and ends the server that reads it
        text = json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))
    return text


def _plain(value: Any) -> Any:
    """Numbers that JSON has no word for become null, half surrogate pairs a replacement character."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value
