# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone of any skeleton is which humanoid bone of VRM, how sure that is and why; or that it is no humanoid.

Works from topology and geometry; names count only where they mean something (names.py). Pure: numpy and the standard
library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...vrm.spec.human_bones import BONES, FINGERS, PARENTS, REQUIRED, humanoid_problems
from .body import Body, Search, search
from .extras import Chain, other_chains
from .facing import CONVENTION, Facing, facing
from .fingers import Hand, read_hand
from .merge import with_names
from .names import Name, named_bones, read_names
from .tree import Tree

NAMES_FORGIVE = (
    12.0  # how much more an unusual build may cost when the names of the limbs' bones say that they are that
)
CALLED_SO = 10 / 12  # of the limbs' bones: names that agree so well outweigh any build
PLAIN = 8.0  # the cost below which no other direction than the expected is tried
BY_NAME = 0.55  # confidence of a bone that only its name tells
UNSURE = 0.5  # a confidence below this wants a person's look
MOST_BONES = 1000  # a random tree of so many takes seconds
LEG, ARM = ("UpperLeg", "LowerLeg", "Foot"), ("UpperArm", "LowerArm", "Hand")


@dataclass(frozen=True)
class Assigned:
    """One humanoid bone. bone: index; confidence: 0 to 1; reason: one short sentence."""

    bone: int
    confidence: float
    reason: str

    @property
    def unsure(self) -> bool:
        return self.confidence < UNSURE


@dataclass(frozen=True)
class Match:
    """humanoid: whether it is one; bones: VRM 1.0 bone -> what was assigned, empty for no humanoid; confidence: 0 to
    1, of the whole.

    reason: one sentence for the whole; doubts: sentences for what the user should look at; missing: required bones
    without a bone; facing: unit (x, y) the character looks along, Blender's axes; sides_sure: False where left and
    right may be the wrong way round; extras: every other bone, in chains.
    """

    humanoid: bool
    reason: str
    confidence: float = 0.0
    bones: dict[str, Assigned] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    facing: tuple[float, float] = (0.0, -1.0)
    sides_sure: bool = True
    extras: list[Chain] = field(default_factory=list)

    @property
    def mapping(self) -> dict[str, int]:
        """VRM bone -> bone index."""
        return {name: entry.bone for name, entry in self.bones.items()}


def match(
    heads: np.ndarray,
    parents: Sequence[int] | np.ndarray,
    names: Sequence[str] | None = None,
    faces: tuple[float, float] | None = (0.0, -1.0),
) -> Match:
    """The humanoid bones of a skeleton.

    heads: (J, 3) joints, any unit, Blender's axes (Z up); parents: (J,), -1 for a root, in any order; names: (J,).
    faces: the (x, y) direction that the character is expected to look along; strong evidence overrules it. None: not
    known. Tails and rolls are not asked for: the bones' own axes mean nothing. Raises ValueError for arrays that are
    no skeleton.
    """
    heads, parent_list = _checked(heads, parents)
    read = read_names(names) if names is not None else []
    if len(heads) < len(REQUIRED):
        return Match(
            False,
            f"Not a humanoid: it has {len(heads)} bone{'s'[: len(heads) != 1]}, but a humanoid needs {len(REQUIRED)}.",
        )
    if len(heads) > MOST_BONES:
        return Match(False, f"Not a humanoid: it has {len(heads)} bones, more than the limit of {MOST_BONES}.")
    turn, tree, found = _best_turn(heads, parent_list, faces)
    if not found.bodies:
        return _by_names(heads, parent_list, read) or Match(False, _nothing(found))
    body = found.bodies[0]
    if not _named_so(body, read) and body.cost > body.limit + NAMES_FORGIVE * _names_agree(body, read):
        worst = max(body.costs, key=lambda name: body.costs[name])
        return _by_names(heads, parent_list, read) or Match(False, f"Not a humanoid: {worst}.")
    expected = 0.0 if faces is None else CONVENTION * float(np.dot(_turned_flat(faces, turn), (0, -1)))
    seen = facing(tree, body, _hands(tree, body), read, expected)
    if seen.odds < 0:  # look again from the other side, so that it faces -Y and its left is +X
        turn += math.pi
        tree = Tree(_turned(heads, turn), parent_list)
        body = search(tree).bodies[0]
        seen = facing(tree, body, _hands(tree, body), read, -expected)
    return _match(tree, body, seen, read, turn, found)


def _by_names(heads: np.ndarray, parents: list[int], read: Sequence[Name]) -> Match | None:
    """A skeleton that is built like no person, but whose names alone make a valid humanoid; else None."""
    named = {name: bone for name, bone in named_bones(read).items() if name in BONES}
    if not set(REQUIRED) <= named.keys():
        return None
    tree, kept = Tree(heads, parents), {name: named[name] for name in REQUIRED}
    above = {str(bone): None if parent < 0 else str(parent) for bone, parent in enumerate(parents)}
    if humanoid_problems({name: str(bone) for name, bone in kept.items()}, above):
        return None
    for name in (name for name in BONES if name in named and name not in kept):
        trial = kept | {name: named[name]}
        parent = PARENTS[name]
        joint_after = not (parent or "").endswith("Hand") and any(finger in name for finger in FINGERS)
        if (parent in kept or not joint_after) and not humanoid_problems(
            {n: str(bone) for n, bone in trial.items()}, above
        ):
            kept = trial
    spine = _rise(tree, kept["hips"], [kept["leftUpperArm"], kept["rightUpperArm"]])
    if kept["spine"] in spine[:1] and len(spine) <= 3 and not set(spine[1:]) & set(kept.values()):
        kept |= dict(zip(("spine", "chest", "upperChest"), spine, strict=False))
    across = sum(heads[kept[f"left{part}"]] - heads[kept[f"right{part}"]] for part in (*LEG, *ARM))
    length = math.hypot(across[0], across[1]) or 1.0
    bones = {name: Assigned(kept[name], BY_NAME, "Identified by its name.") for name in BONES if name in kept}
    return Match(
        True,
        f"A humanoid by its names: {len(bones)} of its {len(heads)} bones are assigned.",
        BY_NAME,
        bones,
        ["The skeleton is not built like a person, so only its names were used: check the bones."],
        facing=(float(across[1] / length), float(-across[0] / length)),
        extras=other_chains(tree, kept, read),
    )


def _rise(tree: Tree, hips: int, limbs: Sequence[int]) -> list[int]:
    """The joints above the hips that carry all of these limbs, lowest first."""
    return [bone for bone in tree.path(hips, limbs[0])[1:-1] if all(tree.path(bone, limb) for limb in limbs)]


def _checked(heads: np.ndarray, parents: Sequence[int] | np.ndarray) -> tuple[np.ndarray, list[int]]:
    heads = np.asarray(heads, np.float64)
    parent_list = [int(parent) for parent in parents]
    if heads.shape != (len(parent_list), 3) or not np.isfinite(heads).all():
        raise ValueError("heads must be finite, (J, 3), with one parent each")
    if any(not -1 <= parent < len(heads) for parent in parent_list) or len(Tree(heads, parent_list).order) != len(
        heads
    ):
        raise ValueError("parents must be indices or -1, without a loop")
    size = float(np.ptp(heads, axis=0).max()) if len(heads) else 0.0
    return heads / (size or 1.0), parent_list


def _turned(heads: np.ndarray, turn: float) -> np.ndarray:
    c, s = math.cos(turn), math.sin(turn)
    return heads @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def _turned_flat(way: tuple[float, float], turn: float) -> tuple[float, float]:
    x, y, _ = _turned(np.array([[way[0], way[1], 0.0]]), turn)[0]
    return float(x), float(y)


def _best_turn(heads: np.ndarray, parents: list[int], faces: tuple[float, float] | None) -> tuple[float, Tree, Search]:
    """The turn about Z that puts the body's left and right on the X axis; front and back are told apart later."""
    first = 0.0 if faces is None else -math.pi / 2 - math.atan2(faces[1], faces[0])
    best = None
    for turn in (first, first + math.pi / 2, _sideways(heads, parents)):
        tree = Tree(_turned(heads, turn), parents)
        found = search(tree)
        cost = (found.bodies[0].cost if found.bodies else math.inf) + (0.0 if turn == first else 2.0)
        if best is None or cost < best[0]:
            best = cost, turn, tree, found
        if cost < PLAIN:
            break
    assert best is not None
    return best[1:]


def _sideways(heads: np.ndarray, parents: list[int]) -> float:
    """The turn that brings the line through alike siblings onto X: a body's limbs are pairs. Mean of doubled angles."""
    tree = Tree(heads, parents)
    total = 0.0 + 0.0j
    for children in tree.children:
        for i, a in enumerate(children):
            for b in children[:i]:
                if tree.size[a] != tree.size[b] or tree.size[a] < 3:
                    continue
                across = heads[tree.below(a)].mean(0) - heads[tree.below(b)].mean(0)
                flat = complex(across[0], across[1])
                total += (
                    tree.size[a]
                    * flat
                    * flat
                    / max(abs(flat), 1e-9)
                    * math.exp(-((across[2] / max(abs(flat), 1e-9)) ** 2))
                )
    return -np.angle(total) / 2 if abs(total) > 0 else 0.0


def _nothing(found: Search) -> str:
    if not found.legs:
        return "Not a humanoid: no joint has a pair of legs with knees and feet."
    if not found.arms:
        return "Not a humanoid: no joint above the legs has a pair of arms with elbows and hands."
    return "Not a humanoid: there is no head above the arms."


def _names_agree(body: Body, read: Sequence[Name]) -> float:
    """The share of the limbs' twelve bones whose names mean what the search took them for."""
    if not read:
        return 0.0
    limbs = [(limb, roles) for pair, roles in ((body.legs, LEG), (body.arms, ARM)) for limb in pair.limbs]
    return (
        sum(read[bone].role == role for limb, roles in limbs for bone, role in zip(limb.joints, roles, strict=True))
        / 12
    )


def _named_so(body: Body, read: Sequence[Name]) -> bool:
    """Whether the names of limbs and head say what the search took them for: a monster's build is no fault then."""
    named_head = {"neck", "head"} & {read[bone].role for bone in body.above} if read else set()
    return bool(named_head) and _names_agree(body, read) >= CALLED_SO


def _hands(tree: Tree, body: Body) -> list[Hand]:
    return [read_hand(tree, limb.joints[1], limb.joints[2]) for limb in body.arms.limbs]


@dataclass
class _Draft:
    """The assignment while it is made: VRM bone -> (bone, confidence, reason)."""

    entries: dict[str, tuple[int, float, str]] = field(default_factory=dict)

    def set(self, name: str, bone: int, confidence: float, reason: str) -> None:
        self.entries[name] = (bone, confidence, reason)


def _match(tree: Tree, body: Body, seen: Facing, read: Sequence[Name], turn: float, found: Search) -> Match:
    draft, doubts = _Draft(), []
    _trunk(tree, body, found, draft)
    for side, leg, arm in (("left", body.legs.plus, body.arms.plus), ("right", body.legs.minus, body.arms.minus)):
        sure = _certain(leg.cost, 6)
        for part, bone in zip(LEG, leg.joints, strict=True):
            draft.set(side + part, bone, sure, "One of a pair of chains from the hips to the ground.")
        if leg.extra >= 0 and len(tree.children[leg.joints[2]]) < 4:
            draft.set(side + "Toes", leg.extra, sure, "Lies in front of the foot, near the ground.")
        sure = _certain(arm.cost, 6)
        for part, bone in zip(ARM, arm.joints, strict=True):
            draft.set(side + part, bone, sure, "One of a pair of chains that start beside the chest.")
        if arm.extra >= 0:
            draft.set(side + "Shoulder", arm.extra, sure, "Lies between the chest and the upper arm.")
        _fingers(side, read_hand(tree, arm.joints[1], arm.joints[2]), draft)
    _eyes(tree, body, draft)
    whole = _certain(body.cost - 4, 16)
    palms = [bone for hand in _hands(tree, body) for bone in hand.metacarpals if tree.size[bone] > 3]
    doubts += with_names(tree, draft.entries, read, palms)
    if "neck" in draft.entries and any(tree.path(draft.entries["neck"][0], arm.joints[0]) for arm in body.arms.limbs):
        del draft.entries["neck"]  # VRM has no arms below a neck, but a neck may be missing
    sides_sure = seen.sure and not seen.disputed
    bones = {}
    for name in (name for name in BONES if name in draft.entries):
        bone, confidence, reason = draft.entries[name]
        confidence *= whole**0.5
        if not sides_sure and name.startswith(("left", "right")):
            confidence, reason = (
                min(confidence, 0.4),
                "Left and right may be swapped: nothing shows which way the character faces.",
            )
        bones[name] = Assigned(bone, round(confidence, 3), reason)
    missing = [name for name in REQUIRED if name not in bones]
    doubts += [f"No bone was found for {name}." for name in missing]
    doubts += _doubts(bones, seen, body)
    way = _turned_flat((0.0, -1.0), -turn)
    overall = min(whole, *(bones[name].confidence if name in bones else 0.0 for name in REQUIRED))
    return Match(
        True,
        f"This is a humanoid: {len(bones)} of its {len(tree.parents)} bones are assigned.",
        round(overall, 3),
        bones,
        doubts,
        missing,
        (round(way[0], 6) + 0.0, round(way[1], 6) + 0.0),
        sides_sure,
        other_chains(tree, {name: entry.bone for name, entry in bones.items()}, read),
    )


def _certain(cost: float, scale: float) -> float:
    """1 at no cost, a half at `scale`."""
    return 1.0 / (1.0 + (max(cost, 0.0) / scale) ** 2)


def _trunk(tree: Tree, body: Body, found: Search, draft: _Draft) -> None:
    draft.set("hips", body.hips, 1.0, "Both legs and the spine start here.")
    spine, above = list(body.spine), list(body.above)
    head = above.pop()
    shoulders = sum(tree.at[limb.joints[0]][2] for limb in body.arms.limbs) / 2
    torso = shoulders - tree.at[body.hips][2]
    starts = min(tree.at[limb.path[0]][2] for limb in body.arms.limbs)
    if not above and len(spine) > 1 and tree.at[spine[-1]][2] > starts - 0.02 * torso:
        above = [spine.pop()]  # the arms start from the neck, as in Biped rigs
    names = ("spine", "chest", "upperChest")
    chosen = spine if len(spine) <= 3 else [spine[0], _halfway(tree, spine), spine[-1]]
    for name, bone in zip(names, chosen, strict=False):
        draft.set(name, bone, 1.0 if len(spine) <= 3 else 0.8, "Lies between the hips and the start of the arms.")
    necks = [bone for bone in above if tree.at[bone][2] > shoulders - 0.12 * torso]
    if above:
        draft.set(
            "neck",
            (necks or above[-1:])[0],
            0.95 if len(above) == 1 else 0.75,
            "Lies between the shoulders and the head.",
        )
    rivals = [
        other.cost - body.cost
        for other in found.bodies
        if other.above[-1] != body.above[-1] and other.hips == body.hips
    ]
    sure = 1.0 if not rivals else 1 - 0.5 * math.exp(-max(0.0, min(rivals)))
    draft.set(
        "head",
        head,
        sure * _certain(body.costs["there is no head above its shoulders"], 5),
        "The highest joint of the spine.",
    )


def _halfway(tree: Tree, spine: list[int]) -> int:
    """The joint that halves the spine; of two that do it alike, the upper."""
    first, last = tree.at[spine[0]][2], tree.at[spine[-1]][2]
    inner = spine[1:-1]
    off = {bone: abs((tree.at[bone][2] - first) / max(last - first, 1e-9) - 0.5) for bone in inner}
    usual = spine[len(spine) // 2]
    best = min(inner, key=lambda bone: off[bone])
    return usual if off[usual] < off[best] + 0.12 else best


def _fingers(side: str, hand: Hand, draft: _Draft) -> None:
    count = len(hand.fingers)
    sure, reason = 0.95 * hand.clear, f"One of {count} fingers, identified by their order across the hand."
    if count < 5:
        sure, reason = (
            min(sure, 0.6),
            f"The hand has {count} finger{'s'[: count != 1]}, so the finger's name is a guess.",
        )
    elif hand.clear < 0.5:
        reason = "The fingers are so close together that their order is uncertain."
    for finger in FINGERS:
        parts = ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal")
        for part, bone in zip(parts, hand.fingers.get(finger, ()), strict=False):
            draft.set(side + finger + part, bone, sure, reason)


def _eyes(tree: Tree, body: Body, draft: _Draft) -> None:
    """One symmetric pair of single bones in front of the head's joint."""
    head = body.above[-1]
    torso = abs(tree.at[head][2] - tree.at[body.hips][2])
    x, y, z = tree.at[head]
    roots = list(tree.children[head])
    roots += [
        k for child in roots if tree.distance(head, child) < 0.03 * torso for k in tree.children[child]
    ]  # the head's joint once more
    front = [
        k
        for k in roots
        if tree.size[k] == 1 and tree.at[k][1] < y - 0.03 * torso and abs(tree.at[k][2] - z) < 0.8 * torso
    ]
    pairs = []
    for a in front:
        for b in front:
            (ax, ay, az), (bx, by, bz) = tree.at[a], tree.at[b]
            wide = ax - bx
            if (
                0.03 * torso < wide < 0.5 * torso
                and max(abs(ax + bx - 2 * x), abs(ay - by), abs(az - bz)) < 0.3 * wide
                and az > z
            ):
                pairs.append((a, b))
    if len(pairs) == 1:
        for name, bone in zip(("leftEye", "rightEye"), pairs[0], strict=True):
            draft.set(name, bone, 0.6, "One of the only pair of single bones in the face.")


def _doubts(bones: dict[str, Assigned], seen: Facing, body: Body) -> list[str]:
    doubts = []
    if seen.disputed:
        doubts.append(
            "Left and right in the names disagree with the body's shape: check the sides before you continue."
        )
    elif not seen.sure:
        doubts.append("Nothing shows which way the character faces, so left and right may be swapped: check one hand.")
    weak = [name for name, entry in bones.items() if entry.unsure and name in REQUIRED]
    if weak and seen.sure:
        doubts.append(f"Uncertain bones: {', '.join(weak)}. Check {'it' if len(weak) == 1 else 'them'}.")
    worst = max(body.costs, key=lambda name: body.costs[name])
    if body.costs[worst] > 6:
        doubts.append(f"The skeleton is an unusual humanoid: {worst}.")
    return doubts
