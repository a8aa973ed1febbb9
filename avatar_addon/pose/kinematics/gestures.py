# SPDX-License-Identifier: GPL-3.0-or-later
"""Motions of a body that stands: it breathes, nods, thinks, talks. As motions.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .motions import PosedBody, Turns, X, Y, Z, about, hanging_arm, moves, turn, walk, wave
from .rest import SIDES


def idle(body: PosedBody, frames: int) -> np.ndarray:
    """(F, J, 4, 4) breathing twice and one slow sway, from the T-pose; the feet stay where they are."""
    return moves(body, _standing(body, frames, breaths=2))


def nod(body: PosedBody, frames: int) -> np.ndarray:
    """(F, J, 4, 4) the head nods twice."""
    turns = _standing(body, frames)
    down = np.sin(2 * np.pi * _phase(frames)) ** 2
    turns["head"] = about(X, 15 * down) @ turns["head"]
    turns["neck"] = about(X, 5 * down) @ turns["neck"]
    return moves(body, turns)


def think(body: PosedBody, frames: int) -> np.ndarray:
    """(F, J, 4, 4) the right forearm before the body, the head aside and up, from there and back."""
    phase = _phase(frames)
    turns = _standing(body, frames)
    sway = np.sin(2 * np.pi * phase)
    forward = np.full(frames, -24.0)
    turns |= hanging_arm("right", -1.0, body.hang, forward, 96 + 4 * sway)
    turns["rightHand"] = about(Z, np.full(frames, 8.0))
    turns["head"] = about(Z, -12 + 6 * np.sin(2 * np.pi * phase + 1)) @ about(Y, 7 + 2 * sway) @ about(X, -7 + 3 * sway)
    turns["spine"] = about(Y, 1.5 * sway) @ about(X, np.full(frames, 1.5))
    return moves(body, turns)


def talk(body: PosedBody, frames: int, beats: int = 2) -> np.ndarray:
    """(F, J, 4, 4) the head stresses words, the hands rise a little in turn. beats: how often in these frames."""
    phase = _phase(frames)
    turns = _standing(body, frames, breaths=max(1, beats // 2))
    beat = np.sin(2 * np.pi * beats * phase)
    for side, sign in SIDES:
        lift = np.maximum(sign * np.sin(2 * np.pi * max(1, beats // 2) * phase), 0) ** 2
        turns |= hanging_arm(side, sign, body.hang, -16 * lift, 16 + 46 * lift)
        turns[f"{side}Hand"] = about(X, -10 * lift)
    turns["head"] = about(X, 3 + 4 * beat) @ about(Z, 5 * np.sin(2 * np.pi * phase)) @ about(Y, 2 * beat)
    turns["chest"] = about(Z, 2 * np.sin(2 * np.pi * phase)) @ turns["chest"]
    return moves(body, turns)


def _phase(frames: int) -> np.ndarray:
    return np.arange(frames) / frames


def _standing(body: PosedBody, frames: int, breaths: int = 1) -> Turns:
    """Arms at rest, breathing; what every motion here begins with."""
    phase = _phase(frames)
    breath, sway = np.sin(2 * np.pi * breaths * phase), np.sin(2 * np.pi * phase)
    turns: Turns = {
        "spine": about(X, 0.6 * breath) @ about(Y, 0.6 * sway),
        "chest": about(X, -1.2 * breath) @ about(Z, 0.8 * sway),
        "neck": about(Y, -0.5 * sway),
        "head": about(X, 0.8 * breath) @ about(Z, 1.5 * sway),
    }
    for side, sign in SIDES:
        turns |= hanging_arm(side, sign, body.hang, 1.2 * breath, 14 + 1.5 * breath)
        turns[f"{side}Shoulder"] = about(Y, -sign * 0.8 * breath)
    return turns


MOTIONS: dict[str, tuple[Callable[[PosedBody, int], np.ndarray], float]] = {
    "Idle": (idle, 7.0),
    "Walk": (walk, 1.1),
    "Wave": (wave, 2.4),
    "Nod": (nod, 1.8),
    "Think": (think, 5.0),
    "Talk": (talk, 3.0),
    "Turn": (turn, 4.0),
}  # seconds
