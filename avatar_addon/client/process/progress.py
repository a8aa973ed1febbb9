# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a job, a task or an installation is (backend/progress.py sends it).

A further field, with a default, reaches everybody who shows progress: `properties` makes a property of it for the
panels, and the socket sends it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

NUMBERS = (int, float)


@dataclass(frozen=True)
class Progress:
    """stage: a word for the program; fraction: 0..1 of the whole; message: a phrase for the user; part: which of
    several of the same kind it is about, for the user.
    """

    stage: str = ""
    fraction: float = 0.0
    message: str = ""
    part: str = ""

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Progress | None:
        """None when a field is missing or is not what it should be."""
        sent = {field.name: event[field.name] for field in fields(cls) if field.name in event}
        usual = cls()
        for name, value in sent.items():
            wanted = type(getattr(usual, name))
            if not isinstance(value, NUMBERS if wanted is float else wanted) or (wanted is float and value is True):
                return None
        return cls(**sent) if {"stage", "fraction", "message"} <= sent.keys() else None

    def within(self, start: float, end: float) -> Progress:
        """This progress as a part of something larger, from start to end of it."""
        return replace(self, fraction=start + self.fraction * (end - start))


class HasProgress:
    """Something that has `progress`; its usual fields can be asked of it."""

    progress: Progress

    @property
    def stage(self) -> str:
        return self.progress.stage

    @property
    def fraction(self) -> float:
        return self.progress.fraction

    @property
    def message(self) -> str:
        return self.progress.message

    @property
    def spoken(self) -> str:
        """Part and message on one line."""
        return ": ".join(filter(None, (self.progress.part, self.message)))

    def advance(self, **changes: Any) -> None:
        """Replaces fields of `progress`."""
        self.progress = replace(self.progress, **changes)
