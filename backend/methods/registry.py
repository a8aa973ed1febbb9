# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's methods: how they are declared, and how a request becomes a call.

    @method("visemes")
    def visemes(job: Job, sound: File) -> dict[str, Any]: ...

A parameter without a default is required; its annotation says what it may be (`params`).
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, get_args, get_origin, get_type_hints

from ..engines import Progress
from ..errors import BackendError
from ..registry import Engines
from ..staging import Staging
from .params import PLAIN, Check, ParamError


class Job(Protocol):
    """What a method gets of the worker."""

    staging: Staging | None  # set by a method that writes files; its folder is cleared when the job fails

    @property
    def progress(self) -> Progress: ...

    @property
    def is_cancelled(self) -> bool: ...

    @property
    def is_abandoned(self) -> bool:
        """Nobody has asked to stop, but the client is gone; also `is_cancelled`."""

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls the part that may take long: an interrupt breaks into it."""

    def engines(self, kind: str) -> Engines: ...


@dataclass(frozen=True)
class Param:
    check: Callable[[str, Any], Any]
    required: bool
    default: Any


@dataclass(frozen=True)
class Method:
    name: str
    run: Callable[..., dict[str, Any]]
    params: dict[str, Param]

    def checked(self, params: dict[str, Any]) -> dict[str, Any]:
        """The complete, typed parameters. Raises BackendError: bad_params, unreadable."""
        for name in params:
            if name not in self.params:
                takes = ", ".join(self.params) or "none"
                raise ParamError(f"'{self.name}' has no parameter {name[:40]!r}; it takes {takes}.")
        checked = {}
        for name, param in self.params.items():
            value = params.get(name)
            if value is None:
                if param.required:
                    raise ParamError(f"'{self.name}' needs the parameter '{name}'.")
                checked[name] = param.default
            else:
                checked[name] = param.check(name, value)
        return checked


METHODS: dict[str, Method] = {}


def method(name: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """Declares a method of the worker: a function of a `Job` and named parameters that returns what JSON can carry."""

    def declare(run: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        hints = get_type_hints(run, include_extras=True)
        _, *parameters = inspect.signature(run).parameters.values()
        METHODS[name] = Method(name, run, {p.name: _param(p, hints[p.name]) for p in parameters})
        return run

    return declare


def find(name: str) -> Method:
    """Raises BackendError with the code unknown_method."""
    if name not in METHODS:
        raise BackendError(
            "unknown_method",
            f"The backend has no method {name[:40]!r}.",
            f"The methods are {', '.join(METHODS)} and cancel.",
        )
    return METHODS[name]


def _param(parameter: inspect.Parameter, hint: Any) -> Param:
    required = parameter.default is inspect.Parameter.empty
    return Param(_check_of(hint), required, None if required else parameter.default)


def _check_of(hint: Any) -> Callable[[str, Any], Any]:
    """The check that an annotation asks for; `| None` is what a default is for."""
    if isinstance(hint, types.UnionType) or (get_origin(hint) is not None and types.NoneType in get_args(hint)):
        (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
    if get_origin(hint) is Annotated:
        return next(note.check for note in get_args(hint)[1:] if isinstance(note, Check))
    return PLAIN[get_origin(hint) or hint]
