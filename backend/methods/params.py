# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of each method: what is required, what type it has, and one sentence when it is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BackendError

FURTHER_SIDES = ("left", "back", "right")
EYES_AND_MOUTH = ("leftEye", "rightEye", "mouth")


class ParamError(BackendError):
    def __init__(self, message: str, hint: str = "See docs/architecture.md for the parameters of each method.") -> None:
        super().__init__("bad_params", message, hint)


@dataclass(frozen=True)
class Param:
    """`check(name, value)` returns the value to use or raises BackendError. Without it, a missing parameter takes
    `default`.
    """

    check: Callable[[str, Any], Any]
    required: bool = False
    default: Any = None


def check_params(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The complete, typed parameters of `method`. Raises BackendError with the code bad_params, unknown_method or
    unreadable.
    """
    if method not in METHODS:
        raise BackendError(
            "unknown_method", f"The backend has no method {method[:40]!r}.", f"It has {', '.join(METHODS)} and cancel."
        )
    spec = METHODS[method]
    for name in params:
        if name not in spec:
            raise ParamError(f"'{method}' has no parameter {name[:40]!r}; it takes {', '.join(spec) or 'none'}.")
    checked = {}
    for name, param in spec.items():
        value = params.get(name)
        if value is None:
            if param.required:
                raise ParamError(f"'{method}' needs the parameter '{name}'.")
            checked[name] = param.default
        else:
            checked[name] = param.check(name, value)
    return checked


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ParamError(f"'{name}' must be a non-empty string.")
    return value


def _path(name: str, value: Any) -> Path:
    text = _text(name, value)
    try:
        usable = b"\0" not in os.fsencode(text)
    except UnicodeError:
        usable = False
    if not usable:
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
        reason = (
            "it does not exist"
            if isinstance(error, FileNotFoundError)
            else (error.strerror or "unknown reason").lower()
        )
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


METHODS: dict[str, dict[str, Param]] = {
    "hello": {"engines": Param(_flag, default=True)},
    "analyse": {
        "picture": Param(_file, required=True),
        "markers": Param(_markers),
        "draft": Param(_flag, default=False),
        "upright": Param(_path),
    },
    "visemes": {"sound": Param(_file, required=True)},
    "generate": {
        "engine": Param(_text, required=True),
        "picture": Param(_file, required=True),
        "out_dir": Param(_path, required=True),
        "seed": Param(_seed, default=0),
        "options": Param(_object),
        "markers": Param(_markers),
        "pictures": Param(_views, default={}),
    },
    "rig": {
        "rigger": Param(_text, required=True),
        "mesh": Param(_file, required=True),
        "out_dir": Param(_path, required=True),
        "seed": Param(_seed, default=0),
        "joints": Param(_joints),
        "options": Param(_object),
    },
    "locate_face": {"mesh": Param(_file, required=True), "texture": Param(_file), "joints": Param(_joints)},
    "models": {},
    "download_model": {"name": Param(_text, required=True)},
    "remove_model": {"name": Param(_text, required=True)},
    "record": {
        "runs": Param(_path, required=True),
        "run_id": Param(_text, required=True),
        "name": Param(_text, required=True),
        "picture": Param(_file, required=True),
        "files": Param(_files, required=True),
        "request": Param(_object),
        "parameters": Param(_object),
        "versions": Param(_texts),
        "weights": Param(_texts),
        "seconds": Param(_numbers),
        "metrics": Param(_numbers),
        "warnings": Param(_notes),
        "report": Param(_object),
        "tracking_uri": Param(_word, default=""),
    },
    "sync": {"runs": Param(_path, required=True), "tracking_uri": Param(_word, default="")},
    "run_url": {"run_folder": Param(_path, required=True)},
    "promote": {
        "file": Param(_file, required=True),
        "name": Param(_text, required=True),
        "bucket": Param(_text, required=True),
        "endpoint": Param(_word, default=""),
        "prefix": Param(_word, default=""),
        "profile": Param(_word, default=""),
        "region": Param(_word, default=""),
        "run_id": Param(_word, default=""),
        "run_folder": Param(_path),
        "report": Param(_object),
        "override": Param(_word, default=""),
        "urls": Param(_texts, default={}),
        "tracking_uri": Param(_word, default=""),
    },
    "register": {
        "model": Param(_text, required=True),
        "files": Param(_file_list, required=True),
        "variable": Param(_text, default="AllowedAvatarModels"),
        "apply": Param(_flag, default=False),
    },
}
