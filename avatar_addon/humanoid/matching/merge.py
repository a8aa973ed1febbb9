# SPDX-License-Identifier: GPL-3.0-or-later
"""What names change in an assignment that was made from geometry."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ...vrm.spec.human_bones import FINGERS, humanoid_problems
from .names import Name, named_bones
from .tree import Tree

TRUST = 0.7  # of the body's bones that both know, how many must agree before a name overrules geometry
_TORSO = ("spine", "chest", "upperChest")
Entries = dict[str, tuple[int, float, str]]


def with_names(tree: Tree, entries: Entries, read: Sequence[Name], metacarpals: Collection[int] = ()) -> list[str]:
    """Changes `entries` (VRM bone -> bone, confidence, reason) where names that proved right elsewhere say otherwise.

    A change that VRM's hierarchy forbids is not made. Names that count a finger's joints from one of `metacarpals`,
    which fill the palm and are no joint of VRM's, are not used. Returns sentences for what the user should know.
    """
    named = named_bones(read) if read else {}
    if "hips" not in named and "hips" in entries:  # Rigify calls the hips "spine"
        named = {name: bone for name, bone in named.items() if name not in _TORSO or bone != entries["hips"][0]}
    body = [
        name
        for name in named
        if name in entries and name not in _TORSO and not any(finger in name for finger in FINGERS)
    ]
    if len(body) < 4:
        return []
    agree = sum(entries[name][0] == named[name] for name in body)
    if agree < TRUST * len(body):
        return [f"The names of {len(body) - agree} bones contradict their positions; the names were not used."]
    counted = {name.removesuffix("Proximal") for name, bone in named.items() if bone in metacarpals}
    named = {name: bone for name, bone in named.items() if not name.startswith(tuple(counted) or "-")}
    torso = {name: bone for name, bone in named.items() if name in _TORSO}
    limbs = {name: bone for name, bone in named.items() if name not in _TORSO}
    if not _try(tree, entries, limbs):
        _try_in_parts(tree, entries, limbs)
    if len(torso) >= len([name for name in _TORSO if name in entries]):  # else they leave a joint of the spine out
        _try(tree, entries, torso)
    for side in ("left", "right"):
        for finger in FINGERS:
            chain = [name for name in entries if name.startswith(side + finger)]
            if side + finger not in counted and any(
                read[entries[name][0]].role not in ("", name.removeprefix(side)) for name in chain
            ):
                for name in chain:  # a bone that is called something else and is no finger
                    del entries[name]
    for name, (bone, confidence, _) in entries.items():
        if read[bone].kind not in ("", "end"):
            entries[name] = (bone, min(confidence, 0.4), f"Its name says {read[bone].kind}, but its position does not.")
    return []


def _try_in_parts(tree: Tree, entries: Entries, named: Mapping[str, int]) -> None:
    """A hand's fingers at once, as taken singly each would take a bone away from another; then bone by bone."""
    for side in ("left", "right"):
        hand = {name: bone for name, bone in named.items() if name.startswith(tuple(side + f for f in FINGERS))}
        if hand and not _try(tree, entries, hand):
            for finger in FINGERS:
                _try(tree, entries, {name: bone for name, bone in hand.items() if name.startswith(side + finger)})
    for name, bone in [*named.items(), *named.items()]:  # twice: one may need what another has now
        _try(tree, entries, {name: bone})


def _try(tree: Tree, entries: Entries, named: Mapping[str, int]) -> bool:
    """Takes the names' word, if the bones above and below still hang from each other."""
    claimed = set(named.values())
    trial: Entries = {name: entry for name, entry in entries.items() if name not in named and entry[0] not in claimed}
    for name, bone in named.items():
        if name in entries and entries[name][0] == bone:
            trial[name] = (bone, max(entries[name][1], 0.97), "Its position and its name agree.")
        else:
            trial[name] = (
                bone,
                0.85,
                "Identified by its name."
                if name not in entries
                else "Identified by its name; by its position it could be another bone.",
            )
    if _problems(tree, trial) > _problems(tree, entries):
        return False
    entries.clear()
    entries.update(trial)
    return True


def _problems(tree: Tree, entries: Entries) -> int:
    parents = {str(bone): None if parent < 0 else str(parent) for bone, parent in enumerate(tree.parents)}
    return len(humanoid_problems({name: str(entry[0]) for name, entry in entries.items()}, parents))
