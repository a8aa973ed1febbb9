# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person has to know of every humanoid bone: assigned, unsure, missing, in the wrong order, or assigned twice,
and in which words.

Source of the rules: specification VRMC_vrm-1.0, "humanoid". Pure: the standard library.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from ...vrm.spec.human_bones import BONES, FINGERS, PARENTS, REQUIRED, ancestors, assigned_parent
from .matcher import UNSURE as UNSURE_BELOW
from .matcher import Match

ASSIGNED, UNSURE, MISSING, OPTIONAL, ORDER, TWICE, GONE = (
    "assigned",
    "unsure",
    "missing",
    "optional",
    "order",
    "twice",
    "gone",
)
WORST_FIRST = (GONE, TWICE, ORDER, MISSING, UNSURE)  # what a person has to look at
CONFIRMED = "Confirmed by you."
ROWS_SAY = ("Uncertain bones:", "No bone was found for")  # doubts of single bones, whose states say it

_LIMBS = {
    "Arms": ("Shoulder", "UpperArm", "LowerArm", "Hand"),
    "Legs": ("UpperLeg", "LowerLeg", "Foot"),
    "Toes": ("Toes",),
}


def _fingers(side: str) -> tuple[str, ...]:
    return tuple(name for name in BONES if name.startswith(side) and any(finger in name for finger in FINGERS))


GROUPS: dict[str, tuple[str, ...]] = {
    "Torso": ("hips", "spine", "chest", "upperChest"),
    "Head": ("neck", "head", "leftEye", "rightEye", "jaw"),
    "Arms": tuple(side + part for side in ("left", "right") for part in _LIMBS["Arms"]),
    "Legs": tuple(side + part for side in ("left", "right") for part in _LIMBS["Legs"]),
    "Left Fingers": _fingers("left"),
    "Right Fingers": _fingers("right"),
    "Toes": ("leftToes", "rightToes"),
}
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}
PARTS = {
    "hips": "Hips", "spine": "Spine", "chest": "Chest", "upperChest": "Upper Chest", "neck": "Neck", "head": "Head",
    "jaw": "Jaw",
    "Eye": "Eye", "Shoulder": "Shoulder", "UpperArm": "Upper Arm", "LowerArm": "Lower Arm", "Hand": "Hand",
    "UpperLeg": "Upper Leg", "LowerLeg": "Lower Leg", "Foot": "Foot", "Toes": "Toes",
    "ThumbMetacarpal": "Thumb 1", "ThumbProximal": "Thumb 2", "ThumbDistal": "Thumb 3",
    "IndexProximal": "Index 1", "IndexIntermediate": "Index 2", "IndexDistal": "Index 3",
    "MiddleProximal": "Middle 1", "MiddleIntermediate": "Middle 2", "MiddleDistal": "Middle 3",
    "RingProximal": "Ring 1", "RingIntermediate": "Ring 2", "RingDistal": "Ring 3",
    "LittleProximal": "Little 1", "LittleIntermediate": "Little 2", "LittleDistal": "Little 3",
}  # fmt: skip


def side_of(name: str) -> str:
    return "left" if name.startswith("left") else "right" if name.startswith("right") else ""


def other_side(name: str) -> str:
    """leftHand <-> rightHand; a bone of the middle is its own."""
    side = side_of(name)
    return ("right" if side == "left" else "left") + name[len(side) :] if side else name


@cache
def part_label(name: str) -> str:
    """What a person calls the bone, without its side. A finger's joints are counted from the hand."""
    return PARTS[name[len(side_of(name)) :]]


@cache
def label(name: str) -> str:
    side = side_of(name)
    part = part_label(name)
    return f"Left {part}" if side == "left" else f"Right {part}" if side else part


@dataclass(frozen=True)
class Note:
    """What the matcher said of one humanoid bone. It speaks of `bone` only: of another one it says nothing."""

    bone: str
    confidence: float
    reason: str

    @property
    def unsure(self) -> bool:
        return self.confidence < UNSURE_BELOW


@dataclass(frozen=True)
class Finding:
    """What the matcher said of an armature, as it is kept with it."""

    humanoid: bool
    reason: str
    confidence: float = 0.0
    doubts: tuple[str, ...] = ()
    notes: dict[str, Note] = field(default_factory=dict)

    @classmethod
    def of(cls, match: Match, names: Sequence[str]) -> Finding:
        """names: of the bones whose indices are in the match."""
        notes = {name: Note(names[entry.bone], entry.confidence, entry.reason) for name, entry in match.bones.items()}
        doubts = tuple(doubt for doubt in match.doubts if not doubt.startswith(ROWS_SAY))
        return cls(match.humanoid, match.reason, match.confidence, doubts, notes)

    def to_json(self) -> str:
        notes = {name: [note.bone, note.confidence, note.reason] for name, note in self.notes.items()}
        return json.dumps(vars(self) | {"notes": notes}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Finding:
        kept = json.loads(text)
        notes = {name: Note(*note) for name, note in kept.pop("notes").items()}
        return cls(**kept | {"notes": notes, "doubts": tuple(kept["doubts"])})

    def confirmed(self, names: Iterable[str], assigned: Mapping[str, str]) -> Finding:
        """The same, where a person has said that these humanoid bones are right as they are assigned. Without an
        unsure bone left there is no doubt left of the whole.
        """
        notes = self.notes | {name: Note(assigned[name], 1.0, CONFIRMED) for name in names if name in assigned}
        if any(note.unsure and assigned.get(name) == note.bone for name, note in notes.items()):
            return replace(self, notes=notes)
        return replace(
            self,
            notes=notes,
            doubts=(),
            confidence=max(self.confidence, min(note.confidence for note in notes.values())),
        )


@dataclass(frozen=True)
class BoneState:
    """One humanoid bone. bone: "" for none; kind: one of this module's; word: "" where all is well; reason: a
    sentence, "" for none;

    suggestion: the bone that the matcher would assign instead, "" for none.
    """

    name: str
    bone: str
    kind: str
    word: str = ""
    reason: str = ""
    suggestion: str = ""


def bone_states(
    assigned: Mapping[str, str], parents: Mapping[str, str | None], notes: Mapping[str, Note] | None = None
) -> dict[str, BoneState]:
    """The state of each of VRM's humanoid bones, by name.

    assigned: VRM bone -> bone name; parents: bone name -> its parent, of every bone of the armature; notes: what the
    matcher said.
    """
    notes = notes or {}
    users: dict[str, list[str]] = {}
    for name, bone in assigned.items():
        users.setdefault(bone, []).append(name)
    order = _wrong_order({name: bone for name, bone in assigned.items() if bone in parents}, parents, notes)
    states = {}
    for name in BONES:
        bone, note = assigned.get(name, ""), notes.get(name)
        kind, word, reason = _judged(name, assigned, parents, users, order, note)
        suggestion = note.bone if note and kind in (GONE, TWICE, ORDER, MISSING) else ""
        if suggestion not in parents or suggestion in users:
            suggestion = ""
        states[name] = BoneState(name, bone, kind, word, reason, suggestion)
    return states


def _judged(name, assigned, parents, users, order, note) -> tuple[str, str, str]:
    """Kind, word and reason of one humanoid bone."""
    bone = assigned.get(name, "")
    if not bone:
        return _not_assigned(name, assigned)
    if bone not in parents:
        return GONE, "No such bone", f"The armature has no bone '{bone}'."
    others = [label(other) for other in users[bone] if other != name]
    if others:
        return TWICE, f"Also {others[0]}", f"'{bone}' is also assigned to {others[0]}; a bone can have only one role."
    if name in order:
        return order[name]
    if note and note.bone == bone:
        return (UNSURE, "Uncertain", note.reason) if note.unsure else (ASSIGNED, "", note.reason)
    return ASSIGNED, "", ""


def _not_assigned(name: str, assigned: Mapping[str, str]) -> tuple[str, str, str]:
    if name in REQUIRED:
        return MISSING, "Missing", f"VRM requires a bone for {label(name)}."
    for other in assigned:
        if PARENTS[other] == name and _needs_parent(other):
            return MISSING, "Missing", f"{label(other)} is assigned, so VRM also requires {label(name)}."
    return OPTIONAL, "", "Not assigned; this bone is optional."


def _needs_parent(name: str) -> bool:
    """Whether VRM requires the parent's bone as soon as this one is assigned: the upper chest, and a finger's second
    and third joint.
    """
    part = name[len(side_of(name)) :]
    return name == "upperChest" or (part.startswith(FINGERS) and not PARENTS[name].endswith("Hand"))  # type: ignore[union-attr]


def _wrong_order(
    assigned: Mapping[str, str], parents: Mapping[str, str | None], notes: Mapping[str, Note]
) -> dict[str, tuple[str, str, str]]:
    """The humanoid bones to blame for every pair whose lower bone does not hang from the upper one: kind, word and
    reason of each.

    A bone that is in several such pairs is to blame for them. Of a single pair it is the upper one where the lower
    hangs from what is above both, else the lower one; unless the matcher had found it where it is.
    """
    above = {name: set(ancestors(bone, parents)) for name, bone in assigned.items()}
    pairs, misfits = [], Counter[str]()
    for name in (name for name in BONES if name in assigned):
        upper = assigned_parent(name, assigned)
        if upper is None or assigned[upper] == assigned[name] or assigned[upper] in above[name]:
            continue
        pairs.append((upper, name))
        next_up = assigned_parent(upper, assigned)
        misfits[upper if next_up and assigned[next_up] in above[name] else name] += 1
    found = {name for name, note in notes.items() if note.bone == assigned.get(name) and not note.unsure}
    blamed = {}
    while pairs:
        counts = Counter(name for pair in pairs for name in pair)
        worst = max(counts, key=lambda name: (counts[name], name not in found, misfits[name]))
        upper, name = next(pair for pair in pairs if worst in pair)
        word = f"Below {label(upper)}?" if worst == name else f"Above {label(name)}?"
        reason = (
            f"{label(upper)} must be above {label(name)} in the hierarchy, but '{assigned[name]}' is not a"
            f" descendant of '{assigned[upper]}'."
        )
        blamed[worst] = ORDER, word, reason
        pairs = [pair for pair in pairs if worst not in pair]
    return blamed


def count(states: Mapping[str, BoneState], names: Sequence[str]) -> tuple[int, str]:
    """How many of these humanoid bones have a bone, and the worst kind among them that wants a look, "" for none."""
    kinds = {states[name].kind for name in names}
    return sum(bool(states[name].bone) for name in names), next((kind for kind in WORST_FIRST if kind in kinds), "")


def summary(states: Mapping[str, BoneState]) -> tuple[str, str]:
    """The whole in a sentence, and the worst kind that wants a look, "" for none."""
    _, worst = count(states, BONES)
    missing = [label(name) for name in REQUIRED if not states[name].bone]
    look = sum(state.kind in WORST_FIRST for state in states.values())
    if len(missing) == len(REQUIRED):
        return "No bones are assigned yet.", worst
    if missing:
        names = ", ".join(missing[:3])
        if len(missing) == 1:
            return f"1 required bone is missing: {names}.", worst
        return f"{len(missing)} required bones are missing: {names}{', ...' if len(missing) > 3 else '.'}", worst
    if look:
        return f"All required bones are assigned; {look} to check.", worst
    return "All required bones are assigned.", worst
