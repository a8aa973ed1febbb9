# SPDX-License-Identifier: GPL-3.0-or-later
"""The method hello: what this backend is and can do."""

from __future__ import annotations

import os
import platform
from typing import Any

from ..protocol import VERSION
from ..registry import Engines
from .registry import Job, method


@method("hello")
def hello(job: Job, engines: bool = True) -> dict[str, Any]:
    """engines: also what there is of them, for which every engine is imported; without, only what the client's
    handshake needs.
    """
    return describe(job.engines("generators"), job.engines("riggers")) if engines else _greeting()


def describe(generators: Engines, riggers: Engines) -> dict[str, Any]:
    """The whole answer; also the self-check `python -m backend hello`."""
    return {**_greeting(), "generators": generators.describe(), "riggers": riggers.describe()}


def _greeting() -> dict[str, Any]:
    return {"version": VERSION, "python": platform.python_version(), "pid": os.getpid()}
