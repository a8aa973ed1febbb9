# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds generators and riggers by name: the built-in ones and those of installed packages.

A package adds an engine with an entry point in the group `avatar_forge.generators` or `avatar_forge.riggers`; its
name is the engine's name, its object a class (made without arguments) or an instance that follows
`backend.engines.Generator` or `Rigger`. What an engine may say of itself besides: see `backend.engines.Described`. Its
module should import quickly and leave heavy libraries to
the first job, because `hello` loads every engine.
"""

from __future__ import annotations

import contextlib
import logging
from importlib import metadata
from typing import Any

from .errors import BackendError
from .models import store
from .models.store import Model
from .options import Option, check_options

log = logging.getLogger(__name__)

BUILT_IN = {
    "generators": {
        "preview": "backend.preview.engine:PreviewGenerator",
        "trellis": "backend.trellis.engine:TrellisGenerator",
        "trellis2": "backend.trellis2.engine:Trellis2Generator",
    },
    "riggers": {
        "geometric": "backend.geometric.rigger:GeometricRigger",
        "unirig": "backend.unirig.engine:UniRigRigger",
        "skintokens": "backend.skintokens.engine:SkinTokensRigger",
    },
}
ENTRY_POINT_MEMBER = {"generators": "generate", "riggers": "rig"}


class Engines:
    """All engines of one kind, "generators" or "riggers". Each is imported once, when it is first asked for."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        group = f"avatar_forge.{kind}"
        self._entry_points = {name: metadata.EntryPoint(name, value, group) for name, value in BUILT_IN[kind].items()}
        for entry_point in metadata.entry_points(group=group):
            if entry_point.name in BUILT_IN[kind]:
                log.warning(
                    "%s wants to replace the built-in engine %s and is ignored", entry_point.value, entry_point.name
                )
            else:
                self._entry_points[entry_point.name] = entry_point
        self._loaded: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """The engine. Raises BackendError with the code unknown_engine or engine_unavailable."""
        if name not in self._entry_points:
            known = ", ".join(sorted(self._entry_points))
            raise BackendError(
                "unknown_engine",
                f"There is no engine named {name[:60]!r} among the {self.kind}.",
                f"Choose one of: {known}.",
            )
        engine = self._load(name)
        if reason := _reason(engine):
            raise BackendError(
                "engine_unavailable",
                f"The engine {name!r} cannot run: {reason}",
                "Choose another engine, or install what it needs in the preferences.",
            )
        return engine

    def describe(self) -> list[dict[str, Any]]:
        """`{name, label, available, reason, options, models, views, seeded}` of every engine, the built-in ones first
        and in the order of the registry; a broken one is listed with the reason, never raised.
        """
        return [self._row(name) for name in self._entry_points]

    def models(self) -> dict[str, tuple[Model, ...]]:
        """The models that each engine needs, by the engine's name; an engine that does not load is left out."""
        found = {}
        for name in self._entry_points:
            with contextlib.suppress(BackendError):
                found[name] = _models(self._load(name))
        return found

    def _row(self, name: str) -> dict[str, Any]:
        row: dict[str, Any] = {"name": name, "label": name, "options": [], "models": [], "views": 1, "seeded": True}
        reason = ""
        try:
            engine = self._load(name)
            reason = _reason(engine)
            row |= {
                "label": str(engine.label),
                "options": [option.to_dict() for option in _options(engine)],
                "models": [model.to_dict() for model in _models(engine)],
                "views": getattr(engine, "views", 1),
                "seeded": bool(getattr(engine, "seeded", True)),
            }
        except BackendError as error:
            reason = error.message
        return row | {"available": not reason, "reason": reason}

    def _load(self, name: str) -> Any:
        if name not in self._loaded:
            try:
                self._loaded[name] = self._make(self._entry_points[name])
            except (Exception, SystemExit) as error:  # third-party code may do anything when it is imported
                log.exception("the engine %s does not load", name)
                reason = f"The engine {name!r} cannot be loaded ({type(error).__name__}: {error})."
                raise BackendError(
                    "engine_unavailable", reason, "Choose another engine or repair the backend."
                ) from error
        return self._loaded[name]

    def _make(self, entry_point: metadata.EntryPoint) -> Any:
        loaded = entry_point.load()
        engine = loaded() if isinstance(loaded, type) else loaded
        for member in ("label", ENTRY_POINT_MEMBER[self.kind]):
            if not hasattr(engine, member):
                raise TypeError(f"it has no {member!r}")
        if not all(isinstance(option, Option) for option in _options(engine)):
            raise TypeError("its options are no backend.options.Option")
        for model in _models(engine):
            store.declare(model)
        return engine


def checked_options(engine: Any, given: dict[str, Any]) -> dict[str, Any]:
    """`given` as the engine describes its options, complete; unchanged for an engine that describes none. Raises
    BackendError: bad_params, or what an option says.
    """
    return check_options(str(engine.label), engine.options, given) if hasattr(engine, "options") else given


def _options(engine: Any) -> tuple[Option, ...]:
    return tuple(getattr(engine, "options", ()))


def _models(engine: Any) -> tuple[Model, ...]:
    return tuple(getattr(engine, "models", ()))


def _reason(engine: Any) -> str:
    """Why the engine says it cannot run, or ""; an engine that fails to say counts as unable."""
    ask = getattr(engine, "unavailable_reason", None)
    try:
        return str(ask() or "") if ask else ""
    except Exception as error:
        log.exception("unavailable_reason failed")
        return f"{type(error).__name__}: {error}"
