# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint tokens to a skeleton: joints, tails, parents, names (shared/reference/unirig.md 6.6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .joint_tokens import FINGERS_LEFT, FINGERS_RIGHT, TEMPLATES, Vocabulary, coordinates, template


class InvalidSequence(ValueError):
    """The tokens are no skeleton; says why."""


@dataclass
class Skeleton:
    """joints, tails (J, 3) float32 in the cube, parents (J,) int64 with -1 for the root, names, class, the parts
    written (None: spring).
    """

    joints: np.ndarray
    tails: np.ndarray
    parents: np.ndarray
    names: list[str]
    class_name: str | None
    parts: list[str | None]


def detokenise(tokens: list[int], v: Vocabulary, shipped: bool = False) -> Skeleton:
    """The skeleton that a whole sequence, bos to eos, writes. Raises InvalidSequence.

    A sequence of one joint is a skeleton here, which the original refuses. `shipped` takes whatever ids stand where a
    joint's coordinates should be, as the original does with what its grammar lets through.
    """
    ids = [token for token in tokens if token != v.pad]
    if not ids or ids[0] != v.bos:
        raise InvalidSequence("first token is not bos")
    if ids[-1] != v.eos:
        raise InvalidSequence("last token is not eos")
    ids = ids[1:-1]
    rows: list[list[int]] = []
    parts: list[str | None] = []
    class_name, i = None, 0
    while i < len(ids):
        token = ids[i]
        if token < v.bins or token == v.branch:
            branch = token == v.branch
            numbers = ids[i + branch : i + branch + (6 if branch else 3)]
            if len(numbers) < (6 if branch else 3) or not (shipped or max(numbers) < v.bins):
                raise InvalidSequence(f"the joint at token {i} is not complete")
            rows.append(numbers if branch else [*(rows[-1][3:] if rows else numbers), *numbers])
            i += branch + len(numbers)
        elif v.is_part(token):
            parts.append(v.part_name(token))
            i += 1
        elif v.is_class(token):
            class_name = v.class_name(token)
            i += 1
        else:
            raise InvalidSequence(f"unexpected token {token} at {i}")
    if not rows:
        raise InvalidSequence("there is no joint")
    names = [name for part in parts for name in template(class_name, part)]
    if len(names) > len(rows):
        raise InvalidSequence(f"the class {class_name} has {len(names)} bones, but there are {len(rows)} joints")
    names += [f"bone_{k}" for k in range(len(names), len(rows))]
    written = coordinates(np.array(rows), v.bins)
    joints = written[:, 3:]
    parents = _parents(written)
    return Skeleton(joints, _tails(joints, parents), parents, names, class_name, parts)


def _parents(written: np.ndarray) -> np.ndarray:
    """Of the joints before it the one nearest to the parent's position as written, the last among equals. written (J,
    6): parent, joint.
    """
    parents = np.full(len(written), -1, np.int64)
    for i in range(1, len(written)):
        distance = ((written[:i, 3:] - written[i, :3]) ** 2).sum(1)
        parents[i] = i - 1 - distance[::-1].argmin()
    return parents


def _tails(joints: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """One child: its joint. A leaf or a fork goes on half a bone's length. A root with several children follows the
    original's formula.
    """
    tails = np.zeros_like(joints)
    up = np.array([0, 0, 0.5], joints.dtype)
    for i, parent in enumerate(parents):
        children = np.flatnonzero(parents == i)
        if len(children) == 1:
            tails[i] = joints[children[0]]
        elif parent >= 0:
            offset = 0.5 * (joints[i] - joints[parent])
            tails[i] = joints[i] + (up if not len(children) and not offset.any() else offset)
        elif len(children):
            reach = np.linalg.norm(joints[children] - joints[i], axis=1).mean()
            tails[i] = joints[i] + 0.5 * (joints[i] + up * reach)
        else:
            tails[i] = joints[i] + up
    return tails


def humanoid_of(skeleton: Skeleton) -> dict[str, str]:
    """VRM 1.0 bone -> joint name, where the class names its bones (vroid, mixamo); {} otherwise."""
    known = VRM_BONES.get(skeleton.class_name or "", {})
    return {known[name]: name for name in skeleton.names if name in known}


def _vrm_bones() -> list[str]:
    """VRM bones in the order of the templates: body, then hands."""
    limbs = ("Shoulder", "UpperArm", "LowerArm", "Hand"), ("UpperLeg", "LowerLeg", "Foot", "Toes")
    body = [f"{side}{bone}" for bones in limbs for side in ("left", "right") for bone in bones]
    hands = [
        f"{side}{finger}{bone}"
        for side, fingers in (("left", FINGERS_LEFT), ("right", FINGERS_RIGHT))
        for finger in fingers
        for bone in (
            ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal")
        )
    ]
    return ["hips", "spine", "chest", "upperChest", "neck", "head", *body, *hands]


# class -> bone name of its template -> VRM 1.0 bone
VRM_BONES = {
    name: dict(zip([bone for part in parts.values() for bone in part], _vrm_bones(), strict=True))
    for name, parts in TEMPLATES.items()
}
