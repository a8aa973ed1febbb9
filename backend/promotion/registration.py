# SPDX-License-Identifier: GPL-3.0-or-later
"""Registration: a promoted model becomes known to the frontend, whose server (Go) and page (JavaScript or TypeScript)
each hold a list of allowed models. What such lists look like, and how one grows, is in `source_lists`.

Nothing else in the file changes, and nothing at all when the model is listed already.
"""

from __future__ import annotations

import difflib
import os
import re
import string
import urllib.parse
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import BackendError, reason_of
from .source_lists import add_to_list

VARIABLE = "AllowedAvatarModels"


@dataclass(frozen=True)
class Patch:
    """What one file becomes; `before == after` when the model is listed already."""

    path: Path
    before: bytes
    after: bytes

    @property
    def changes(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        """Unified, with the file's own name."""
        old, new = (content.decode("utf-8").splitlines(keepends=True) for content in (self.before, self.after))
        lines = difflib.unified_diff(old, new, f"a/{self.path.name}", f"b/{self.path.name}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def plan(files: Iterable[Path], model: str, variable: str = VARIABLE, replace: bool = False) -> list[Patch]:
    """A patch for each file. replace: the newest listed version of the same model goes; else it stays, for a
    roll-back. Raises BackendError(unreadable, no_list, bad_model); then nothing is to be
    applied at all.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}", model):
        raise BackendError(
            "bad_model", f"{model[:80]!r} cannot be added to a list of models.", "Promote the avatar first."
        )
    return [_plan_one(Path(path), model, variable, replace) for path in files]


def apply(patches: Iterable[Patch]) -> list[Path]:
    """Writes the files that change, each all or nothing; returns them. Raises BackendError("changed") if one is not
    what was shown.
    """
    wanted = [patch for patch in patches if patch.changes]
    for patch in wanted:
        if _read(patch.path) != patch.before:
            raise BackendError(
                "changed", f"{patch.path.name} was changed in the meantime.", "Review the patch again, then apply it."
            )
    for patch in wanted:
        target = Path(os.path.realpath(patch.path))  # a link stays a link
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            part.write_bytes(patch.after)
            part.chmod(target.stat().st_mode)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return [patch.path for patch in wanted]


def _plan_one(path: Path, model: str, variable: str, replace: bool) -> Patch:
    content = _read(path)
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"{path.name} is not UTF-8 text."
        raise BackendError("unreadable", message, "Choose the source file that contains the list.") from error
    return Patch(path, content, add_to_list(content, model, variable, path.suffix, path.name, replace))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = reason_of(error)
        raise BackendError(
            "unreadable", f"The file {path} cannot be read: {reason}.", "Correct its path in the preferences."
        ) from error


def public_urls(templates: dict[str, str], bucket: str, key: str) -> dict[str, str]:
    """Where browsers find a model: {"lan": "http://{host}/...", "cdn": ...} with {bucket}, {key}, {file} filled in; a
    template without any of them is a folder. Raises BackendError("bad_url").
    """
    values = {"bucket": bucket, "key": urllib.parse.quote(key), "file": urllib.parse.quote(key.rpartition("/")[2])}
    return {name: _filled(template.strip(), values) for name, template in templates.items() if template.strip()}


def _filled(template: str, values: dict[str, str]) -> str:
    hint = "Enter an address with {bucket}, {key} or {file}, for example https://cdn.example/{key}."
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
        if not set(fields) <= values.keys():
            raise ValueError
        url = template.format_map(values) if fields else f"{template.rstrip('/')}/{values['key']}"
    except (ValueError, IndexError, KeyError) as error:
        raise BackendError("bad_url", f"The address {template[:100]!r} cannot be filled in.", hint) from error
    if not re.match(r"(https?:)?/", url):
        raise BackendError("bad_url", f"The address {template[:100]!r} begins with neither https:// nor /.", hint)
    return url
