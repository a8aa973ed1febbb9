# SPDX-License-Identifier: GPL-3.0-or-later
"""Where engines run: on this computer or, as the preferences say, on a Ray cluster, which the backend here speaks to
(docs/cluster.md). What Blender itself does stays here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import bpy

from ..errors import AvatarError
from . import engines, session
from .process import jobs
from .process.tasks import Steps, Wait

LOCAL, RAY = "local", "ray"
ENGINES = {"generate": ("generators", "engine"), "rig": ("riggers", "rigger")}  # method -> kind, parameter
STALL = 3600.0  # seconds; the backend asks the cluster every second, and tells what it hears
# Given for this run of Blender, in place of the preferences'.
_executor: str | None = None
_settings: Settings | None = None


@dataclass(frozen=True)
class Settings:
    """The names are those of the preferences, each with "cluster_" before it. there: the shared folder's path on the
    nodes, "" where it is the same; python, root: the interpreter with Ray and Avatar Forge's folder on the nodes. An
    empty token is looked for in the environment.
    """

    address: str = ""
    shared: str = ""
    there: str = ""
    python: str = ""
    root: str = ""
    token: str = field(default="", repr=False)

    @classmethod
    def current(cls) -> Settings:
        """What `use` was given, else the preferences'; nothing where the checkout runs without being installed."""
        if _settings:
            return _settings
        chosen = session.preferences()
        if chosen is None:
            return cls()
        texts = {one.name: getattr(chosen, f"cluster_{one.name}").strip() for one in fields(cls)}
        shared = str(Path(bpy.path.abspath(texts["shared"])).absolute()) if texts["shared"] else ""
        return cls(**{**texts, "shared": shared})

    def problem(self, shared: bool = True) -> str:
        """Why the cluster cannot be used, or "". shared: whether the folder is needed."""
        if not self.address:
            return "There is no Ray cluster yet; enter the address of its head in the preferences, under Ray Cluster."
        if shared and not self.shared:
            return "The Ray cluster needs a shared folder; choose it in the preferences, under Ray Cluster."
        if not session.may_reach(self.address):
            return (
                "Blender is not allowed to use the internet, so it cannot reach the Ray cluster; allow it in the"
                " preferences under System."
            )
        return ""


def executor() -> str:
    """LOCAL or RAY."""
    return _executor or str(getattr(session.preferences(), "executor", LOCAL))


def use(name: str | None, settings: Settings | None = None) -> None:
    """Overrides the preferences in this run of Blender; None: no longer."""
    global _executor, _settings
    _executor, _settings = name, settings


def runs(kind: str, engine: str) -> bool:
    """Whether the cluster runs this engine: generators, and riggers that need a model. kind: "generators" or
    "riggers".
    """
    return executor() == RAY and (kind == "generators" or bool(engines.models(kind, engine)))


def job(method: str, **params: Any) -> jobs.Job:
    """The worker's job "generate" or "rig", here or on the cluster. Raises AvatarError where the cluster cannot be
    used.
    """
    kind, name = ENGINES[method]
    if not runs(kind, params[name]):
        return jobs.Job(method, **params)
    settings = Settings.current()
    if reason := settings.problem():
        raise AvatarError(reason, "no_cluster")
    given = {one.name: getattr(settings, one.name) for one in fields(settings)}
    return jobs.Job(method, stall_timeout=STALL, cluster={k: v for k, v in given.items() if v}, **params)


def ask() -> Steps:
    """What the cluster offers, a sentence. Raises AvatarError."""
    settings = Settings.current()
    if reason := settings.problem(shared=False):
        raise AvatarError(reason, "no_cluster")
    shared = settings.shared or None
    found = yield Wait(jobs.Job("cluster_offer", address=settings.address, shared=shared, token=settings.token))
    return found["message"]
