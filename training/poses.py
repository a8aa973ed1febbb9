# SPDX-License-Identifier: GPL-3.0-or-later
"""Random poses and proportions of a character.

A pose is one 4 x 4 matrix per joint, from the bind pose to the posed body, in the character's axes: metres, Y up, the
character looks along +Z, its left is +X. A limb is aimed by the direction that it shall have in the body's axes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.characters.character import Character

ARMS = ("down", "A", "T", "hips", "raised", "crossed", "holding", "behind", "free")
ARM_SHARES = (0.24, 0.17, 0.08, 0.12, 0.11, 0.07, 0.13, 0.03, 0.05)
BOLD_ARM_SHARES = (0.13, 0.08, 0.06, 0.12, 0.27, 0.11, 0.17, 0.02, 0.04)  # what readers miss most comes most often
LEGS = ("stand", "apart", "step", "sit", "free")
LEG_SHARES = (0.62, 0.12, 0.16, 0.05, 0.05)


def turn(axis, degrees: float) -> np.ndarray:
    """(3, 3) rotation about `axis` (Rodrigues)."""
    a = np.asarray(axis, float)
    x, y, z = a / max(np.linalg.norm(a), 1e-9)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def aim(source, target) -> np.ndarray:
    """(3, 3) the smallest rotation that brings `source` to `target`."""
    a = np.asarray(source, float) / max(np.linalg.norm(source), 1e-9)
    b = np.asarray(target, float) / max(np.linalg.norm(target), 1e-9)
    cross, dot = np.cross(a, b), float(a @ b)
    if dot < -0.9999:
        return turn(np.cross(a, [0.3, 0.5, 0.81]), 180)
    k = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.eye(3) + k + k @ k / (1 + dot)


def stretch(axis, factor: float) -> np.ndarray:
    """(3, 3) scaling by `factor` along `axis` alone."""
    a = np.asarray(axis, float) / max(np.linalg.norm(axis), 1e-9)
    return np.eye(3) + (factor - 1) * np.outer(a, a)


def direction(side: int, below: float, forward: float) -> np.ndarray:
    """An arm's direction: degrees below the horizontal and degrees to the front of the body's plane."""
    b, f = np.radians(below), np.radians(forward)
    return np.array([side * np.cos(b) * np.cos(f), -np.sin(b), np.sin(f)])


class Poser:
    """Draws poses of one character from one random generator. bold: more raised and crossed arms, and the proportions
    of cartoons: big heads, hands and feet on short or long, thin or thick limbs.
    """

    def __init__(self, character: Character, random: np.random.Generator, bold: bool = False) -> None:
        self.character, self.random, self.bold = character, random, bold
        self.places = np.asarray(character.joints, float)
        self.linear = np.tile(np.eye(3), (len(self.places), 1, 1))
        self.arms: list[str] = []
        self.legs = ""

    def pose(self) -> np.ndarray:
        """(J, 4, 4); the names of the arms' and legs' poses are then in `arms` (left, right) and `legs`."""
        self._trunk()
        self._choose_arms()
        for side, sign, kind in (("left", 1, self.arms[0]), ("right", -1, self.arms[1])):
            self._arm(side, sign, kind)
        self._choose_legs()
        return self._matrices()

    def _uniform(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def _place(self, name: str) -> np.ndarray | None:
        joint = self.character.joint(name)
        return None if joint is None else self.places[joint]

    def _set(self, name: str, matrix: np.ndarray) -> None:
        joint = self.character.joint(name)
        if joint is not None:
            self.linear[joint] = matrix

    def _sway(self, name: str, x: float, y: float, z: float) -> np.ndarray:
        u = self._uniform
        matrix = turn([1, 0, 0], u(-x, x)) @ turn([0, 1, 0], u(-y, y)) @ turn([0, 0, 1], u(-z, z))
        self._set(name, matrix)
        return matrix

    def _trunk(self) -> None:
        lively = 1.8 if self.random.random() < 0.2 else 1.0
        self._sway("spine", 5 * lively, 6 * lively, 5 * lively)
        self._sway("chest", 4 * lively, 5 * lively, 4 * lively)
        nod = self._sway("head", 10, 18, 9)
        # Chibi heads as often as small ones.
        small, most = (0.35, 2.6) if self.bold else (0.6, 1.8)
        size = self._uniform(0.82, 1.15) if self.random.random() < small else self._uniform(1.15, most)
        self._set("head", nod * size)

    def _choose_arms(self) -> None:
        shares = BOLD_ARM_SHARES if self.bold else ARM_SHARES
        kind = str(self.random.choice(ARMS, p=shares))
        self.arms = [kind, kind]
        if self.random.random() < 0.35:
            self.arms[1] = str(self.random.choice(ARMS, p=shares))
        if self.random.random() < 0.5:
            self.arms.reverse()

    def _arm_aims(self, kind: str, sign: int, shoulder: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
        """The directions of the upper arm and of the forearm."""
        u = self._uniform
        if kind == "hips":
            upper = direction(sign, u(35, 65), u(-25, 5))
            elbow = shoulder + upper / np.linalg.norm(upper) * length
            left, right = self._place("leftUpperLeg"), self._place("rightUpperLeg")
            if left is None or right is None:
                return upper, upper
            middle, half = (left + right) / 2, abs(left[0] - right[0]) / 2
            rise = u(0.0, 0.35) * (shoulder[1] - middle[1])
            waist = middle + [sign * half * u(1, 1.9), rise, u(-0.02, 0.12) * length]
            return upper, waist - elbow
        upper, offset = self._aims(kind, sign)
        return upper, offset

    def _aims(self, kind: str, sign: int) -> tuple[np.ndarray, np.ndarray]:
        u = self._uniform
        if kind == "down":
            upper = direction(sign, u(60, 89), u(-15, 15))
            return upper, upper + [sign * u(-0.3, 0.1), 0, u(0, 0.4)]
        if kind == "A":
            upper = direction(sign, u(22, 60), u(-15, 15))
            return upper, upper + [sign * u(-0.2, 0.1), u(-0.2, 0.2), u(0, 0.3)]
        if kind == "T":
            upper = direction(sign, u(-10, 20), u(-10, 10))
            return upper, upper + [0, u(-0.15, 0.15), u(0, 0.15)]
        if kind == "raised":
            return direction(sign, u(-75, 25), u(-10, 30)), np.array([sign * u(-0.7, 0.6), 1.0, u(-0.1, 0.6)])
        if kind == "crossed":
            return direction(sign, u(55, 82), u(5, 35)), np.array([-sign * 1.0, u(-0.15, 0.6), u(0.1, 0.6)])
        if kind == "holding":
            return direction(sign, u(40, 85), u(-10, 35)), np.array([sign * u(-0.8, 0.5), u(-0.3, 0.9), u(0.2, 1.0)])
        if kind == "behind":
            return direction(sign, u(55, 80), u(-40, -15)), np.array([-sign * u(0.4, 1.0), u(-0.6, 0.1), u(-0.6, -0.2)])
        upper = self.random.normal(size=3)
        upper[0] = sign * abs(upper[0])
        return upper, self.random.normal(size=3) + upper

    def _arm(self, side: str, sign: int, kind: str) -> None:
        shoulder, elbow, hand = (self._place(side + n) for n in ("UpperArm", "LowerArm", "Hand"))
        if shoulder is None or elbow is None or np.linalg.norm(elbow - shoulder) < 1e-5:
            return
        along = elbow - shoulder
        onward = along if hand is None or np.linalg.norm(hand - elbow) < 1e-5 else hand - elbow
        upper, lower = self._arm_aims(kind, sign, shoulder, float(np.linalg.norm(along)))
        raised = upper[1] / max(np.linalg.norm(upper), 1e-9)
        if raised > 0:  # the shoulder blade follows a raised arm
            self._set(side + "Shoulder", turn([0, 0, 1], sign * 20 * raised))
            upper = turn([0, 0, 1], -sign * 20 * raised) @ upper
        first = aim(along, upper) @ turn(along, self._uniform(-20, 20))
        length = self._uniform(0.6, 1.15) if self.bold else self._uniform(0.88, 1.15)
        size = self._uniform(0.8, 1.3) if self.bold else 1.0
        self._set(side + "UpperArm", first @ stretch(along, length) * size)
        self._set(side + "LowerArm", aim(onward, first.T @ lower) @ turn(onward, self._uniform(-40, 40)))
        bend, hand_most = turn(self.random.normal(size=3), self._uniform(-25, 25)), 1.9 if self.bold else 1.25
        self._set(side + "Hand", bend * self._uniform(0.85, hand_most))

    def _choose_legs(self) -> None:
        self.legs = str(self.random.choice(LEGS, p=LEG_SHARES))
        length = self._uniform(0.5 if self.bold else 0.82, 1.22)
        stride = self._uniform(8, 32) * float(self.random.choice([-1, 1]))
        for side, sign in (("left", 1), ("right", -1)):
            hip, knee = self._place(side + "UpperLeg"), self._place(side + "LowerLeg")
            if hip is None:
                continue
            upper, lower = self._leg(sign, stride)
            along = np.array([0.0, -1.0, 0.0]) if knee is None else knee - hip
            self._set(side + "UpperLeg", upper @ stretch(along, length))
            self._set(side + "LowerLeg", lower)
            foot = turn([1, 0, 0], self._uniform(-8, 12))
            self._set(side + "Foot", foot * self._uniform(0.9, 1.6) if self.bold else foot)

    def _leg(self, sign: int, stride: float) -> tuple[np.ndarray, np.ndarray]:
        """Rotations of the upper and of the lower leg; a positive turn about X swings a leg to the back."""
        u = self._uniform
        spread: Callable[[float], np.ndarray] = lambda degrees: turn([0, 0, 1], sign * degrees)  # noqa: E731
        outward = turn([0, 1, 0], sign * u(-5, 20))
        if self.legs == "apart":
            return spread(u(8, 26)) @ turn([1, 0, 0], u(-10, 6)) @ outward, turn([1, 0, 0], u(0, 10))
        if self.legs == "step":
            swing = stride * sign + u(-4, 4)
            return spread(u(-2, 8)) @ turn([1, 0, 0], swing) @ outward, turn([1, 0, 0], u(0, 20) + max(swing, 0))
        if self.legs == "sit":
            return spread(u(0, 18)) @ turn([1, 0, 0], u(-100, -65)) @ outward, turn([1, 0, 0], u(60, 105))
        if self.legs == "free":
            return spread(u(-6, 35)) @ turn([1, 0, 0], u(-50, 20)) @ outward, turn([1, 0, 0], u(0, 70))
        return spread(u(-4, 12)) @ turn([1, 0, 0], u(-8, 5)) @ outward, turn([1, 0, 0], u(0, 10))

    def _matrices(self) -> np.ndarray:
        out = np.tile(np.eye(4), (len(self.places), 1, 1))
        for j, parent in enumerate(self.character.parents):
            out[j, :3, :3] = self.linear[j]
            out[j, :3, 3] = self.places[j] - self.linear[j] @ self.places[j]
            if parent >= 0:
                out[j] = out[parent] @ out[j]
        return out
