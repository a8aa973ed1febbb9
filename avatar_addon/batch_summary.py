# SPDX-License-Identifier: GPL-3.0-or-later
"""What the batch says while it works and when it ends: lines for people, or JSON lines for programs (docs/batch.md)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from .client.process.tasks import Task
from .errors import AvatarError

FORMAT = 1
STATUSES = ("made", "kept", "promoted", "skipped", "failed")


@dataclass
class Row:
    """An avatar of the summary. status: one of STATUSES; code: the reason of a failure, for programs; note: a sentence.

    picture: the file, sha256: its digest; files: kind -> path; checks: how many have PASS, WARN, FAIL; failed: ids of
    the checks that have FAIL; promoted: the index entry of the model.
    """

    name: str
    status: str
    seconds: float = 0.0
    note: str = ""
    code: str = ""
    picture: str = ""
    sha256: str = ""
    run: str = ""
    files: dict[str, str] = field(default_factory=dict)
    checks: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    promoted: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What is known of it."""
        return {key: value for key, value in asdict(self).items() if value not in ("", {}, [])}


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """status -> how many, of those that there are."""
    found = {status: sum(row.status == status for row in rows) for status in STATUSES}
    return {status: count for status, count in found.items() if count}


def visible(text: str) -> str:
    """For a terminal, which obeys control characters: a file's name may contain some."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class Lines:
    """For people: a line whenever the stage changes, the failures on stderr, a table at the end.

    check: raises KeyboardInterrupt when the batch was interrupted. `progress` is called between two steps of a task,
    which is where that ends it.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check

    def begins(self, name: str) -> None:
        self.name, self.shown = name, ""

    def progress(self, task: Task) -> None:
        self.check()
        if task.message and task.spoken != self.shown:
            self.shown = task.spoken
            print(visible(f"{self.name}: {task.fraction:4.0%} {task.spoken}"), flush=True)

    def note(self, name: str, text: str) -> None:
        print(visible(f"{name}: {text}"), flush=True)

    def ended(self, row: Row) -> None:
        if row.status == "failed":
            print(visible(f"{row.name}: {row.note}"), file=sys.stderr, flush=True)

    def refused(self, error: AvatarError, status: int) -> None:
        """Nothing was made at all."""
        print(visible(str(error)), file=sys.stderr, flush=True)

    def summary(self, rows: Sequence[Row], status: int) -> None:
        if not rows:
            return
        width = max(len(row.name) for row in rows)
        print()
        for row in rows:
            print(visible(f"{row.name:{width}}  {row.status:8}  {row.seconds:6.1f} s  {row.note}"))
        print(", ".join(f"{count} {status}" for status, count in counts(rows).items()), flush=True)


class JsonLines(Lines):
    """For programs: one JSON object a line on stdout, the last is the summary. What people read goes to stderr."""

    def __init__(self, check: Callable[[], None], stream: IO[str]) -> None:
        super().__init__(check)
        self._stream = stream
        self._stage = ("", -1.0)

    def progress(self, task: Task) -> None:
        self.check()
        if task.message and (task.stage != self._stage[0] or task.fraction >= self._stage[1] + 0.01):
            self._stage = (task.stage, task.fraction)
            shown = {"stage": task.stage, "fraction": round(task.fraction, 3), "message": task.spoken}
            self._write({"event": "progress", "name": self.name, **shown})

    def note(self, name: str, text: str) -> None:
        print(visible(f"{name}: {text}"), file=sys.stderr, flush=True)

    def ended(self, row: Row) -> None:
        super().ended(row)
        self._stage = ("", -1.0)
        self._write({"event": "avatar", **row.to_dict()})

    def refused(self, error: AvatarError, status: int) -> None:
        super().refused(error, status)
        why = {"code": error.code, "note": str(error)}
        self._write({"event": "summary", "format": FORMAT, "exit": status, "counts": {}, "avatars": [], **why})

    def summary(self, rows: Sequence[Row], status: int) -> None:
        avatars = [row.to_dict() for row in rows]
        self._write({"event": "summary", "format": FORMAT, "exit": status, "counts": counts(rows), "avatars": avatars})

    def _write(self, message: dict[str, Any]) -> None:
        self._stream.write(json.dumps(message, ensure_ascii=True) + "\n")
        self._stream.flush()
