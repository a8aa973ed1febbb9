# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bones are that no humanoid bone was found for: hair, skirt, tail, wings and the like, later sprung; twist
bones and ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .names import Name
from .tree import Tree, twist_fit

SPRUNG = frozenset({"hair", "skirt", "tail", "wing", "bust", "ear", "sleeve", "cloth"})
_LIMBS = ("UpperArm", "LowerArm", "UpperLeg", "LowerLeg", "Shoulder")


@dataclass(frozen=True)
class Chain:
    """kind: hair, skirt, tail, wing, bust, ear, sleeve, cloth, face, prop, end, twist, metacarpal, spine, neck or
    helper.

    bones: one unbranched chain, nearest the body first; on: the VRM bone that it hangs from, "" for none.
    """

    kind: str
    bones: tuple[int, ...]
    on: str

    @property
    def sprung(self) -> bool:
        """Whether it is a candidate for spring bones."""
        return self.kind in SPRUNG


def other_chains(tree: Tree, assigned: Mapping[str, int], read: Sequence[Name]) -> list[Chain]:
    """Every bone that is not assigned, in chains. The body faces -Y."""
    named = {bone: name for name, bone in assigned.items()}
    carries = [bone in named for bone in range(len(tree.parents))]  # itself or anything below is a humanoid bone
    for bone in reversed(tree.order):
        if carries[bone] and tree.parents[bone] >= 0:
            carries[tree.parents[bone]] = True
    kinds: dict[int, str] = {}
    on: dict[int, str] = {}
    chains: list[list[int]] = []
    open_chain: dict[int, list[int]] = {}
    for bone in tree.order:
        if bone in named:
            continue
        parent = tree.parents[bone]
        on[bone] = named.get(parent, on.get(parent, ""))
        inside = carries[bone]
        if parent in kinds and not inside and not carries[parent]:
            kinds[bone] = kinds[parent]
        else:
            kinds[bone] = _inside(tree, bone, on[bone], named) if inside else _kind(tree, bone, on[bone], assigned)
        if read and read[bone].kind not in ("", "end"):
            kinds[bone] = "helper" if read[bone].kind == "control" else read[bone].kind
        chain = open_chain.get(parent)
        if (
            chain is not None
            and kinds[parent] == kinds[bone]
            and chain[-1] == parent
            and len(tree.children[parent]) == 1
        ):
            chain.append(bone)
        else:
            chain = [bone]
            chains.append(chain)
        open_chain[bone] = chain
    return [Chain(kinds[chain[0]], tuple(chain), on[chain[0]]) for chain in chains]


def _inside(tree: Tree, bone: int, on: str, named: Mapping[int, str]) -> str:
    """A bone between humanoid bones."""
    if on in ("spine", "chest", "upperChest"):
        return "spine"
    if on in ("neck", "head"):
        return "neck"
    if on.endswith("Hand"):
        return "metacarpal"
    return "twist" if on.endswith(_LIMBS) else "helper"


def _kind(tree: Tree, bone: int, on: str, assigned: Mapping[str, int]) -> str:
    if not on:
        return "helper" if tree.size[bone] == 1 else "prop"
    base = assigned[on]
    torso = abs(tree.at[assigned["head"]][2] - tree.at[assigned["hips"]][2])
    x, y, z = (p - q for p, q in zip(tree.at[bone], tree.at[base], strict=True))
    end = max(tree.below(bone), key=lambda k: tree.distance(base, k))
    ex, ey, ez = (p - q for p, q in zip(tree.at[end], tree.at[base], strict=True))
    length = tree.distance(base, end)
    if on in ("head", "neck", "jaw"):
        return _on_head(tree, bone, (x, y, z), (ex, ey, ez), torso, on)
    if on.endswith("Hand"):
        return "end" if tree.size[bone] == 1 and length < 0.4 * torso else "prop"
    if on.endswith(_LIMBS):
        return _on_limb(tree, bone, on, assigned, torso)
    if on == "hips":
        if abs(x) < 0.12 * torso and ey > 0 and not _in_ring(tree, base, bone, assigned, torso):
            return "tail"
        return "skirt" if ez < -0.1 * torso else "cloth"
    if on in ("spine", "chest", "upperChest"):
        if tree.size[bone] <= 3 and ey < 0 and length < 0.6 * torso:
            return "bust"
        if abs(ex) > 0.5 * torso and ey > -0.05 * torso:
            return "wing"
        return "cloth" if tree.size[bone] > 1 else "helper"
    return "end"


def _in_ring(tree: Tree, base: int, bone: int, assigned: Mapping[str, int], torso: float) -> bool:
    """Whether at least two more chains hang from the same bone as far around and as far down: then it is part of a
    skirt.
    """

    def shape(root: int) -> tuple[int, float, float]:
        x, y, z = tree.heads[max(tree.below(root), key=lambda k: tree.distance(base, k))] - tree.heads[base]
        return tree.size[root], float(np.hypot(x, y)), float(z)

    size, around, down = shape(bone)
    others = [shape(k) for k in tree.children[base] if k != bone and k not in assigned.values()]
    near = 0.25 * torso
    return sum(s == size and abs(a - around) < near and abs(d - down) < near for s, a, d in others) >= 2


def _on_head(tree: Tree, bone: int, start: tuple, end: tuple, torso: float, on: str) -> str:
    if (
        tree.size[bone] == 1
        and abs(start[0]) < 0.06 * torso
        and abs(start[1]) < 0.12 * torso
        and start[2] > 0.1 * torso
        and on == "head"
    ):
        return "end"
    if tree.size[bone] == 1 and start[1] < -0.02 * torso:
        return "face"
    return "hair"


def _on_limb(tree: Tree, bone: int, on: str, assigned: Mapping[str, int], torso: float) -> str:
    side, part = (on[:4], on[4:]) if on.startswith("left") else (on[:5], on[5:])
    following = {
        "Shoulder": "UpperArm",
        "UpperArm": "LowerArm",
        "LowerArm": "Hand",
        "UpperLeg": "LowerLeg",
        "LowerLeg": "Foot",
    }
    after = assigned.get(side + following[part])
    if after is not None and twist_fit(tree, assigned[on], after, tree.below(bone))[0] < 0.2:
        return "twist"
    if tree.size[bone] == 1:
        return "helper"
    return "skirt" if part == "UpperLeg" else "sleeve" if "Arm" in part else "cloth"
