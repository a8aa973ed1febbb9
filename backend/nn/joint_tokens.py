# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint tokens: the vocabulary, coordinate bins, and the bone names that belong to a class (shared/reference/unirig.md
6.1 and 10.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SPRING = None
FINGERS_LEFT = ("Thumb", "Index", "Middle", "Ring", "Little")
# The templates number the two hands differently; the networks were trained so.
FINGERS_RIGHT = ("Index", "Thumb", "Middle", "Ring", "Little")
LIMBS = ("Shoulder", "UpperArm", "LowerArm", "Hand"), ("UpperLeg", "LowerLeg", "Foot", "ToeBase")
MIXAMO_LIMBS = ("Shoulder", "Arm", "ForeArm", "Hand"), ("UpLeg", "Leg", "Foot", "ToeBase")


def _vroid() -> dict[str, list[str]]:
    trunk = [f"J_Bip_C_{bone}" for bone in ("Hips", "Spine", "Chest", "UpperChest", "Neck", "Head")]
    limbs = [f"J_Bip_{side}_{bone}" for bones in LIMBS for side in "LR" for bone in bones]
    hands = [
        f"J_Bip_{side}_{f}{k}"
        for side, fingers in (("L", FINGERS_LEFT), ("R", FINGERS_RIGHT))
        for f in fingers
        for k in (1, 2, 3)
    ]
    return {"body": trunk + limbs, "hand": hands}


def _mixamo() -> dict[str, list[str]]:
    trunk = ["Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"]
    limbs = [f"{side}{bone}" for bones in MIXAMO_LIMBS for side in ("Left", "Right") for bone in bones]
    hands = [
        f"{side}Hand{'Pinky' if finger == 'Little' else finger}{k}"
        for side, fingers in (("Left", FINGERS_LEFT), ("Right", FINGERS_RIGHT))
        for finger in fingers
        for k in (1, 2, 3)
    ]
    return {"body": [f"mixamorig:{n}" for n in trunk + limbs], "hand": [f"mixamorig:{n}" for n in hands]}


# class -> part -> bone names in the order in which the sequence writes them. Other classes have no names of their own.
TEMPLATES: dict[str, dict[str, list[str]]] = {"vroid": _vroid(), "mixamo": _mixamo()}
SHIPPED_CLASSES = ("vroid", "mixamo", "articulationxl")
RIGNET_CLASSES = ("rignet", "vroid")


@dataclass(frozen=True)
class Vocabulary:
    """Which id means what. Coordinates are 0 .. bins - 1."""

    bins: int
    branch: int
    bos: int
    eos: int
    pad: int
    spring: int
    parts: Mapping[str, int]
    no_class: int
    classes: Mapping[str, int]
    size: int

    @classmethod
    def make(
        cls, classes: Sequence[str] = SHIPPED_CLASSES, bins: int = 256, parts: Sequence[str] = ("body", "hand")
    ) -> Vocabulary:
        """The original's layout: bins, branch, bos, eos, pad, spring, parts, class none, classes."""
        first = bins + 5
        named = {name: first + i for i, name in enumerate(parts)}
        none = first + len(parts)
        known = {name: none + 1 + i for i, name in enumerate(classes)}
        return cls(bins, bins, bins + 1, bins + 2, bins + 3, bins + 4, named, none, known, none + 1 + len(classes))

    @classmethod
    def of_size(cls, size: int) -> Vocabulary:
        """The vocabulary of a model by the rows of its token table: a power of two of bins, and one of the two known
        sets of classes.

        Raises ValueError when no vocabulary has that size.
        """
        for classes in (SHIPPED_CLASSES, RIGNET_CLASSES):
            for bits in range(1, 16):
                if (found := cls.make(classes, 1 << bits)).size == size:
                    return found
        raise ValueError(f"no vocabulary has {size} tokens")

    @classmethod
    def of(cls, special: Mapping[str, Any]) -> Vocabulary:
        """From a description {branch, bos, eos, pad, spring, parts, cls_none, cls, vocab_size}."""
        s = special
        return cls(
            s["branch"],
            s["branch"],
            s["bos"],
            s["eos"],
            s["pad"],
            s["spring"],
            s["parts"],
            s["cls_none"],
            s["cls"],
            s["vocab_size"],
        )

    def class_token(self, name: str) -> int:
        return self.classes.get(name, self.no_class)

    def class_name(self, token: int) -> str | None:
        return next((name for name, id in self.classes.items() if id == token), None)

    def is_class(self, token: int) -> bool:
        return token == self.no_class or token in self.classes.values()

    def part_name(self, token: int) -> str | None:
        """The part's name, SPRING for the spring token. Raises KeyError for anything else."""
        if token == self.spring:
            return SPRING
        for name, id in self.parts.items():
            if id == token:
                return name
        raise KeyError(token)

    def is_part(self, token: int) -> bool:
        return token == self.spring or token in self.parts.values()


def quantise(x: np.ndarray, bins: int = 256, dtype: type[np.floating] = np.float32) -> np.ndarray:
    """Coordinates in [-1, 1] to bins, computed in `dtype`, halves to even; what lies outside goes to the outermost
    bin.
    """
    return np.clip(np.round((np.asarray(x, dtype) + 1) / 2 * bins), 0, bins - 1).astype(np.int64)


def coordinates(tokens: np.ndarray, bins: int = 256) -> np.ndarray:
    """Bins to the middle of their coordinates, float32. Not the inverse of `quantise`: that rounds, this takes bin +
    1/2.
    """
    return ((np.asarray(tokens, np.float32) + np.float32(0.5)) / bins * 2 - 1).astype(np.float32)


def template(class_name: str | None, part: str | None) -> list[str]:
    """The bone names of a part of a class; none for the spring part and for classes without names."""
    return TEMPLATES.get(class_name or "", {}).get(part or "", [])
