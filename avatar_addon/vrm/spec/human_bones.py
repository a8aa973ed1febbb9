# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid bones of VRM (specification VRMC_vrm-1.0, "humanoid"; VRM 0.0 for the older thumb names)."""

from __future__ import annotations

import re
from collections.abc import Mapping

FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")
REQUIRED = (
    "hips",
    "spine",
    "head",
    *(
        side + bone
        for side in ("left", "right")
        for bone in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
    ),
)  # fmt: skip


def _parents() -> dict[str, str | None]:
    parents: dict[str, str | None] = {"hips": None}
    chain = ["hips", "spine", "chest", "upperChest", "neck", "head"]
    parents |= dict(zip(chain[1:], chain, strict=False))
    parents["jaw"] = "head"
    for side in ("left", "right"):
        parents[side + "Eye"] = "head"
        limbs = (
            ("upperChest", "Shoulder", "UpperArm", "LowerArm", "Hand"),
            ("hips", "UpperLeg", "LowerLeg", "Foot", "Toes"),
        )
        for root, *bones in limbs:
            names = [root, *(side + bone for bone in bones)]
            parents |= dict(zip(names[1:], names, strict=False))
        for finger in FINGERS:
            phalanges = (
                ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal")
            )
            names = [side + "Hand", *(side + finger + phalanx for phalanx in phalanges)]
            parents |= dict(zip(names[1:], names, strict=False))
    return parents


PARENTS = _parents()  # VRM 1.0 bone -> its parent in the specification's tree; in this order
BONES = tuple(PARENTS)


def snake_case(name: str) -> str:
    """leftUpperArm -> left_upper_arm: the VRM Add-on's attribute for a bone or an expression."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def name_in_vrm0(name: str) -> str:
    """The VRM 0.x name of a VRM 1.0 bone: only the thumb's differ."""
    return name.replace("ThumbProximal", "ThumbIntermediate").replace("ThumbMetacarpal", "ThumbProximal")


def assigned_parent(name: str, assigned: Mapping[str, str]) -> str | None:
    """The nearest ancestor of a VRM bone that has a bone assigned."""
    parent = PARENTS[name]
    while parent is not None and parent not in assigned:
        parent = PARENTS[parent]
    return parent


def humanoid_problems(assigned: Mapping[str, str], parents: Mapping[str, str | None]) -> list[str]:
    """One sentence for everything that VRM forbids in an assignment.

    assigned: VRM bone -> bone name; parents: bone name -> its parent bone, for every bone of the armature.
    """
    problems = [f"The required bone {name} is not assigned." for name in REQUIRED if name not in assigned]
    users: dict[str, list[str]] = {}
    for name, bone in assigned.items():
        users.setdefault(bone, []).append(name)
        if bone not in parents:
            problems.append(f"{name} is assigned to {bone!r}, which the armature does not have.")
    problems += [
        f"The bone {bone!r} is assigned to {' and '.join(names)}; a bone can have only one role."
        for bone, names in users.items()
        if len(names) > 1
    ]
    for name, bone in assigned.items():
        parent, above = assigned_parent(name, assigned), ancestors(bone, parents)
        if parent and bone in parents and assigned[parent] not in above and assigned[parent] != bone:
            problems.append(f"{name} ({bone!r}) is not a descendant of {parent} ({assigned[parent]!r}).")
            continue
        nearest = next((users[one][0] for one in above if one in users), None)
        if nearest and not _is_above(nearest, name):
            problems.append(f"{name} ({bone!r}) must not be below {nearest} ({assigned[nearest]!r}).")
    return problems


def _is_above(name: str, other: str) -> bool:
    """Whether VRM's tree has one bone above another."""
    parent = PARENTS[other]
    while parent is not None and parent != name:
        parent = PARENTS[parent]
    return parent == name


def ancestors(bone: str, parents: Mapping[str, str | None]) -> list[str]:
    """The bones above a bone, nearest first."""
    found: list[str] = []
    above = parents.get(bone)
    while above is not None and above not in found:
        found.append(above)
        above = parents.get(above)
    return found
