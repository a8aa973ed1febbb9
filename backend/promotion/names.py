# SPDX-License-Identifier: GPL-3.0-or-later
"""The one rule of names: what a model may be called, and how a name and a version make the name of its file."""

from __future__ import annotations

import re
import unicodedata

from ..errors import BackendError

MARK = "-v"
LAST = 999_999_999  # the highest version
_VERSIONED = re.compile(rf"(?P<name>.+){MARK}(?P<version>[0-9]{{1,9}})")


def model_name(given: str, usual: str = "") -> str:
    """The name that a model is promoted under: `given` as it is, else one made of `usual`, such as the avatar's name.

    Small letters, digits, - and _ (not at the ends), at most 64, so that it can be part of a public address; a name is
    made of a text without its accents. Raises BackendError(bad_name) for another `given`.
    """
    plain = unicodedata.normalize("NFKD", given or usual).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"(?:-*[^a-z0-9_-]+)+-*", "-", plain).strip("-_")[:64].strip("-_") or "avatar"
    if given and given != made:
        message = f"{given[:80]!r} cannot be part of a public address."
        raise BackendError("bad_name", message, f"Use lowercase letters, digits, - and _, for example {made!r}.")
    return made


def versioned(name: str, version: int | str) -> str:
    """companion, 3 -> companion-v3. With the version "" what all versions of the name begin with."""
    return f"{name}{MARK}{version}"


def parsed(stem: str) -> tuple[str, int]:
    """companion-v3 -> companion, 3; what has no version is a name of version 0."""
    found = _VERSIONED.fullmatch(stem)
    return (found["name"], int(found["version"])) if found else (stem, 0)
