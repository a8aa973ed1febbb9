# SPDX-License-Identifier: GPL-3.0-or-later
"""The bones of one side from those of the other, by name and by place. Pure: numpy and the standard library."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from .assignment import other_side, side_of

SAME_PLACE, SAME_NAME = (
    0.06,
    0.25,
)  # of the body's size: how far from its mirror image a bone may lie, and one whose name says so
_PAIRS = (("Left", "Right"), ("left", "right"), ("LEFT", "RIGHT"), ("左", "右"))
_LETTERS = {"L": "R", "R": "L", "l": "r", "r": "l"}
# A letter of its own, or a small one before a capital: hand_L, L Thigh, lShldr.
_LETTER = re.compile(r"(?<![A-Za-z])[LRlr](?![A-Za-z])|^[lr](?=[A-Z])")


def mirrored_name(name: str, known: Collection[str]) -> str:
    """The name of the same bone on the other side among the known ones, "" for none."""
    tries = [name.replace(a, b) for pair in _PAIRS for a, b in (pair, pair[::-1]) if a in name]
    tries.append(_LETTER.sub(lambda letter: _LETTERS[letter[0]], name))
    return next((other for other in tries if other != name and other in known), "")


def mirrored(
    assigned: Mapping[str, str], names: Sequence[str], parents: Sequence[int], heads: np.ndarray, side: str = "left"
) -> tuple[dict[str, str], list[str]]:
    """The other side's humanoid bones, and the given side's that have no counterpart.

    assigned: VRM bone -> bone name; names: (J,); parents: (J,) index or -1, parents before their children; heads: (J,
    3) at rest, any axes along which the body stands and faces; side: "left" or "right", which is taken as it is. A
    bone's counterpart bears its name for the other side, or lies where its mirror image lies, with all that hangs
    from it.
    """
    index = {name: k for k, name in enumerate(names)}
    chosen = {name: index[bone] for name, bone in assigned.items() if side_of(name) == side and bone in index}
    if not chosen:
        return {}, []
    heads = np.asarray(heads, np.float64)
    middle = [index[bone] for name, bone in assigned.items() if not side_of(name) and bone in index]
    axis, at = _plane(heads, list(chosen.values()), middle)
    flipped = heads.copy()
    flipped[:, axis] = 2 * at - flipped[:, axis]
    spread, spread_flipped = _spread(heads, parents), _spread(flipped, parents)
    size = float(np.ptp(heads[[*chosen.values(), *middle]], axis=0).max()) or 1.0
    found, alone = {}, []
    for name, bone in chosen.items():
        away = np.linalg.norm(heads - flipped[bone], axis=1)
        below = np.linalg.norm(spread - spread_flipped[bone], axis=1)
        away[bone] = np.inf  # on the middle, it would be its own
        named = index.get(mirrored_name(names[bone], index), -1)
        best = int(np.argmin(away + below))
        if named >= 0 and away[named] < SAME_NAME * size:
            found[other_side(name)] = names[named]
        elif away[best] < SAME_PLACE * size:
            found[other_side(name)] = names[best]
        else:
            alone.append(name)
    return found, alone


def _plane(heads: np.ndarray, side: list[int], middle: list[int]) -> tuple[int, float]:
    """The axis from one side of the body to the other, and where its middle lies on it."""
    centre = np.median(heads[middle] if middle else heads, axis=0)
    away = np.abs(heads[side].mean(0) - centre)
    if len(middle) > 1:
        away[int(np.argmax(np.ptp(heads[middle], axis=0)))] = 0  # the spine's
    axis = int(np.argmax(away))
    return axis, float(centre[axis])


def _spread(heads: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """(J, 3) the middle of each bone and all bones below it."""
    total, count = heads.copy(), np.ones(len(heads))
    for bone in range(len(heads) - 1, -1, -1):
        if parents[bone] >= 0:
            total[parents[bone]] += total[bone]
            count[parents[bone]] += count[bone]
    return total / count[:, None]
