# SPDX-License-Identifier: GPL-3.0-or-later
"""The small commands of `python -m backend`."""

from __future__ import annotations

import os
import sys

from . import worker as worker_module
from .protocol import encode
from .registry import Engines


def worker(arguments: list[str]) -> int:
    """Serves Blender over stdin and stdout until stdin ends."""
    return worker_module.main()


def hello(arguments: list[str]) -> int:
    """The installer's self-check: prints the answer to `hello` as one line of JSON; status 1 when no generator or no rigger can run."""
    _, sink = worker_module.claim_pipes()
    answer = worker_module.hello(Engines("generators"), Engines("riggers"))
    os.write(sink, encode(answer))
    usable = all(any(engine["available"] for engine in answer[kind]) for kind in ("generators", "riggers"))
    sys.stderr.flush()
    return 0 if usable else 1
