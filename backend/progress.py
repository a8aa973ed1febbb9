# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a job is: what an engine says, and how it is sent (avatar_addon/client/process/progress.py receives it).

An engine calls `progress(stage, fraction, message)`. A further field of `Progress` with a default is one that an
engine may give by name; whatever stands in between passes it on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

LONGEST = {"stage": 40, "message": 200, "part": 80}  # letters


@dataclass(frozen=True)
class Progress:
    """stage: a word for the program; fraction: 0..1 of the whole job; message: a phrase for the user; part: which of
    several of the same kind it is about, for the user.
    """

    stage: str
    fraction: float
    message: str
    part: str = ""

    def after(self, before: Progress | None) -> Progress:
        """This one, its fraction not below that of the one before it nor outside 0..1."""
        least = before.fraction if before else 0.0
        fraction = float(self.fraction) if 0.0 <= self.fraction <= 1.0 else 0.0
        return replace(self, fraction=max(least, fraction))

    def to_event(self) -> dict[str, Any]:
        """As the worker sends it; short enough (PIPE_BUF) for one write, so that an interrupt leaves no half line."""
        fields = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return {"event": "progress", **fields, **{name: str(fields[name])[:most] for name, most in LONGEST.items()}}


# What an engine is given to say how far it is: report(stage, fraction, message, **further fields of Progress). Raises
# Cancelled when the user has asked to stop.
Report = Callable[..., None]
