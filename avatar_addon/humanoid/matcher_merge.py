# SPDX-License-Identifier: GPL-3.0-or-later
"""What names change in an assignment that was made from geometry."""

from __future__ import annotations

from collections.abc import Sequence

from .matcher_tree import Tree
from .names import Name, named_bones
from .table import humanoid_problems

TRUST = 0.7  # of the bones that both know, how many must agree before a name overrules geometry
_TORSO = ("spine", "chest", "upperChest")


def with_names(tree: Tree, entries: dict[str, tuple[int, float, str]], read: Sequence[Name]) -> list[str]:
    """Changes `entries` (VRM bone -> bone, confidence, reason) where names that proved right elsewhere say otherwise.

    A change that VRM's hierarchy forbids is not made. Returns sentences for what the user should know.
    """
    named = named_bones(read) if read else {}
    both = [name for name in named if name in entries and name not in _TORSO]
    if len(named) < 6 or not both:
        return []
    agree = sum(entries[name][0] == named[name] for name in both)
    if agree < TRUST * len(both):
        return [f"The names of {len(both) - agree} bones say otherwise than where the bones lie; the names were not used."]
    for name, bone in named.items():
        if name in entries and entries[name][0] == bone:
            entries[name] = (bone, max(entries[name][1], 0.97), "Its place and its name agree.")
        else:
            _try(tree, entries, name, bone)
    for name, (bone, confidence, _) in entries.items():
        if read[bone].kind not in ("", "end"):
            entries[name] = (bone, min(confidence, 0.4), f"Its name says {read[bone].kind}, its place says otherwise.")
    return []


def _try(tree: Tree, entries: dict[str, tuple[int, float, str]], name: str, bone: int) -> None:
    """Takes the name's word, if the bones above and below still hang from each other."""
    before = _problems(tree, {key: entry[0] for key, entry in entries.items()})
    trial = {key: entry for key, entry in entries.items() if entry[0] != bone}
    trial[name] = (
        bone,
        0.85,
        "Its name says so." if name not in entries else "Its name says so; by its place alone another bone was likelier.",
    )
    after = _problems(tree, {key: entry[0] for key, entry in trial.items()})
    if after <= before:
        entries.clear()
        entries.update(trial)


def _problems(tree: Tree, assigned: dict[str, int]) -> int:
    parents = {str(bone): None if parent < 0 else str(parent) for bone, parent in enumerate(tree.parents)}
    return len(humanoid_problems({name: str(bone) for name, bone in assigned.items()}, parents))
