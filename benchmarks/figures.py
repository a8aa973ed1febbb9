# SPDX-License-Identifier: GPL-3.0-or-later
"""Capsule people: meshes made from rounded cones by marching cubes, with their true joints. Metres, Y up, facing +Z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.measure import marching_cubes

from backend.mesh.files import MeshArrays


@dataclass(frozen=True)
class Figure:
    """What a capsule person looks like. arm: degrees below horizontal; gap: half the distance between the legs over
    their radius.
    """

    arm: float = 45.0
    elbow: float = 0.0
    head: float = 0.13
    leg_radius: float = 0.065
    gap: float = 1.35
    height: float = 1.6
    legs: float = 0.47
    skirt: float = 0.0
    cape: bool = False
    fused: bool = False


ADULT = Figure()
CHIBI = Figure(head=0.3, legs=0.26, leg_radius=0.075)
SET = {
    "adult": ADULT,
    "T-pose": Figure(arm=0),
    "arms close": Figure(arm=72),
    "legs touch": Figure(gap=1.0),
    "chibi": CHIBI,
    "skirt": Figure(skirt=0.55),
    "robe": Figure(skirt=0.97),
    "cape": Figure(cape=True),
    "bent": Figure(arm=30, elbow=30),
}


def true_joints(look: Figure) -> dict[str, np.ndarray]:
    """The 15 marker joints and headTop."""
    h, r = look.height, look.leg_radius
    crotch = look.legs * h
    neck = h * (1 - 0.985 * look.head) - 0.02 * h
    shoulder = neck - 0.055 * h
    x = max(0.1, look.gap * r * 0.9)
    joints = {
        "hips": (0, crotch + 0.055 * h, 0),
        "neck": (0, neck, 0),
        "head": (0, neck + 0.035 * h, 0),
        "headTop": (0, h, 0),
        "leftUpperArm": (x + 0.035, shoulder, 0),
        "leftUpperLeg": (look.gap * r, crotch + 0.02 * h, 0),
        "leftLowerLeg": (look.gap * r, 0.55 * crotch, 0),
        "leftFoot": (look.gap * r, 0.055 * h, 0),
    }
    reach = 0.19 * h if look.head < 0.2 else 0.13 * h
    for name, before, angle in (
        ("leftLowerArm", "leftUpperArm", look.arm),
        ("leftHand", "leftLowerArm", look.arm + look.elbow),
    ):
        a = np.radians(angle)
        joints[name] = tuple(np.array(joints[before]) + reach * np.array([np.cos(a), -np.sin(a), 0]))
    mirrored = {
        name.replace("left", "right"): (-p[0], p[1], p[2]) for name, p in joints.items() if name.startswith("left")
    }
    return {name: np.array(p, float) for name, p in {**joints, **mirrored}.items()}


def _cone(p: np.ndarray, a: np.ndarray, b: np.ndarray, ra: float, rb: float) -> np.ndarray:
    """Signed distance (nearly) to a capsule whose radius goes from ra to rb."""
    d = b - a
    t = np.clip((p - a) @ d / max(float(d @ d), 1e-12), 0, 1)
    return np.linalg.norm(p - a - t[..., None] * d, axis=-1) - (ra + (rb - ra) * t)


def _union(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    h = np.clip(0.5 + 0.5 * (b - a) / k, 0, 1)
    return b + (a - b) * h - k * h * (1 - h)


def signed_distance(look: Figure, p: np.ndarray) -> np.ndarray:
    """Negative inside; p: (..., 3)."""
    j = true_joints(look)
    h, r = look.height, look.leg_radius
    chest = np.array([0, j["leftUpperArm"][1] - 0.05 * h, 0])
    flat = np.array([1, 1, 1.35])  # the trunk is less deep than wide
    wide = float(j["leftUpperArm"][0]) * 0.85
    body = _cone(p * flat, j["hips"], chest, max(0.085, look.gap * r + 0.6 * r), wide)
    body = _union(body, _cone(p, chest, j["head"], 0.045, 0.045), 0.03)
    middle = (j["head"] + j["headTop"]) / 2
    radius = float(j["headTop"][1] - middle[1])
    body = _union(body, np.linalg.norm((p - middle) * [1.1, 1, 1.0], axis=-1) - radius, 0.015)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm, elbow, hand = (j[side + part] for part in ("UpperArm", "LowerArm", "Hand"))
        tip = hand + 0.5 * (hand - elbow)
        limb = np.minimum(_cone(p, arm, elbow, 0.045, 0.036), _cone(p, elbow, hand, 0.036, 0.028))
        limb = np.minimum(limb, _cone(p, hand, tip, 0.032, 0.026))
        body = _union(body, limb, 0.015)
        thigh, knee, ankle = (j[side + part] for part in ("UpperLeg", "LowerLeg", "Foot"))
        leg = np.minimum(_cone(p, thigh, knee, r, 0.75 * r), _cone(p, knee, ankle, 0.75 * r, 0.55 * r))
        leg = np.minimum(leg, _cone(p, ankle - [0, 0.03 * h, 0], ankle + [0, -0.032 * h, 0.09 * h], 0.04, 0.035))
        # Each leg keeps to its side, so that legs that touch do not melt.
        leg = np.maximum(leg, 0.002 - sign * p[..., 0]) if look.gap <= 1.05 else leg
        body = np.minimum(body, leg) if look.gap <= 1.05 else _union(body, leg, 0.01)
    if look.skirt:
        hem = j["hips"][1] * (1 - look.skirt)
        body = np.minimum(body, _bell(p, float(j["hips"][1]) + 0.08 * h, hem, 0.1, 0.13 + 0.16 * look.skirt))
    if look.cape:
        sheet = np.maximum(np.abs(p[..., 2] + 0.16) - 0.012, np.abs(p[..., 0]) - 0.2)
        body = np.minimum(body, np.maximum(sheet, np.maximum(0.12 - p[..., 1], p[..., 1] - chest[1])))
        body = _union(body, _cone(p, chest, chest + [0, -0.02, -0.16], 0.05, 0.04), 0.02)
    return body


def _bell(p: np.ndarray, top: float, hem: float, narrow: float, wide: float) -> np.ndarray:
    t = np.clip((top - p[..., 1]) / (top - hem), 0, 1)
    round_ = np.hypot(p[..., 0], 1.2 * p[..., 2]) - (narrow + (wide - narrow) * t)
    return np.maximum(round_, np.maximum(hem - p[..., 1], p[..., 1] - top))


def make(look: Figure, cell: float = 0.011) -> MeshArrays:
    """The figure's surface, one closed skin of about 10 to 20 thousand triangles, feet at y = 0."""
    reach = 1.05 * max(float(np.abs(p[0])) for p in true_joints(look).values()) + 0.25
    axes = [np.arange(-reach, reach, cell), np.arange(-0.05, look.height + 0.1, cell), np.arange(-0.45, 0.5, cell)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    vertices, triangles, _, _ = marching_cubes(signed_distance(look, grid), 0.0)
    return MeshArrays(vertices * cell + [a[0] for a in axes], triangles[:, ::-1].astype(np.int64))
