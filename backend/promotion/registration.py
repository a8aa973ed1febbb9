# SPDX-License-Identifier: GPL-3.0-or-later
"""Registration: a promoted model becomes known to the frontend, whose server (Go) and page (JavaScript) each hold a
list of allowed models.

    var AllowedAvatarModels = []string{          export const AllowedAvatarModels = [
        "companion-v1.vrm",                         'companion-v1.vrm',
    }                                            ];

The list is found by its variable's name and gets one more string in its own style: quotes, indentation, one line or
many, trailing comma. Nothing else in the file changes, and nothing at all when the model is listed already.
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

from ..errors import BackendError

VARIABLE = "AllowedAvatarModels"
# What opens the list: a Go slice or array, or a JavaScript or TypeScript array, plain, frozen or in a Set.
GO = r"(?P<name>{name})\s*(?::?=|\[\]string\s*=)\s*\[[^\]]*\]\s*string\s*(?P<open>\{{)"
SCRIPT = r"(?P<name>{name})\s*(?::[^=\n]+)?=\s*(?:Object\.freeze\s*\(\s*|new\s+Set\s*(?:<[^>]*>)?\s*\(\s*)?(?P<open>\[)"
CLOSING = {"{": "}", "[": "]"}
# A comment, a string, or any other single character. Comments and strings hide what looks like code.
TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|.", re.DOTALL)


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


def plan(files: Iterable[Path], model: str, variable: str = VARIABLE) -> list[Patch]:
    """A patch for each file. Raises BackendError(unreadable, no_list, bad_model); then nothing is to be
    applied at all.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}", model):
        raise BackendError(
            "bad_model", f"{model[:80]!r} cannot be put into a list of models.", "Promote the avatar first."
        )
    return [_plan_one(Path(path), model, variable) for path in files]


def apply(patches: Iterable[Patch]) -> list[Path]:
    """Writes the files that change, each all or nothing; returns them. Raises BackendError("changed") if one is not
    what was shown.
    """
    wanted = [patch for patch in patches if patch.changes]
    for patch in wanted:
        if _read(patch.path) != patch.before:
            raise BackendError(
                "changed", f"{patch.path.name} was changed meanwhile.", "Look at the patch again, then apply it."
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


def _plan_one(path: Path, model: str, variable: str) -> Patch:
    content = _read(path)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BackendError(
            "unreadable", f"{path.name} is no UTF-8 text.", "Choose the source file with the list."
        ) from error
    return Patch(
        path, content, add_to_list(text, model, variable, path.suffix.lower() == ".go", path.name).encode("utf-8")
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise BackendError(
            "unreadable", f"The file {path} cannot be read: {reason}.", "Correct its path in the preferences."
        ) from error


def add_to_list(text: str, model: str, variable: str = VARIABLE, go: bool = False, name: str = "the file") -> str:
    """`text` with `model` at the end of the list `variable`. Raises BackendError("no_list")."""
    start, end = _find_list(text, variable, go, name)
    body = text[start:end]
    tokens = [(match.start(), match[0]) for match in TOKEN.finditer(body)]
    strings = [(at, token) for at, token in tokens if token[0] in "\"'`" and len(token) > 1]
    entry = _as_listed(model, [token[1:-1] for _, token in strings])
    if entry in [token[1:-1] for _, token in strings]:
        return text
    quote = strings[-1][1][0] if strings else '"'
    code = [(at, token) for at, token in tokens if not token.isspace() and not token.startswith(("//", "/*"))]
    return text[:start] + _extended(body, f"{quote}{entry}{quote}", code, go, _indent(text, start)) + text[end:]


def _extended(body: str, entry: str, code: list[tuple[int, str]], go: bool, indent: str) -> str:
    """The list's inside with one more entry. code: its tokens without comments and spaces."""
    newline = "\r\n" if "\r\n" in body else "\n"
    if not code:
        if "\n" not in body:
            return f"{body.rstrip()}{entry}" if "/*" not in body else f"{body.rstrip()} {entry}"
        return f"{body.rstrip()}{newline}{indent}{_step(indent, go)}{entry}," + f"{newline}{indent}"
    at, last = code[-1]
    trailing = last == ","
    cut = at + len(last)
    if "\n" not in body[: code[0][0]] and "\n" not in body[cut:]:  # the brackets hug the entries
        return f"{body[:cut]}{'' if trailing else ','} {entry}{',' if trailing else ''}{body[cut:]}"
    # On a line of its own, after whatever comment ends the last entry's line.
    line_end = body.find("\n", cut)
    line_end = len(body) if line_end < 0 else line_end - (body[line_end - 1] == "\r")
    own = _indent(body, code[-2][0] if trailing and len(code) > 1 else at)
    comma = "" if trailing else ","
    end = "," if trailing or go else ""
    return f"{body[:cut]}{comma}{body[cut:line_end]}{newline}{own}{entry}{end}{body[line_end:]}"


def _find_list(text: str, variable: str, go: bool, name: str) -> tuple[int, int]:
    """Start and end of what is between the list's brackets."""
    pattern = re.compile(r"(?<![\w$.])" + (GO if go else SCRIPT).format(name=re.escape(variable)))
    hidden = _without_comments(text)
    found = list(pattern.finditer(hidden))
    kind = "Go slice of strings" if go else "JavaScript array"
    if len(found) != 1:
        there = "has no" if not found else "has more than one"
        raise BackendError(
            "no_list",
            f"{name} {there} {kind} {variable}.",
            "Correct the file or the variable's name in the preferences.",
        )
    start, depth = found[0].end("open"), 1
    bracket = found[0]["open"]
    for match in TOKEN.finditer(text, start):
        depth += (match[0] == bracket) - (match[0] == CLOSING[bracket])
        if depth == 0:
            return start, match.start()
    raise BackendError("no_list", f"The list {variable} in {name} does not end.", "Correct the file first.")


def _without_comments(text: str) -> str:
    """Same length, with spaces for comments and strings."""
    return TOKEN.sub(lambda match: match[0] if len(match[0]) == 1 else re.sub(r"[^\n]", " ", match[0]), text)


def _as_listed(model: str, known: list[str]) -> str:
    """The model as the list names models: with or without `.vrm`, as the entries that are there."""
    if known and not any(entry.endswith(".vrm") for entry in known):
        return model.removesuffix(".vrm")
    return model


def _indent(text: str, position: int) -> str:
    """White space that the line of `position` begins with."""
    begin = text.rfind("\n", 0, position) + 1
    return text[begin : begin + len(text[begin:]) - len(text[begin:].lstrip(" \t"))]


def _step(indent: str, go: bool) -> str:
    return "\t" if go or "\t" in indent else "  "


def public_urls(templates: dict[str, str], bucket: str, key: str) -> dict[str, str]:
    """Where browsers find a model: {"lan": "http://{host}/...", "cdn": ...} with {bucket}, {key}, {file} filled in; a
    template without any of them is a folder. Raises BackendError("bad_url").
    """
    values = {"bucket": bucket, "key": urllib.parse.quote(key), "file": urllib.parse.quote(key.rpartition("/")[2])}
    return {name: _filled(template.strip(), values) for name, template in templates.items() if template.strip()}


def _filled(template: str, values: dict[str, str]) -> str:
    hint = "It is an address with {bucket}, {key} or {file}, for example https://cdn.example/{key}."
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
