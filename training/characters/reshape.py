# SPDX-License-Identifier: GPL-3.0-or-later
"""Other proportions for any Character: longer or shorter, thicker or thinner limbs, trunk and head."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .build import lifted
from .character import Character
from .labels import OF_BONE
from .shapes import aligned


@dataclass(frozen=True)
class Proportions:
    """Factors. length runs along a limb, girth across it; the trunk has width (X), height (Y) and depth (Z)."""

    head: float = 1.0
    neck: float = 1.0
    trunk: tuple[float, float, float] = (1.0, 1.0, 1.0)
    arm_length: float = 1.0
    arm_girth: float = 1.0
    hand: float = 1.0
    leg_length: float = 1.0
    leg_girth: float = 1.0
    foot: float = 1.0


def _stretch(along: np.ndarray, length: float, girth: float) -> np.ndarray:
    turn = aligned(np.array([0, 1.0, 0]), along)
    return turn @ np.diag([girth, length, girth]) @ turn.T


def _scales(character: Character, wanted: Proportions) -> np.ndarray:
    """(J, 3, 3) linear part of every joint's change; joints below a named one share its change."""
    joints = character.joints.astype(float)

    def axis(a: str, b: str, default: tuple[float, float, float]) -> np.ndarray:
        i, j = character.joint(a), character.joint(b)
        found = None if i is None or j is None else joints[j] - joints[i]
        return np.array(default) if found is None or np.linalg.norm(found) < 1e-4 else found

    kinds: dict[str, np.ndarray] = {
        "face": np.eye(3) * wanted.head,
        "neck": np.diag([wanted.trunk[0] ** 0.5, wanted.neck, wanted.trunk[2] ** 0.5]),
        "torso": np.diag(wanted.trunk),
    }
    for side, x in (("left", 1.0), ("right", -1.0)):
        arm = axis(side + "UpperArm", side + "Hand", (x, 0, 0))
        leg = axis(side + "UpperLeg", side + "Foot", (0, -1, 0))
        for part in ("UpperArm", "Forearm"):
            kinds[side + part] = _stretch(arm, wanted.arm_length, wanted.arm_girth)
        for part in ("Thigh", "Shin"):
            kinds[side + part] = _stretch(leg, wanted.leg_length, wanted.leg_girth)
        kinds[side + "Hand"] = np.eye(3) * wanted.hand
        kinds[side + "Foot"] = np.eye(3) * wanted.foot
    out = np.tile(np.eye(3), (len(joints), 1, 1))
    for k, (name, parent) in enumerate(zip(character.joint_names, character.parents, strict=True)):
        if name in OF_BONE:
            out[k] = kinds[OF_BONE[name]]
        elif parent >= 0:
            out[k] = out[parent]
    return out


def reshape(character: Character, wanted: Proportions) -> Character:
    """The same character in other proportions; weights blend the change at the joints, truth goes along."""
    scales, old = _scales(character, wanted), character.joints.astype(float)
    new = old.copy()
    for k, parent in enumerate(character.parents):
        if parent >= 0:
            new[k] = new[parent] + scales[parent] @ (old[k] - old[parent])
    shifts = new - np.einsum("jab,jb->ja", scales, old)
    chosen, shares = character.joint_indices, character.joint_weights.astype(float)
    moved = np.einsum("vk,vkab,vb->va", shares, scales[chosen], character.vertices.astype(float))
    moved += np.einsum("vk,vka->va", shares, shifts[chosen])
    head = character.joint("head")
    face = character.face
    if head is not None:

        def at(point: np.ndarray) -> np.ndarray:
            return scales[head] @ point + shifts[head]

        features = {
            name: replace(
                (feature := getattr(face, name)),
                centre=at(feature.centre),
                half_width=feature.half_width * wanted.head,
                half_height=feature.half_height * wanted.head,
            )
            for name in ("left_eye", "right_eye", "mouth")
        }
        face = replace(face, head_top=at(face.head_top), chin=at(face.chin), **features)
    out = character.replace(vertices=moved.astype(np.float32), joints=new.astype(np.float32), face=face)
    return lifted(out, np.array([0, -float(out.vertices[:, 1].min()), 0]))


def random_proportions(random: np.random.Generator, style: str) -> Proportions:
    """style: "chibi" (two to three heads tall), "tall" (eight and more), "odd" (anything) or "plain"."""
    u = random.uniform
    if style == "chibi":
        return Proportions(
            head=u(1.5, 2.3),
            neck=u(0.3, 0.8),
            trunk=(u(0.75, 1.0), u(0.6, 0.85), u(0.8, 1.0)),
            arm_length=u(0.55, 0.8),
            arm_girth=u(0.8, 1.25),
            hand=u(0.7, 1.1),
            leg_length=u(0.4, 0.7),
            leg_girth=u(0.8, 1.3),
            foot=u(0.7, 1.1),
        )
    if style == "tall":
        return Proportions(
            head=u(0.75, 0.95),
            neck=u(1, 1.4),
            trunk=(u(0.85, 1.1), u(0.95, 1.15), u(0.85, 1.05)),
            arm_length=u(1, 1.2),
            arm_girth=u(0.7, 1.1),
            hand=u(0.8, 1.1),
            leg_length=u(1.05, 1.4),
            leg_girth=u(0.7, 1.1),
            foot=u(0.8, 1.1),
        )
    spread = 0.45 if style == "odd" else 0.12

    def factor() -> float:
        return float(np.exp(random.normal(0, spread * 0.6)))

    return Proportions(
        head=factor(),
        neck=factor(),
        trunk=(factor(), factor(), factor()),
        arm_length=factor(),
        arm_girth=factor(),
        hand=factor(),
        leg_length=factor(),
        leg_girth=factor(),
        foot=factor(),
    )
