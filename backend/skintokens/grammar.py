# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tokens may come next: a skeleton, the switch, then four codes for every joint (shared/reference/skintokens.md
7), as immutable states that beams can share.

`shipped` is the original's mask. It counts the switch itself, so the last joint's fourth code is the end of the
sequence, and it lets ids through that are no codes. `strict` (ours) wants exactly four codes a joint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..nn.joint_grammar import Grammar, Strict
from ..nn.joint_grammar import start as skeleton_start
from .networks import CODES_PER_JOINT
from .tokens import SkinVocabulary


@lru_cache(maxsize=64)
def _range(size: int, first: int, last: int) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[first : last + 1] = True
    mask.flags.writeable = False
    return mask


@dataclass(frozen=True)
class Switched:
    """skeleton: the state of the joints' grammar. joints: complete ones, counted as the original does: on the third
    coordinate, unless it is a parent's. branching: whether the coordinates to come are a parent's. written: tokens
    since the switch, None before it.
    """

    vocabulary: SkinVocabulary
    skeleton: Grammar
    strict: bool
    coordinates: int = 0
    branching: bool = False
    joints: int = 0
    written: int | None = None

    def allowed(self) -> np.ndarray:
        v = self.vocabulary
        if self.written is None:
            return self.skeleton.allowed()
        due = CODES_PER_JOINT * self.joints
        size = v.skeleton.size
        if self.strict:
            complete = self.written >= due
            return _range(size, v.end, v.end) if complete else _range(size, v.first_code, v.end - 1)
        return _range(size, v.end, v.end) if self.written + 1 == due else _range(size, v.switch, v.end - 1)

    def after(self, token: int) -> Switched:
        v = self.vocabulary
        if self.written is not None:
            return replace(self, written=self.written + 1)
        following = self.skeleton.after(token)
        if token == v.switch:
            return replace(self, skeleton=following, written=0)
        if token == v.skeleton.branch:
            return replace(self, skeleton=following, coordinates=0, branching=True)
        if token >= v.skeleton.bins:
            return replace(self, skeleton=following, coordinates=0)
        if self.coordinates < 2:
            return replace(self, skeleton=following, coordinates=self.coordinates + 1)
        joints = self.joints if self.branching else self.joints + 1
        return replace(self, skeleton=following, coordinates=0, branching=False, joints=joints)


def start(v: SkinVocabulary, strict: bool) -> Switched:
    """The state before the first token. `strict` also writes skeletons by the strict grammar."""
    return Switched(v, Strict(v.skeleton) if strict else skeleton_start(v.skeleton, strict=False), strict)
