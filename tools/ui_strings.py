# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts that a user may read, as the sources have them, against the translations in avatar_addon/translations/.

    python tools/ui_strings.py            what is missing, stale, not in order or has other gaps than the English;
                                         exit status 1 if anything is
    python tools/ui_strings.py --update   adds what is missing with an empty translation, drops what is stale, and sorts

An f-string counts as its text with {} for each value: "Wrote {path}" is "Wrote {}".
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "avatar_addon/translations"
DESCRIPTIONS = ROOT / "avatar_addon/client/engines.json"
FOLDERS = ("panels", "operators", "avatar_addon", "backend")
# The console's, and what programs read instead of people.
SILENT = (
    *(f"avatar_addon/{name}" for name in ("batch.py", "batch_run.py", "remote/")),
    *(f"avatar_addon/{name}" for name in ("vrm/spec/shape_key_names.py", "humanoid/matching/names.py")),
    *(f"backend/{name}" for name in ("mcp/", "commands.py", "records/rerun.py", "records/commands.py")),
)
SPOKEN_FILES = ("avatar_addon/remote/settings.py",)  # in the folders above, and yet in the preferences
CLAUSES = ("body",)  # modules of the matcher whose clauses are filled into a sentence
CHECKS = ("structure", "behaviour", "shape", "arms")  # modules of the report card whose clauses become sentences
ENGINES = "backend/"  # reach the user only as a job's progress, warnings and errors
TELLING = re.compile(r"BackendError|progress|warn|refuse|problem", re.IGNORECASE)
# Words that are filled into a text, or stand beside a button.
FRAGMENTS = {
    *(
        "done",
        "next",
        "outdated",
        "failed",
        "to check",
        "passed",
        "are not downloaded",
        "are not complete",
        "it",
        "them",
        "left",
        "right",
    ),
    *(
        "left arm",
        "right arm",
        "left leg",
        "right leg",
        "head",
        "torso",
        "Left arm",
        "Right arm",
        "Left leg",
        "Right leg",
        "Torso",
    ),
    *("was lying down", "was upside down", "faced sideways", "faced backwards"),
    *("front", "back", "left side", "right side"),
    *("picture server", "chat server"),
    *("Ray cluster", "No worker offers {}; add one with: {}"),
    # Permissions, which the VRM Add-on leaves in English.
    *("Only Author", "Only Separately Licensed Person", "Everyone", "Personal Non-Profit", "Personal Profit"),
    *("Corporation", "Unnecessary", "Prohibited", "Allow Modification", "Allow Modification Redistribution"),
    # What empty fields of the preferences show.
    *("from the environment", "from the profile", "the server's default", "the included one", "one picture per run"),
    *("the same path", "the same folder as here"),
    # Figures of checks that are one or two words, or are put together.
    *("missing: {}", "shared: {}", "requires {}", "moves nothing", "backward", "unknown", "no skin"),
    *("{} % ({} moves {})", "{} % of the head, {} % of it outside of the head"),
    *(
        "Sit",
        "Squat",
        "Kick",
        "Wave",
        "Walk",
        "Turn",
        "Idle",
        "Nod",
        "Think",
        "Talk",
        "Twist",
        "Fists",
        "Hair",
        "Skirt",
        "Tail",
        "Ears",
    ),
}
CLAUSE = re.compile(r"[a-z][^\n_]* [^\n]* [^\n]*")  # what a check means; the card makes a sentence of it
SPOKEN = {
    "text",
    "name",
    "description",
    "title",
    "heading",
    "placeholder",
    "message",
}  # keyword arguments that a user reads
SINGLE = re.compile(r"[A-Z][a-z]+")  # a word that may be an identifier as well
PHRASE = re.compile(r"[A-Z{'][^\n]* [^\n]*")


def text_of(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def _positions(tree: ast.Module) -> tuple[set[int], set[int]]:
    """ids of nodes that are no texts (docstrings, parts of f-strings), and of those that surely are."""
    silent, spoken = set(), set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        ):
            silent.add(id(node.body[0].value))
        elif isinstance(node, ast.JoinedStr):
            silent |= {id(part) for part in node.values}
        elif isinstance(node, ast.keyword) and node.arg in SPOKEN:
            spoken |= {id(inner) for inner in ast.walk(node.value)}
        elif isinstance(node, ast.keyword) and node.arg == "items":
            entries = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else []
            spoken |= {id(part) for entry in entries if isinstance(entry, ast.Tuple) for part in entry.elts[1:3]}
        elif isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id in ("bl_label", "bl_description") for t in node.targets
        ):
            spoken.add(id(node.value))
    return silent, spoken


def _is_filled_in(path: Path, text: str) -> bool:
    """Whether a single capitalised word, or a clause, is one that a user reads, in this file."""
    if path.parent.name == "panels" or path.stem == "assignment":
        return SINGLE.fullmatch(text) is not None
    return path.parent.name == "matching" and path.stem in CLAUSES and CLAUSE.fullmatch(text) is not None


def texts_in(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent, spoken = _positions(tree)
    for node in ast.walk(tree):
        text = text_of(node) if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in silent else None
        if not text or not re.search("[a-z]{2}", text) or re.fullmatch(r"(\{\}|\W)*", text):
            continue
        if path.parent.name == "report" and path.stem in CHECKS and CLAUSE.fullmatch(text):
            yield f"{text[0].upper()}{text[1:]}."
        elif id(node) in spoken or PHRASE.fullmatch(text) or _is_filled_in(path, text):
            yield text


def told_in(path: Path) -> Iterator[str]:
    """What an engine tells the user: arguments of BackendError, of progress callbacks, messages and hints of
    warnings.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        told: list[ast.expr] = []
        if isinstance(node, ast.Call) and TELLING.search(ast.unparse(node.func)):
            told = node.args + [keyword.value for keyword in node.keywords]
        elif isinstance(node, ast.Dict):
            told = [
                v
                for k, v in zip(node.keys, node.values, strict=True)
                if isinstance(k, ast.Constant) and k.value in ("message", "hint")
            ]
        elif isinstance(node, ast.Assign):  # of a name that is raised or returned further down
            told = [node.value]
        for value in told:
            text = text_of(value)
            if (
                text
                and re.search("[a-z]{2}", text)
                and PHRASE.fullmatch(text)
                and (not isinstance(node, ast.Assign) or text.endswith("."))
            ):
                yield text


def described(part: object) -> Iterator[str]:
    """What the built-in engines call themselves, their options and models: labels, helps and hints in engines.json."""
    if isinstance(part, dict):
        yield from (part[key] for key in ("label", "help", "hint") if part.get(key))
        if "models" in part:  # an engine, which is also called by the first words of its label
            yield part["label"].partition(" (")[0]
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from described(inner)


def all_texts() -> set[str]:
    texts = FRAGMENTS | set(described(json.loads(DESCRIPTIONS.read_text(encoding="utf-8"))))
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(SILENT) or name in SPOKEN_FILES:
                texts |= set(told_in(path) if name.startswith(ENGINES) else texts_in(path))
    return texts


def problems(table: dict[str, str], texts: set[str]) -> list[str]:
    return (
        [f"not translated: {text}" for text in sorted(texts) if not table.get(text)]
        + [f"no longer there: {text}" for text in sorted(table.keys() - texts)]
        + [f"other gaps: {text}" for text, other in table.items() if other and not _gaps_fit(text, other)]
        + (["not in order: run tools/ui_strings.py --update"] if list(table) != sorted(table) else [])
    )


def _gaps_fit(text: str, other: str) -> bool:
    """{} as often; with numbers a value may be left out, such as the s of a plural."""
    count, numbers = text.count("{}"), [int(number) for number in re.findall(r"\{(\d)\}", other)]
    return max(numbers) < count and "{}" not in other if numbers else other.count("{}") == count


def main() -> int:
    texts, found = all_texts(), 0
    for path in sorted(TABLES.glob("*.json")):
        table = json.loads(path.read_text(encoding="utf-8"))
        if "--update" in sys.argv:
            table = {text: table.get(text, "") for text in sorted(texts)}
            path.write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        lines = [f"{path.stem}: {line}" for line in problems(table, texts)]
        print("\n".join(lines) if lines else f"{path.stem}: {len(table)} texts, all translated")
        found += len(lines)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
