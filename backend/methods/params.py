# SPDX-License-Identifier: GPL-3.0-or-later
"""The types that parameters of the worker's methods have, and one sentence when a value is wrong.

A method (see `registry.method`) names them as its parameters' annotations.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from ..errors import BackendError, reason_of

FURTHER_SIDES = ("left", "back", "right")
LONGEST_PATH, LONGEST_NAME = 4000, 255  # bytes
EYES_AND_MOUTH = ("leftEye", "rightEye", "mouth")


class ParamError(BackendError):
    def __init__(self, message: str, hint: str = "See docs/architecture.md for the parameters of each method.") -> None:
        super().__init__("bad_params", message, hint)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ParamError(f"'{name}' must be a non-empty string.")
    return value


def _path(name: str, value: Any) -> Path:
    text = _text(name, value)
    try:
        longest = max((len(os.fsencode(part)) for part in Path(text).parts), default=0)
        usable = len(os.fsencode(text)) <= LONGEST_PATH and longest <= LONGEST_NAME
    except UnicodeError:
        usable = False
    if not usable or any(unicodedata.category(letter) == "Cc" for letter in text):
        raise ParamError(f"'{name}' is not a usable path.")
    if not Path(text).is_absolute():
        raise ParamError(f"'{name}' must be an absolute path, but is {text[:200]!r}.")
    return Path(text)


def _file(name: str, value: Any) -> Path:
    """A file that exists and can be opened, so that a wrong path is told apart from a failure of the engine."""
    path = _path(name, value)
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise OSError(0, "it is not a file")
        with path.open("rb"):
            return path
    except OSError as error:
        reason = "it does not exist" if isinstance(error, FileNotFoundError) else reason_of(error)
        raise BackendError(
            "unreadable", f"The {name} {path} cannot be read: {reason}.", "Check the path and its permissions."
        ) from error


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ParamError(f"'{name}' must be true or false.")
    return value


def _seed(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**32:
        raise ParamError(f"'{name}' must be an integer from 0 to 4294967295.")
    return value


def _whole(name: str, value: Any) -> int:
    if type(value) is not int:
        raise ParamError(f"'{name}' must be a whole number.")
    return value


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ParamError(f"'{name}' must be an object.")
    return value


def _texts(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ParamError(f"'{name}' must be an object of strings.")
    return value


def _word(name: str, value: Any) -> str:
    """A string that may be empty, as preferences are."""
    if not isinstance(value, str):
        raise ParamError(f"'{name}' must be a string.")
    return value


def _numbers(name: str, value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or any(type(number) not in (int, float) for number in value.values()):
        raise ParamError(f"'{name}' must be an object of numbers.")
    return value


def _files(name: str, value: Any) -> dict[str, Path]:
    return {key: _file(f"{name}.{key[:40]}", path) for key, path in _object(name, value).items()}


def _views(name: str, value: Any) -> dict[str, Path]:
    """Further sides of what the picture shows from the front."""
    for key in _object(name, value):
        if key not in FURTHER_SIDES:
            raise ParamError(f"'{name}' has no side {key[:40]!r}; it takes {', '.join(FURTHER_SIDES)}.")
    return _files(name, value)


def _file_list(name: str, value: Any) -> list[Path]:
    if not isinstance(value, list) or not value:
        raise ParamError(f"'{name}' must be a list of paths.")
    return [_file(name, path) for path in value]


def _notes(name: str, value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list):
        raise ParamError(f"'{name}' must be a list of objects.")
    return [_texts(name, note) for note in value]


def _point(name: str, value: Any, size: int) -> list[float]:
    if not isinstance(value, list) or len(value) != size or any(type(number) not in (int, float) for number in value):
        raise ParamError(f"{name} must be {size} numbers.")
    return [float(number) for number in value]


def _points(name: str, value: Any, size: int) -> dict[str, list[float]]:
    return {key: _point(f"'{name}.{key[:40]}'", point, size) for key, point in _object(name, value).items()}


def _joints(name: str, value: Any) -> dict[str, list[float]]:
    return _points(name, value, 3)


def _markers(name: str, value: Any) -> dict[str, Any]:
    """`{"joints": {name: [x, y]}, "face": {"leftEye": [x, y] or {"center": [x, y], ...}, ...}}`, any subset; the
    values are kept.
    """
    markers = _object(name, value)
    for key in markers:
        if key not in ("joints", "face"):
            raise ParamError(f"'{name}' has no entry {key[:40]!r}; it takes joints and face.")
    _points(f"{name}.joints", markers.get("joints", {}), 2)
    for key, entry in _object(f"{name}.face", markers.get("face", {})).items():
        if key == "confidence":
            continue
        if key not in EYES_AND_MOUTH:
            raise ParamError(f"'{name}.face' has no entry {key[:40]!r}; it takes {', '.join(EYES_AND_MOUTH)}.")
        if isinstance(entry, dict):
            sizes = {field: number for field, number in entry.items() if field != "center"}
            if any(type(number) not in (int, float) or number <= 0 for number in sizes.values()):
                raise ParamError(f"'{name}.face.{key}' must have sizes that are positive numbers.")
            entry = entry.get("center")
        _point(f"'{name}.face.{key}'", entry, 2)
    return markers


@dataclass(frozen=True)
class Check:
    """In `Annotated`: check(name, value) returns the value to use or raises BackendError."""

    check: Callable[[str, Any], Any]


File = Annotated[Path, Check(_file)]  # an absolute path of a file that can be read
Files = Annotated[dict[str, Path], Check(_files)]
Views = Annotated[dict[str, Path], Check(_views)]  # side -> a picture of it
FileList = Annotated[list[Path], Check(_file_list)]
Seed = Annotated[int, Check(_seed)]
Word = Annotated[str, Check(_word)]  # a text that may be empty
Texts = Annotated[dict[str, str], Check(_texts)]
Numbers = Annotated[dict[str, float], Check(_numbers)]
Notes = Annotated[list[dict[str, str]], Check(_notes)]
Joints = Annotated[dict[str, list[float]], Check(_joints)]  # in metres, glTF axes
Markers = Annotated[dict[str, Any], Check(_markers)]
# What a bare type means.
PLAIN: dict[Any, Callable[[str, Any], Any]] = {
    bool: _flag,
    int: _whole,
    str: _text,
    Path: _path,
    dict: _object,
}
