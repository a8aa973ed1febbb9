# SPDX-License-Identifier: GPL-3.0-or-later
"""The report card of a .vrm file: `python -m avatar_addon.report FILE [--json]`. Needs numpy only.

Structure is checked, and behaviour: a file whose visemes move nothing is a valid VRM, but no talking avatar.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import reason_of
from ..files import digest
from ..vrm.spec.human_bones import REQUIRED
from ..vrm.spec.vrm_file import VrmFile, VrmFileError
from . import seen
from .arms import arms
from .behaviour import behaviour
from .limits import FAIL, PASS, WARN, Check, line
from .measured import Measured
from .shape import shape
from .structure import structure

# What reading a file that contradicts itself may raise.
BROKEN = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, MemoryError)
MARKS = {PASS: "ok  ", WARN: "WARN", FAIL: "FAIL"}


@dataclass
class Report:
    """All checks of one file. `promotable` without FAIL. sha256: of the file, so that a report cannot pass for
    another file's. measured: the avatar, where it can be looked at (`views`).
    """

    name: str
    sha256: str = ""
    checks: list[Check] = field(default_factory=list)
    measured: Measured | None = field(default=None, repr=False, compare=False)

    @property
    def counts(self) -> dict[str, int]:
        """PASS, WARN and FAIL -> how many checks."""
        return dict.fromkeys((PASS, WARN, FAIL), 0) | Counter(check.status for check in self.checks)

    @property
    def promotable(self) -> bool:
        return bool(self.checks) and not self.counts[FAIL]

    def to_dict(self) -> dict[str, Any]:
        """JSON: `{"report": 1, "file", "sha256", "counts", "checks": [{id, title, status, figure, meaning, step,
        fix}]}`.
        """
        return {
            "report": 1,
            "file": self.name,
            "sha256": self.sha256,
            "counts": self.counts,
            "checks": [check.to_dict() for check in self.checks],
        }

    def text(self) -> str:
        """Lines for a terminal; what is not in order says what it means and how to fix it."""
        width = max((len(check.title) for check in self.checks), default=0)
        lines = []
        for check in self.checks:
            lines.append(f"{MARKS[check.status]}  {check.title:{width}}  {check.figure}")
            if check.status != PASS:
                lines.append(f"      {check.meaning[0].upper()}{check.meaning[1:]}. {check.fix}")
        counts = self.counts
        lines.append(f"{self.name}: {counts[PASS]} passed, {counts[WARN]} warnings, {counts[FAIL]} failed")
        return "\n".join(lines)


def make_report(path: Path) -> Report:
    """Checks a file; whatever is in it, the answer is a report. Raises OSError when it cannot be read at all."""
    report = Report(path.name, digest(path))
    try:
        file = VrmFile(path)
        measured = Measured(file)
        report.checks.append(_container(True, f"VRM {file.version}"))
        report.checks += structure(measured)
        if all(name in measured.bones for name in REQUIRED) and len(measured.rest):
            report.checks += behaviour(measured)
            report.checks += shape(measured)
            report.checks += arms(measured)
            report.measured = measured
    except (VrmFileError, *BROKEN) as error:
        known = isinstance(error, VrmFileError)
        reason = str(error) if known else f"its parts contradict each other ({type(error).__name__}: {error})"
        report.checks = [check for check in report.checks if check.id != "container"]
        report.checks.insert(0, _container(False, reason))
    return report


def views(report: Report, folder: Path) -> dict[str, Any] | None:
    """Writes what a reader of pictures has to look at: the parameters of the backend's `look_over`; None where there is
    no avatar to look at. Raises OSError.
    """
    if report.measured is None or not np.isfinite(report.measured.rest).all():
        return None
    try:
        return seen.views(report.measured, folder)
    except BROKEN:  # a picture that is not where the file says; the other checks are all that can be had
        return None


def add_seen(report: Report, answer: dict[str, Any] | None) -> None:
    """Adds the checks of what is seen. answer: of `look_over`; None: nothing could be looked at, which is said."""
    if report.measured is None:
        return
    report.checks += seen.seen(report.measured, answer) if answer else [seen.not_seen()]
    report.measured = None


def _container(ok: bool, figure: str) -> Check:
    return line("container", "Readable file", ok, figure, "no viewer can open it", "export", "Export the avatar again.")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m avatar_addon.report", description="Print the report card of .vrm files."
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object a file")
    options = parser.parse_args(arguments)
    good = True
    for path in options.files:
        try:
            report = make_report(path)
        except OSError as error:
            print(f"{path} cannot be read ({reason_of(error)}); check the path.", file=sys.stderr)
            good = False
            continue
        text = json.dumps(report.to_dict(), ensure_ascii=False) if options.json else report.text()
        print(text.encode("utf-8", "replace").decode())  # a name may hold half a surrogate pair
        good &= report.promotable
    return 0 if good else 1
