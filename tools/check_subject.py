#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commit-msg hook: a subject of at most 72 characters, then an empty line."""

import sys
from pathlib import Path

LONGEST = 72


def problem(message: str) -> str:
    """What is wrong with a commit message, or ""."""
    subject, *rest = [line for line in message.splitlines() if not line.startswith("#")] or [""]
    if not subject.strip():
        return "The first line is empty; it must say what the commit does."
    if len(subject) > LONGEST:
        return f"The subject has {len(subject)} characters; shorten it to {LONGEST} and put the rest into the body."
    if rest and rest[0].strip():
        return "The second line must be empty: it parts the subject from the body."
    return ""


if __name__ == "__main__":
    if text := problem(Path(sys.argv[1]).read_text(encoding="utf-8")):
        sys.exit(text)
