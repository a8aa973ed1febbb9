# SPDX-License-Identifier: GPL-3.0-or-later
"""Skeletons as tokens, and the tokens of the weights (shared/reference/skintokens.md 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..nn.joint_sequence import Skeleton, detokenise
from ..nn.joint_tokens import Vocabulary, quantise

CLASSES = ("rignet", "vroid", "articulation")
RELEASED_CODES = 32_768


@dataclass(frozen=True)
class SkinVocabulary:
    """skeleton: the ids of joints, whose `eos` is the switch to skin tokens and whose `size` is that of the whole
    vocabulary. first_code: the id of code 0; end: of the sequence.
    """

    skeleton: Vocabulary
    first_code: int
    end: int

    @classmethod
    def make(cls, codes: int = RELEASED_CODES) -> SkinVocabulary:
        joints = Vocabulary.make(CLASSES)
        return cls.joined(joints, joints.size + codes + 1)

    @classmethod
    def of(cls, special: Mapping[str, int]) -> SkinVocabulary:
        """From a description of the original's ids."""
        s = special
        classes = {name: s[f"class_{name}"] for name in CLASSES}
        joints = Vocabulary(
            s["branch"],
            s["branch"],
            s["bos"],
            s["switch_skeleton_end"],
            s["pad"],
            s["spring"],
            {"body": s["body"], "hand": s["hand"]},
            s["class_none"],
            classes,
            s["vocabulary_skeleton"],
        )
        return cls(replace(joints, size=s["vocabulary"]), s["first_skin_token"], s["eos"])

    @classmethod
    def joined(cls, joints: Vocabulary, size: int) -> SkinVocabulary:
        """A vocabulary of `size` ids: those of joints, then codes, then the end."""
        return cls(replace(joints, size=size), joints.size, size - 1)

    @property
    def switch(self) -> int:
        return self.skeleton.eos

    def codes(self, tokens: list[int] | list[list[int]]) -> np.ndarray:
        """Skin tokens to codes of the same shape; ids that are no code become numbers outside the codebook."""
        return np.asarray(tokens, np.int64) - self.first_code


def check_tree(parents: np.ndarray) -> None:
    """Raises ValueError unless joint 0 is the only root and parents (J,) come before their children: otherwise the
    tokens would describe another tree.
    """
    parents = np.asarray(parents, np.int64)
    later = parents[1:]
    if not len(parents) or parents[0] != -1 or (later < 0).any() or (later > np.arange(len(later))).any():
        raise ValueError("joint 0 must be the only root and parents must come before their children")


def encode(joints: np.ndarray, parents: np.ndarray, class_name: str | None, v: Vocabulary) -> list[int]:
    """A skeleton as its tokens, from `bos` to the switch. joints (J, 3) in the cube, parents (J,) with -1 for a root;
    see `check_tree`.
    """
    bins = quantise(joints, v.bins, np.float64).tolist()
    tokens = [v.bos, v.class_token(class_name or "")]
    for joint, parent in enumerate(np.asarray(parents).tolist()):
        if joint and parent != joint - 1:
            tokens += [v.branch, *bins[parent if parent >= 0 else joint]]
        tokens += bins[joint]
    return [*tokens, v.eos]


def decode_skeleton(tokens: list[int], v: SkinVocabulary) -> Skeleton:
    """The skeleton at the beginning of a whole sequence. Raises InvalidSequence (`nn.joint_sequence`)."""
    end = tokens.index(v.switch) + 1 if v.switch in tokens else len(tokens)
    skeleton = detokenise(tokens[:end], v.skeleton, shipped=True)
    return replace(skeleton, names=[f"bone_{k}" for k in range(len(skeleton.joints))])


def distinct_bins(joints: np.ndarray, bins: int = 256) -> np.ndarray:
    """joints (J, 3) in the cube, moved where two would have the same coordinates as tokens: the later one goes to the
    nearest bins that are free.
    """
    out, used = np.array(joints, np.float64), set[tuple[int, ...]]()
    steps = sorted(np.ndindex(5, 5, 5), key=lambda s: sum((k - 2) ** 2 for k in s))
    for joint, at in enumerate(quantise(out, bins, np.float64)):
        for step in steps:
            there = tuple(int(c) for c in at + np.array(step) - 2)
            if there not in used and min(there) >= 0 and max(there) < bins:
                break
        used.add(there)
        moved = np.array(there) - at
        if moved.any():
            out[joint] = np.where(moved != 0, np.array(there) / bins * 2 - 1, out[joint])
    return out
