# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes single members in a JSON file with comments and trailing commas, as VS Code writes them; all the rest stays
letter by letter.

No bpy. The syntax is JSON's (RFC 8259) with // and /* */ comments and a comma allowed after the last member.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

DEEPEST = 100

_TRIVIA = re.compile(r"(?:[ \t\r\n]|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_PLAIN = re.compile(r"true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")


class JsoncError(ValueError):
    """The text is no JSON with comments, or not of the expected form. `str()` says what and where."""


@dataclass
class Node:
    """A value and where it stands. inside: of an object by name, of a list in order; ends: after its last one,
    without the comma.
    """

    start: int
    end: int
    value: Any
    members: dict[str, Node] = field(default_factory=dict)
    first: int = -1  # where the first member or element begins
    last: int = -1  # where the last one ends
    comma: bool = False  # after the last one


def parse(text: str) -> Node:
    """Raises JsoncError."""
    node = _value(text, _skip(text, 0), 0)
    end = _skip(text, node.end)
    if end != len(text):
        raise _error(text, end, "something follows the end")
    return node


def put(text: str, path: Sequence[str], value: Any) -> str:
    """The text with the member at `path` (names of objects inside each other, from the root) set. Raises JsoncError."""
    node = parse(text)
    for depth, name in enumerate(path):
        if not isinstance(node.value, dict):
            raise JsoncError(f"{'.'.join(path[:depth]) or 'the file'} is not an object")
        if name not in node.members:
            for outer in reversed(path[depth + 1 :]):
                value = {outer: value}
            return _add(text, node, f"{json.dumps(name, ensure_ascii=False)}: ", value)
        node = node.members[name]
    if node.value == value and type(node.value) is type(value):
        return text
    return text[: node.start] + _written(text, value, _indent(text, node.start)) + text[node.end :]


def append(text: str, path: Sequence[str], value: Any) -> str:
    """The text with an element added to the list at `path`, which is made if it is missing. Raises JsoncError."""
    node = parse(text)
    for depth, name in enumerate(path):
        if not isinstance(node.value, dict):
            raise JsoncError(f"{'.'.join(path[:depth]) or 'the file'} is not an object")
        if name not in node.members:
            return put(text, path, [value])
        node = node.members[name]
    if not isinstance(node.value, list):
        raise JsoncError(f"{'.'.join(path)} is not a list")
    return _add(text, node, "", value)


def remove(text: str, path: Sequence[str]) -> str:
    """The text without the member at `path`; as it is where there is none. Raises JsoncError."""
    node = parse(text)
    for name in path[:-1]:
        if name not in node.members:
            return text
        node = node.members[name]
    if path[-1] not in node.members:
        return text
    item = node.members[path[-1]]
    before = max((other.end for other in node.members.values() if other.end <= item.start), default=node.start + 1)
    start = _skip(text, before)
    start = _skip(text, start + 1) if text[start] == "," else start
    end = _skip(text, item.end)
    if text[end : end + 1] == ",":
        end += 1
        while text[end : end + 1] in (" ", "\t"):
            end += 1
    else:  # the last one takes the comma before it along
        end = item.end
        comma = text.rfind(",", before, start)
        start = comma if comma >= 0 and before > node.start + 1 else start
    line = _line_start(text, start)
    if not text[line:start].strip() and text[end : end + 1] in ("\n", "\r"):
        start, end = line, end + (2 if text[end : end + 2] == "\r\n" else 1)
    return text[:start] + text[end:]


def _add(text: str, node: Node, head: str, value: Any) -> str:
    """Puts a member or an element at the end of an object or a list, behind the comments of the one before it."""
    close = node.end - 1
    outer = _indent(text, node.start)
    indent = _indent(text, node.first) if node.first >= 0 and _begins_line(text, node.first) else outer + _unit(text)
    body = text[: node.last] + ("" if node.comma else ",") + text[node.last : close] if node.last >= 0 else text[:close]
    newline = _newline(text)
    line = newline + indent + head + _written(text, value, indent) + ("," if node.comma else "")
    return body.rstrip() + line + newline + outer + text[close:]


def _value(text: str, at: int, depth: int) -> Node:
    if depth > DEEPEST:
        raise _error(text, at, "it is nested too deeply")
    if text[at : at + 1] in ("{", "["):
        return _container(text, at, depth)
    if found := _STRING.match(text, at) or _PLAIN.match(text, at):
        return Node(at, found.end(), json.loads(found[0]))
    raise _error(text, at, "a value is expected")


def _container(text: str, at: int, depth: int) -> Node:
    is_object = text[at] == "{"
    node = Node(at, at, {} if is_object else [])
    place = _skip(text, at + 1)
    while text[place : place + 1] != ("}" if is_object else "]"):
        if node.last >= 0 and not node.comma:
            raise _error(text, place, "a comma or the end is expected")
        start, name = place, ""
        if is_object:
            key = _STRING.match(text, place)
            if not key:
                raise _error(text, place, "a name in quotation marks is expected")
            name, place = json.loads(key[0]), _skip(text, key.end())
            if text[place : place + 1] != ":":
                raise _error(text, place, "a colon is expected")
            place = _skip(text, place + 1)
        item = _value(text, place, depth + 1)
        if is_object:
            node.members[name] = item
            node.value[name] = item.value
        else:
            node.value.append(item.value)
        node.first, node.last = node.first if node.first >= 0 else start, item.end
        place = _skip(text, item.end)
        node.comma = text[place : place + 1] == ","
        if node.comma:
            place = _skip(text, place + 1)
    node.end = place + 1
    return node


def _skip(text: str, at: int) -> int:
    found = _TRIVIA.match(text, at)
    return found.end() if found else at


def _error(text: str, at: int, what: str) -> JsoncError:
    return JsoncError(f"line {text.count(chr(10), 0, at) + 1}: {what}")


def _written(text: str, value: Any, indent: str) -> str:
    lines = json.dumps(value, indent=_unit(text), ensure_ascii=False).split("\n")
    return (_newline(text) + indent).join(lines)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _indent(text: str, at: int) -> str:
    """The white space that the line of a place begins with."""
    found = re.compile(r"[ \t]*").match(text, _line_start(text, at))
    return found[0] if found else ""


def _begins_line(text: str, at: int) -> bool:
    return not text[_line_start(text, at) : at].strip()


def _unit(text: str) -> str:
    """One step of indentation, as the file has it."""
    found = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return found[1] if found else "\t"
