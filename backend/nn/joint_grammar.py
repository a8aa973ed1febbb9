# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tokens may come next (shared/reference/unirig.md 6.3), as immutable states that beams can share.

`Shipped` is the original's machine. It cannot write a branch after a later part token, and forgets that a branch
needs six coordinates. `Strict` (ours) fixes both, wants two joints at least, and lets a part that has bone names end
only when each name has its joint, because names are given by position.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, TypeVar

import numpy as np

from .joint_tokens import Vocabulary, template

G = TypeVar("G", bound="Grammar")


class Grammar(Protocol):
    """A state. `allowed()` is a read-only mask (vocabulary size,); `after(token)` the next state."""

    def allowed(self) -> np.ndarray: ...

    def after(self: G, token: int) -> G: ...


@lru_cache(maxsize=256)
def _mask(size: int, bins: int, ids: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[:bins] = bool(bins)
    mask[list(ids)] = True
    mask.flags.writeable = False
    return mask


def mask(v: Vocabulary, *ids: int, coordinates: bool = True) -> np.ndarray:
    return _mask(v.size, v.bins if coordinates else 0, ids)


@dataclass(frozen=True)
class Shipped:
    """`expects`: bos, class, first (the first part or joint), x, y, z, or next (a joint is complete)."""

    vocabulary: Vocabulary
    expects: str = "bos"

    def allowed(self) -> np.ndarray:
        v = self.vocabulary
        parts = (v.spring, *v.parts.values())
        if self.expects == "bos":
            return mask(v, v.bos, coordinates=False)
        if self.expects == "class":
            return mask(v, v.no_class, *v.classes.values(), *parts)
        if self.expects == "first":
            return mask(v, *parts, v.eos)
        if self.expects == "next":
            return mask(v, *parts, v.branch, v.eos)
        return mask(v)

    def after(self, token: int) -> Shipped:
        v = self.vocabulary
        if self.expects == "bos":
            return replace(self, expects="class")
        if self.expects in ("x", "y", "z"):
            return replace(self, expects={"x": "y", "y": "z", "z": "next"}[self.expects])
        if token < v.bins:
            return replace(self, expects="y")
        if v.is_class(token) or (self.expects == "first" and v.is_part(token)):
            return replace(self, expects="first")
        return replace(self, expects="x")


@dataclass(frozen=True)
class Strict:
    """class_token: None before one is known. due: coordinates that the joint being written still needs. part: the
    running part's token.

    in_part: its joints so far. used: part tokens so far. after_part: whether a part token came last.
    """

    vocabulary: Vocabulary
    started: bool = False
    class_token: int | None = None
    due: int = 0
    joints: int = 0
    part: int | None = None
    in_part: int = 0
    used: frozenset[int] = frozenset()
    after_part: bool = False

    def _names_left(self) -> int:
        """Bone names of the running part that have no joint yet, or -1 when the part has no names."""
        if self.part is None or self.class_token is None:
            return -1
        names = template(self.vocabulary.class_name(self.class_token), self.vocabulary.part_name(self.part))
        return len(names) - self.in_part if names else -1

    def allowed(self) -> np.ndarray:
        v = self.vocabulary
        if not self.started:
            return mask(v, v.bos, coordinates=False)
        if self.due:
            return mask(v)
        parts = tuple(p for p in (v.spring, *v.parts.values()) if p not in self.used)
        branch = (v.branch,) if self.joints else ()
        if self.after_part:
            return mask(v, *branch, *(() if self.joints or self._names_left() > 0 else parts))
        if self.class_token is None and not self.joints:
            return mask(v, v.no_class, *v.classes.values(), *parts)
        left = self._names_left()
        if left > 0:
            return mask(v, *branch)
        eos = (v.eos,) if self.joints >= 2 else ()
        if left == 0:  # another joint here would take the next part's first name
            return mask(v, *parts, *eos, coordinates=False)
        return mask(v, *parts, *branch, *eos)

    def after(self, token: int) -> Strict:
        v = self.vocabulary
        if not self.started:
            return replace(self, started=True)
        if self.due:  # two steps of three: built without `replace`, which costs as much as all else here
            done = self.due == 1
            return Strict(
                v, True, self.class_token, self.due - 1, self.joints + done, self.part, self.in_part + done, self.used
            )
        if token < v.bins:
            return replace(self, due=2, after_part=False)
        if token == v.branch:
            return replace(self, due=6, after_part=False)
        if v.is_part(token):
            return replace(self, part=token, in_part=0, used=self.used | {token}, after_part=True)
        return replace(self, class_token=token) if v.is_class(token) else self


def start(vocabulary: Vocabulary, strict: bool) -> Shipped | Strict:
    return Strict(vocabulary) if strict else Shipped(vocabulary)


def walk(state: G, tokens: list[int]) -> G:
    """The state after all tokens, whether they are allowed or not."""
    for token in tokens:
        state = state.after(token)
    return state
