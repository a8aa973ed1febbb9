# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of models in source files: a Go slice, array or map, or a JavaScript or TypeScript array, set or object. They
are found by their variable's name through tree-sitter's grammars, and get one more entry in their own style.

    var AllowedAvatarModels = map[string]bool{     export const AllowedAvatarModels = new Set([
        "companion-v1.vrm": true,                      '/assets/models/companion-v1.vrm',
    }                                              ]);

Quotes, indentation, one line or many, the comma at the end, the line ends, a path in front and `.vrm` behind are as in
the entries that are there. Positions are in bytes, as tree-sitter counts.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tree_sitter import Language, Node, Parser

from ..errors import BackendError
from .names import parsed

LANGUAGES = {
    ".go": "go", ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript",
    ".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "tsx",
}  # fmt: skip
STRINGS = ("interpreted_string_literal", "raw_string_literal", "string", "template_string")
# Around a list in TypeScript and JavaScript: the child that has the list.
WRAPPERS = ("as_expression", "satisfies_expression", "parenthesized_expression", "non_null_expression")
FREEZING, SETS = ("Object.freeze", "Object.seal"), ("Set", "ReadonlySet")
NEW_ARRAY = "[]"  # the value of a `new Set()`, which has no array yet


@dataclass(frozen=True)
class Entry:
    """One element of a list. text: the string in it, None for anything else (`...others`); literal: its string node;
    value: what stands behind the key of a map or object.
    """

    element: Node
    text: str | None
    literal: Node | None = None
    value: Node | None = None


@dataclass(frozen=True)
class SourceList:
    """body: the node with the brackets; value: what a key needs behind it, "" in a list without keys."""

    body: Node
    entries: tuple[Entry, ...]
    value: str
    go: bool


def add_to_list(source: bytes, model: str, variable: str, suffix: str, name: str, replace: bool = False) -> bytes:
    """`source` with `model` in the list `variable`.

    suffix: the file's, which says the language; name: the file's, for messages; replace: in place of the newest
    entry of the same model, otherwise that stays beside it. Raises BackendError("no_list").
    """
    found = find_list(source, variable, suffix, name)
    texts = [entry.text for entry in found.entries if entry.text is not None]
    text = _as_listed(model, texts)
    for entry in found.entries:
        if entry.text == text:
            return _allowed(source, entry)
    if replace and (old := _newest(found.entries, text)):
        assert old.literal
        quote = source[old.literal.start_byte : old.literal.start_byte + 1]
        return _spliced(source, old.literal.start_byte, old.literal.end_byte, quote + text.encode() + quote)
    return _with_entry(source, found, text)


def find_list(source: bytes, variable: str, suffix: str, name: str) -> SourceList:
    """The one list of that name. Raises BackendError("no_list") that says what is there instead."""
    language = LANGUAGES.get(suffix.lower())
    if language is None:
        known = ", ".join(LANGUAGES)
        raise _list_problem(
            f"{name} is not a file of Go, JavaScript or TypeScript.", f"Choose a file that ends in {known}."
        )
    tree = _parser(language).parse(source)
    values = list(_values(tree.root_node, variable.encode(), language == "go"))
    found = [_go_list(value) if language == "go" else _script_list(value) for value in values]
    lists = [one for one in found if isinstance(one, SourceList)]
    others = [one for one in found if isinstance(one, str)]
    if len(lists) == 1:
        if lists[0].body.has_error:
            raise _list_problem(f"The list {variable} in {name} has a syntax error.", "Correct the file first.")
        return lists[0]
    hint = "Correct the file, or the name of the variable in the preferences."
    if lists:
        raise _list_problem(f"{name} has more than one list {variable}.", hint)
    if tree.root_node.has_error and variable.encode() in source:
        raise _list_problem(f"{name} has a syntax error near {variable}.", "Correct the file first.")
    if others:
        raise _list_problem(f"{variable} in {name} is {others[0]}, to which no model can be added.", hint)
    raise _list_problem(f"{name} has no list {variable}.", hint)


def _list_problem(message: str, hint: str) -> BackendError:
    return BackendError("no_list", message, hint)


@functools.cache
def _parser(language: str) -> Parser:
    if language == "go":
        import tree_sitter_go

        return Parser(Language(tree_sitter_go.language()))
    if language == "javascript":
        import tree_sitter_javascript

        return Parser(Language(tree_sitter_javascript.language()))
    import tree_sitter_typescript as typescript

    made = typescript.language_tsx() if language == "tsx" else typescript.language_typescript()
    return Parser(Language(made))


def _walk(node: Node) -> Iterator[Node]:
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += reversed(found.named_children)


def _values(root: Node, name: bytes, go: bool) -> Iterator[Node]:
    """What is assigned to the variable, field or key `name`, wherever it is; a declaration without a value is none."""
    for node in _walk(root):
        match node.type:
            case "var_spec" | "const_spec":
                names = [child for child in node.children_by_field_name("name") if child.type == "identifier"]
                yield from _paired(names, node.child_by_field_name("value"), name)
            case "short_var_declaration" | "assignment_statement":
                left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
                yield from _paired(left.named_children if left else [], right, name)
            case "keyed_element" if go:
                key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
                if key and value and key.text == name and value.named_children:
                    yield value.named_children[0]
            case "variable_declarator" | "field_definition" | "public_field_definition" | "pair":
                key = node.child_by_field_name("name") or node.child_by_field_name("property")
                key, value = key or node.child_by_field_name("key"), node.child_by_field_name("value")
                if key and value and _bare(key) == name:
                    yield value
            case "assignment_expression":
                left, value = node.child_by_field_name("left"), node.child_by_field_name("right")
                if left and value and _last_name(left) == name:
                    yield value
            case "type_alias_declaration" | "enum_declaration" | "function_declaration":
                key = node.child_by_field_name("name")
                if key and key.text == name:
                    yield node


def _paired(names: list[Node], values: Node | None, name: bytes) -> Iterator[Node]:
    for left, right in zip(names, values.named_children if values else [], strict=False):
        if _last_name(left) == name:
            yield right


def _last_name(node: Node) -> bytes | None:
    """`c` of `a.b.c`."""
    last = node.child_by_field_name("field") or node.child_by_field_name("property")
    return (last or node).text


def _bare(key: Node) -> bytes:
    """A name without the quotes that an object's key may have."""
    return (key.text or b"").strip(b"'\"")


def _go_list(node: Node) -> SourceList | str:
    body = node.child_by_field_name("body") if node.type == "composite_literal" else None
    body = node if node.type == "literal_value" else body
    kind = node.child_by_field_name("type")
    if body is None:
        return _described(node)
    entries = tuple(_go_entry(child) for child in _elements(body))
    keyed = [entry for entry in entries if entry.value is not None]
    declared = kind.type if kind else ""
    if declared == "map_type" or keyed:
        value_type = kind.child_by_field_name("value") if kind and declared == "map_type" else None
        value = _go_value(value_type, entries)
        if value and all(entry.value is not None and entry.text is not None for entry in entries):
            return SourceList(body, entries, value, True)
        return "a map whose values are neither bool nor struct{}"
    if all(entry.text is not None for entry in entries) and (
        entries or declared.endswith(("slice_type", "array_type"))
    ):
        return SourceList(body, entries, "", True)
    return "a list of something other than strings"


def _go_entry(element: Node) -> Entry:
    if element.type == "keyed_element":
        key, value = (_inner(element.child_by_field_name(field)) for field in ("key", "value"))
        literal = _literal(key)
        return Entry(element, _text(literal), literal, value)
    literal = _literal(_inner(element))
    return Entry(element, _text(literal), literal)


def _go_value(kind: Node | None, entries: tuple[Entry, ...]) -> str:
    """`true` or `{}` as the others have it, "" for other maps."""
    known = [entry.value for entry in entries if entry.value is not None]
    written = [text for node in known if (text := (node.text or b"").decode()) in ("true", "{}", "struct{}{}")]
    if written:
        return written[-1]
    if kind is not None and kind.text in (b"bool", b"struct{}"):
        return "true" if kind.text == b"bool" else "{}"
    return ""


def _script_list(node: Node) -> SourceList | str:
    node = _unwrapped(node)
    if node.type == "arguments" and not _elements(node):  # new Set()
        return SourceList(node, (), NEW_ARRAY, False)
    if node.type == "array":
        entries = tuple(
            Entry(child, _text(child), child if child.type in STRINGS else None) for child in _elements(node)
        )
        strange = [entry for entry in entries if entry.text is None and entry.element.type != "spread_element"]
        return (
            f"an array with {_described(strange[0].element)} in it" if strange else SourceList(node, entries, "", False)
        )
    if node.type == "object":
        entries = tuple(_script_entry(child) for child in _elements(node))
        known = [entry for entry in entries if entry.text is not None]
        simple = all(entry.value is not None and entry.value.type in ("true", "false", "number") for entry in known)
        strange = [entry for entry in entries if entry.text is None and entry.element.type != "spread_element"]
        if strange or not simple:
            return "an object whose values are more than true"
        true = [entry.value.text for entry in known if entry.value is not None and entry.value.text != b"false"]
        return SourceList(node, entries, (true[-1] or b"true").decode() if true else "true", False)
    return _described(node)


def _unwrapped(node: Node) -> Node:
    """The array or object within `as const`, `Object.freeze(...)`, `new Set([...])` and their like."""
    while True:
        arguments = node.child_by_field_name("arguments")
        inner: Node | None = None
        if node.type in WRAPPERS and node.named_children:
            inner = node.named_children[0]
        elif node.type == "type_assertion":
            inner = node.named_children[-1]
        elif node.type == "call_expression" and _called(node, "function") in FREEZING and arguments:
            inner = next(iter(_elements(arguments)), None)
        elif node.type == "new_expression" and _called(node, "constructor") in SETS and arguments:
            inner = next(iter(_elements(arguments)), arguments)
        if inner is None:
            return node
        node = inner


def _called(node: Node, field: str) -> str:
    function = node.child_by_field_name(field)
    return (function.text or b"").decode() if function else ""


def _script_entry(element: Node) -> Entry:
    key, value = element.child_by_field_name("key"), element.child_by_field_name("value")
    if element.type != "pair" or key is None or key.type not in ("string", "property_identifier"):
        return Entry(element, None)
    text = _text(key) if key.type == "string" else (key.text or b"").decode()
    return Entry(element, text, key if key.type == "string" else None, value)


def _elements(node: Node) -> list[Node]:
    return [child for child in node.named_children if child.type != "comment"]


def _inner(node: Node | None) -> Node | None:
    return node.named_children[0] if node and node.type == "literal_element" and node.named_children else node


def _literal(node: Node | None) -> Node | None:
    return node if node and node.type in STRINGS else None


def _text(literal: Node | None) -> str | None:
    """What is between the quotes; None for what is no plain string."""
    if literal is None or literal.type not in STRINGS or literal.text is None:
        return None
    if any(child.type == "template_substitution" for child in literal.named_children):
        return None
    return literal.text.decode("utf-8", "replace")[1:-1]


def _described(node: Node) -> str:
    """What a node is, in words a programmer uses."""
    if node.type in ("call_expression", "new_expression"):
        called = _called(node, "function") or _called(node, "constructor")
        return f"a call of {called[:60]}"
    words = {
        "identifier": "another variable", "string": "a string", "type_alias_declaration": "a type",
        "function_declaration": "a function", "arrow_function": "a function", "enum_declaration": "an enum",
        "nil": "nil", "null": "null", "array": "an array", "object": "an object", "number": "a number",
    }  # fmt: skip
    return words.get(node.type, f"of the kind {node.type.replace('_', ' ')}")


def _as_listed(model: str, known: list[str]) -> str:
    """The model as the list names models: behind the path of the same model's newest entry, else of the last one; and
    without `.vrm` where all are.
    """
    if not known:
        return model
    stem = model.rpartition("/")[2].removesuffix(".vrm")
    same = [text for text in known if _name_of(text) == _name_of(stem)]
    folder = (same or known)[-1].rpartition("/")[0]
    has_folder = "/" in (same or known)[-1]
    end = ".vrm" if any(text.endswith(".vrm") for text in known) else ""
    return f"{folder}/{stem}{end}" if has_folder else f"{stem}{end}"


def _name_of(text: str) -> str:
    """companion of /assets/models/companion-v3.vrm."""
    return parsed(_stem(text))[0]


def _stem(text: str) -> str:
    return text.rpartition("/")[2].removesuffix(".vrm")


def _newest(entries: tuple[Entry, ...], text: str) -> Entry | None:
    """The entry with the highest version of the model that `text` names."""
    best: tuple[int, Entry] | None = None
    for entry in entries:
        if entry.text is None or entry.literal is None or _name_of(entry.text) != _name_of(text):
            continue
        version = parsed(_stem(entry.text))[1]
        if best is None or version >= best[0]:
            best = (version, entry)
    return best[1] if best else None


def _allowed(source: bytes, entry: Entry) -> bytes:
    """A listed model that is set to false becomes true."""
    if entry.value is not None and entry.value.text == b"false":
        return _spliced(source, entry.value.start_byte, entry.value.end_byte, b"true")
    return source


def _spliced(source: bytes, start: int, end: int, new: bytes) -> bytes:
    return source[:start] + new + source[end:]


def _with_entry(source: bytes, found: SourceList, text: str) -> bytes:
    if found.value == NEW_ARRAY:
        return _spliced(source, found.body.start_byte + 1, found.body.end_byte - 1, f'["{text}"]'.encode())
    literals = [entry.literal for entry in found.entries if entry.literal]
    quote = source[literals[-1].start_byte : literals[-1].start_byte + 1].decode() if literals else '"'
    new = f"{quote}{text}{quote}"
    if found.value:
        new += _colon(source, found, len(new)) + found.value
    if not found.entries:
        return _first(source, found, new.encode())
    return _behind_last(source, found, new.encode())


def _colon(source: bytes, found: SourceList, length: int) -> str:
    """What is between key and value; aligned with the last entry's value where those are aligned."""
    for entry in reversed(found.entries):
        if entry.literal and entry.value:
            between = source[entry.literal.end_byte : entry.value.start_byte].decode()
            spare = entry.literal.end_byte - entry.literal.start_byte - length
            if between.startswith(":") and len(between) > 2:
                return ":" + " " * max(len(between) - 1 + spare, 1)
            return between
    return ": "


def _first(source: bytes, found: SourceList, new: bytes) -> bytes:
    """The only entry of an empty list, which may have a comment or a line of its own."""
    start, end = found.body.start_byte + 1, found.body.end_byte - 1
    inside = source[start:end]
    kept = inside.rstrip()
    if b"\n" not in inside:
        return _spliced(source, start, end, kept + (b" " if kept else b"") + new)
    newline = b"\r\n" if b"\r\n" in inside else b"\n"
    outer = _indent(source, found.body.start_byte)
    step = b"\t" if found.go or b"\t" in outer else b"  "
    return _spliced(source, start, end, kept + newline + outer + step + new + b"," + newline + outer)


def _behind_last(source: bytes, found: SourceList, new: bytes) -> bytes:
    last = found.entries[-1].element
    comma = next(
        (child for child in found.body.children if child.type == "," and child.start_byte >= last.end_byte), None
    )
    cut = comma.end_byte if comma else last.end_byte
    missing = b"" if comma else b","
    first_row, last_row = found.body.start_point.row, found.body.end_point.row
    if last.start_point.row == first_row or last.end_point.row == last_row:
        # The brackets hug the entries: on the last one's line, or on a line of its own where the entries have theirs.
        rows = {entry.element.start_point.row for entry in found.entries}
        own_line = last.start_point.row != first_row and len(rows) == len(found.entries)
        newline = _newline(source) + _indent(source, last.start_byte) if own_line else b" "
        return _spliced(source, cut, cut, missing + newline + new + (b"," if comma else b""))
    # On a line of its own, behind the comment that the last entry's line may end with.
    line_end = source.find(b"\n", cut)
    line_end -= source[line_end - 1 : line_end] == b"\r"
    behind = b"," if comma or found.go else b""
    line = _newline(source) + _indent(source, last.start_byte) + new + behind
    return source[:cut] + missing + source[cut:line_end] + line + source[line_end:]


def _newline(source: bytes) -> bytes:
    return b"\r\n" if b"\r\n" in source else b"\n"


def _indent(source: bytes, position: int) -> bytes:
    """White space that the line of `position` begins with."""
    begin = source.rfind(b"\n", 0, position) + 1
    found: Any = re.compile(rb"[ \t]*").match(source, begin)
    return found[0]
