# SPDX-License-Identifier: GPL-3.0-or-later
"""Test poses and looping test animations for any humanoid, from its joints alone: walk, wave, turn on the spot. Pure
arrays.

A pose is given as the turns of VRM bones in the T-pose's world axes, so a bone's own axes, its roll and the rest pose
do not matter. The hips are set so that the lowest point of the soles is on the ground: bodies of any proportion
stand, sit and walk on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...vrm.spec.human_bones import FINGERS
from .poses import CURL, FISTS, HANGING, TEST_POSES, THUMB, Degrees
from .rest import SIDES, parents_first

Turns = dict[str, np.ndarray]  # VRM bone -> (F, 3, 3), one for each frame
X, Y, Z = np.eye(3)
HEEL = 0.35  # how far the heel lies behind the ankle, in lengths from the ankle to the ball

PITCHES = np.arange(-80, 81, 10)  # degrees of a foot at which its lowest point is looked up

# A leg in eight steps of the gait cycle from one touch of the heel to the next, in degrees: joint angles of level
# walking after Perry, "Gait Analysis" (1992), but the foot that leaves the ground is lifted more by hip and knee and
# tips less. A clip also moves bodies with big shoes on short legs, whose toes would otherwise go through the ground.
HIP = (25.0, 19.0, 8.0, -4.0, -12.0, 8.0, 27.0, 30.0)  # forward
KNEE = (6.0, 14.0, 10.0, 5.0, 20.0, 60.0, 72.0, 32.0)  # bent
FOOT = (12.0, 0.0, 0.0, 0.0, -4.0, -10.0, -12.0, 2.0)  # the toes above the heel, against the ground
TOES = (0.0, 0.0, 0.0, 0.0, 4.0, 10.0, 6.0, 0.0)  # bent up against the foot


@dataclass
class PosedBody:
    """A skeleton in the T-pose. joints, tails: (J, 3), Z up, facing -Y; parents: (J,), -1 for a root; names: (J,),
    VRM's where it is one.

    ground: z of the soles; hang: degrees that the arms can hang down (clearance.py); soles: bone -> (N, 3) the lowest
    points of feet and shoes that it holds (soles_of); without any they are guessed from the joints.
    """

    joints: np.ndarray
    tails: np.ndarray
    parents: np.ndarray
    names: list[str]
    ground: float = 0.0
    hang: float = HANGING["leftUpperArm"][1]
    soles: Mapping[int, np.ndarray] = field(default_factory=dict)

    @property
    def height(self) -> float:
        return float(np.ptp(np.concatenate([self.joints[:, 2], self.tails[:, 2], [self.ground]])))


def pose_names(fingers: bool) -> list[str]:
    """The test poses; for hands with fingers also fists."""
    return [*TEST_POSES, FISTS] if fingers else list(TEST_POSES)


def pose(body: PosedBody, name: str) -> np.ndarray:
    """(J, 4, 4) what takes each bone from the T-pose to a test pose. Raises KeyError for a name that is none."""
    turns = (
        curl(body) if name == FISTS else {bone: about_axes(degrees)[None] for bone, degrees in TEST_POSES[name].items()}
    )
    return moves(body, turns)[0]


def curl(body: PosedBody) -> Turns:
    """All fingers bent into the palm, about the line through the knuckles."""
    at = dict(zip(body.names, body.joints, strict=True))
    turns: Turns = {}
    for side, sign in SIDES:
        across = at.get(f"{side}LittleProximal", Y) - at.get(f"{side}IndexProximal", np.zeros(3))
        if f"{side}LittleProximal" not in at or f"{side}IndexProximal" not in at or np.linalg.norm(across) < 1e-9:
            across = Y  # the palm faces the ground, as VRM has it
        across = across / np.linalg.norm(across)
        for finger in FINGERS[1:]:
            turns |= {side + finger + part: about(sign * across, angle)[None] for part, angle in CURL.items()}
        turns |= {side + part: about(sign * Z, angle)[None] for part, angle in THUMB.items()}
    return turns


def walk(body: PosedBody, frames: int) -> np.ndarray:
    """(F, J, 4, 4) two steps on the spot, from the T-pose."""
    phase = np.arange(frames) / frames
    turns: Turns = {}
    for side, sign, leg in (("left", 1.0, phase), ("right", -1.0, phase + 0.5)):
        hip, knee, foot, toes = (_cycle(keys, leg) for keys in (HIP, KNEE, FOOT, TOES))
        turns[f"{side}UpperLeg"] = about(X, -hip)
        turns[f"{side}LowerLeg"] = about(X, knee)
        turns[f"{side}Foot"] = about(X, hip - knee - foot)
        turns[f"{side}Toes"] = about(X, -toes)
        swing = 22 * np.cos(2 * np.pi * leg)  # an arm swings against its leg
        turns |= hanging_arm(
            side, sign, body.hang, swing, 12 - 0.4 * np.minimum(swing, 0) + 0.5 * np.maximum(-swing, 0)
        )
    sway = np.cos(2 * np.pi * phase)
    turns["hips"] = about(Z, -5 * sway)  # the left hip leads while the left leg is in front
    turns["spine"] = about(Z, 4 * sway) @ about(X, np.full(frames, 2.0))
    turns["chest"] = about(Z, 5 * sway)
    turns["neck"] = about(Z, -4 * sway)
    aside = 0.012 * body.height * np.sin(2 * np.pi * phase)  # over the leg that stands
    return moves(body, turns, np.column_stack([aside, np.zeros((frames, 2))]))


def wave(body: PosedBody, frames: int) -> np.ndarray:
    """(F, J, 4, 4) the right hand waves twice, the body leans a little, from the T-pose."""
    time = 2 * np.pi * np.arange(frames) / frames
    beat = np.sin(2 * time)
    turns = hanging_arm("left", 1.0, body.hang, 3 * np.sin(time), np.full(frames, 14.0))
    # Away from the head, which may be as wide as the shoulders.
    turns["rightUpperArm"] = about(Y, -6 + 4 * np.sin(time))
    turns["rightLowerArm"] = about(Z, np.full(frames, 25.0)) @ about(Y, 54 + 22 * beat)
    turns["rightHand"] = about(Y, 14 * np.sin(2 * time - 0.7))
    turns["spine"] = about(Y, 2 + 1.5 * np.sin(time))
    turns["head"] = about(Y, -6 + 2 * np.sin(time)) @ about(Z, np.full(frames, -6.0))
    return moves(body, turns)


def turn(body: PosedBody, frames: int) -> np.ndarray:
    """(F, J, 4, 4) once around on the spot in eight small steps, from the T-pose."""
    phase = np.arange(frames) / frames
    turns: Turns = {"hips": about(Z, 360 * phase)}
    for side, sign in SIDES:
        lift = np.maximum(sign * np.sin(2 * np.pi * 4 * phase), 0) ** 2
        turns[f"{side}UpperLeg"] = about(X, -26 * lift)
        turns[f"{side}LowerLeg"] = about(X, 48 * lift)
        turns[f"{side}Foot"] = about(X, -14 * lift)
        turns |= hanging_arm(side, sign, body.hang, np.full(frames, 2.0), np.full(frames, 14.0))
    return moves(body, turns)


def moves(body: PosedBody, turns: Mapping[str, np.ndarray], shift: np.ndarray | None = None) -> np.ndarray:
    """(F, J, 4, 4) what takes each bone from the T-pose to the pose in every frame, soles on the ground.

    turns: VRM bone -> (F, 3, 3), in the T-pose's world axes, before its parents turn; shift: (F, 3) of the hips, in
    metres.
    """
    frames = max((len(turn) for turn in turns.values()), default=1)
    out = np.tile(np.eye(4), (frames, len(body.names), 1, 1))
    for bone in parents_first(body.parents):
        above, name = body.parents[bone], body.names[bone]
        if above >= 0:
            out[:, bone] = out[:, above]
        if name in turns:
            at, local = body.joints[bone], np.tile(np.eye(4), (frames, 1, 1))
            local[:, :3, :3] = turns[name]
            local[:, :3, 3] = at - turns[name] @ at
            out[:, bone] = out[:, bone] @ local
    lift = np.zeros((frames, 3)) if shift is None else np.array(shift)
    soles = _soles(out, body)
    if soles is not None and "hips" in body.names:
        lift[:, 2] += body.ground - soles
    for bone in _below(body, "hips"):
        out[:, bone, :3, 3] += lift
    return out


def about(axis: np.ndarray, degrees: float | np.ndarray) -> np.ndarray:
    """(3, 3), or (F, 3, 3) for (F,) degrees: rotation about a unit axis (Rodrigues' formula)."""
    angle = np.radians(np.asarray(degrees, float))[..., None, None]
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def about_axes(degrees: Degrees) -> np.ndarray:
    """(3, 3): about x, then y, then z of the world."""
    x, y, z = degrees
    return about(Z, z) @ about(Y, y) @ about(X, x)


def hanging_arm(side: str, sign: float, hang: float, swing: np.ndarray, elbow: np.ndarray) -> Turns:
    """An arm beside the body. hang: degrees below the T-pose; swing: (F,) degrees to the back; elbow: (F,) degrees it
    is bent.
    """
    down = about(Y, sign * hang)
    return {f"{side}UpperArm": about(X, swing) @ down, f"{side}LowerArm": about(Z, -sign * elbow)}


def _cycle(keys: Sequence[float], phase: np.ndarray) -> np.ndarray:
    """Values of a periodic Catmull-Rom spline through equally spaced keys. phase: (F,), of any whole part."""
    place = np.mod(phase, 1.0) * len(keys)
    k = np.floor(place).astype(int)
    t = place - k
    a, b, c, d = (np.take(keys, k + step, mode="wrap") for step in (-1, 0, 1, 2))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def soles_of(points: np.ndarray, bone: np.ndarray, names: Sequence[str]) -> dict[int, np.ndarray]:
    """Of feet and toes, what touches the ground at any pitch of the foot. points: (V, 3) in the T-pose; bone: (V,) that
    holds each the most.
    """
    angle = np.radians(PITCHES)
    ways = np.column_stack([np.zeros_like(angle), np.sin(angle), -np.cos(angle)])
    found = {}
    for index, name in enumerate(names):
        own = points[bone == index]
        if name.endswith(("Foot", "Toes")) and len(own):
            found[index] = own[np.unique((own @ ways.T).argmax(0))]
    return found


def _soles(out: np.ndarray, body: PosedBody) -> np.ndarray | None:
    """(F,) the height of the lowest point of both soles; None where the body has no feet."""
    heights = [
        (out[:, bone, 2, :3] @ points.T + out[:, bone, 2, 3:]).min(1)  # of the skin, where it is known
        for bone, points in body.soles.items()
    ]
    for side, _ in SIDES if not heights else ():
        if f"{side}Foot" not in body.names:
            continue
        foot = body.names.index(f"{side}Foot")
        toes = body.names.index(f"{side}Toes") if f"{side}Toes" in body.names else None
        ankle, ball = body.joints[foot], body.tails[foot] if toes is None else body.joints[toes]
        points = [(foot, ankle), (foot, ball), (foot, ankle - HEEL * (ball - ankle) * [1, 1, 0])]
        points += [] if toes is None else [(toes, body.tails[toes])]
        for bone, point in points:
            on_ground = np.array([point[0], point[1], body.ground])
            heights.append(out[:, bone, 2, :3] @ on_ground + out[:, bone, 2, 3])
    return np.min(heights, axis=0) if heights else None


def _below(body: PosedBody, name: str) -> list[int]:
    """The bone with all that hangs from it."""
    found: set[int] = set()
    for bone in parents_first(body.parents):
        if body.names[bone] == name or body.parents[bone] in found:
            found.add(bone)
    return sorted(found)
