# SPDX-License-Identifier: GPL-3.0-or-later
"""Spring bones in figures: how hair, skirts and tails swing, and the body that they must not pass through. Pure.

Axes are Blender's, metres, the avatar at rest in its T-pose facing -Y. Source: VRMC_springBone-1.0 (joint, collider,
update procedure).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..mesh.measures import to_segment

USUAL_HEIGHT, USUAL_BONE = 1.6, 0.07  # metres; what the figures of KINDS are for
LONG = 0.3  # metres of a chain from which on it hangs softer
TIP = 0.6  # the last joint's stiffness over the first's
LEAST_RADIUS = 0.002  # metres
LEAST_VERTICES = 12  # of a part of the body that is fitted
SHRINK = 0.6  # how much smaller a collider may become to leave room for what lies on it
TORSO = ("upperChest", "chest", "spine", "hips")


@dataclass(frozen=True)
class Kind:
    """stiffness, gravity, drag: of VRM's joints, for a person of the usual height; against: the parts of the body
    that stop it.
    """

    label: str
    stiffness: float
    gravity: float
    drag: float
    against: tuple[str, ...] = ()


_ARMS = ("leftUpperArm", "rightUpperArm", "leftLowerArm", "rightLowerArm")
_LEGS = ("leftUpperLeg", "rightUpperLeg", "leftLowerLeg", "rightLowerLeg")
KINDS = {
    "hair": Kind("Hair", 0.9, 0.12, 0.4, ("head", "neck", "upperChest", "chest", *_ARMS[:2])),
    "skirt": Kind("Skirt", 1.0, 0.15, 0.4, ("hips", *_LEGS)),
    "tail": Kind("Tail", 1.2, 0.04, 0.3, ("hips", *_LEGS)),
    "ear": Kind("Ear", 2.4, 0.0, 0.4),
    "wing": Kind("Wing", 2.0, 0.0, 0.5, ("upperChest", "chest")),
    "bust": Kind("Bust", 2.4, 0.0, 0.5),
    "sleeve": Kind("Sleeve", 0.9, 0.15, 0.4, _ARMS),
    "cloth": Kind("Cloth", 0.9, 0.15, 0.4, ("upperChest", "chest", "spine", "hips", *_LEGS)),
}


@dataclass(frozen=True)
class Joint:
    """As in VRM: what pulls the joint back, what pulls it down, what brakes it, and its radius in metres."""

    stiffness: float
    gravity: float
    drag: float
    radius: float


@dataclass(frozen=True)
class Shape:
    """A sphere (start is end) or a capsule around the segment, in world space."""

    start: np.ndarray
    end: np.ndarray
    radius: float

    @property
    def is_sphere(self) -> bool:
        return bool(np.allclose(self.start, self.end))

    def clearance(self, points: np.ndarray) -> np.ndarray:
        """(N,) from points (N, 3) to the surface, negative inside."""
        return to_segment(points, self.start, self.end)[0] - self.radius


def joints(kind: str, points: np.ndarray, height: float, thickness: Sequence[float]) -> list[Joint]:
    """One joint for each segment of a chain. points: (J + 1, 3) its heads and last tail; thickness: (J,) metres, 0
    where not known.

    VRM adds stiffness to the tail's position at each step: the same figure bends a short bone more, so it grows with
    the length.
    """
    figures = KINDS[kind]
    lengths = np.maximum(np.linalg.norm(np.diff(points, axis=0), axis=1), 1e-6)
    tall = height / USUAL_HEIGHT
    scale = tall * float(np.clip(np.median(lengths) / (USUAL_BONE * tall), 0.5, 2.0))
    if lengths.sum() > LONG * tall:
        scale *= 0.85
    fall = np.linspace(1.0, TIP, len(lengths))
    least = LEAST_RADIUS * tall
    radii = [
        float(np.clip(t or 0.15 * length, least, 0.35 * length + least))
        for t, length in zip(thickness, lengths, strict=True)
    ]
    return [
        Joint(figures.stiffness * scale * f, figures.gravity * scale, figures.drag, r)
        for f, r in zip(fall, radii, strict=True)
    ]


def fit_body(
    segments: Mapping[str, tuple[np.ndarray, np.ndarray]], vertices: Mapping[str, np.ndarray]
) -> dict[str, Shape]:
    """VRM bone -> collider. segments: head and tail of each bone; vertices: (N, 3) those it holds. Parts with hardly
    any are left out.

    Radii are medians of distances, so that a collar, a belt or a pocket does not blow a part up.
    """
    shapes = {}
    for name, (start, end) in segments.items():
        points = vertices.get(name, np.zeros((0, 3)))
        if len(points) < LEAST_VERTICES:
            continue
        if name == "head":
            low, high = np.percentile(points, [5, 95], axis=0)
            middle = (low + high) / 2
            shapes[name] = Shape(middle, middle, float(np.median(np.linalg.norm(points - middle, axis=1))))
        elif name in TORSO:
            shapes[name] = _across(points)
        else:
            distance, along = to_segment(points, start, end)
            inner = (along > 0.1) & (along < 0.9)
            radius = float(np.median(distance[inner] if inner.sum() >= LEAST_VERTICES else distance))
            shapes[name] = Shape(start, end, min(radius, 0.5 * float(np.linalg.norm(end - start)) + 1e-6))
    return {name: shape for name, shape in shapes.items() if shape.radius > 0}


def _across(points: np.ndarray) -> Shape:
    """A capsule from left to right: a torso is wider than it is deep."""
    low, high = np.percentile(points, [10, 90], axis=0)
    half = (high - low) / 2
    radius = float(min(half[0], half[1]))
    reach = np.array([max(float(half[0]) - radius, 0.0), 0, 0])
    middle = (low + high) / 2
    return Shape(middle - reach, middle + reach, radius)


def leave_room(shapes: Mapping[str, Shape], chains: Sequence[tuple[str, np.ndarray]], least: float) -> dict[str, Shape]:
    """Colliders small enough that nothing is pushed at rest, down to SHRINK of their size. chains: (kind, (J, 3) its
    joints' tails).
    """
    out = {}
    for name, shape in shapes.items():
        near = [shape.clearance(tails).min() for kind, tails in chains if name in KINDS[kind].against and len(tails)]
        room = shape.radius + min([0.0, *near]) - (least if near and min(near) < least else 0.0)
        out[name] = Shape(shape.start, shape.end, max(room, SHRINK * shape.radius))
    return out


def attach(
    kind: str, tails: np.ndarray, made: Sequence[Joint], shapes: Mapping[str, Shape], least: float
) -> tuple[list[Joint], list[str]]:
    """The joints with radii that touch nothing at rest, and the colliders that may stop them: not those the chain
    starts inside of.

    tails: (J, 3) where each joint ends.
    """
    names = [
        name for name in KINDS[kind].against if name in shapes and shapes[name].clearance(tails).min() >= 0.5 * least
    ]
    room = np.min([shapes[name].clearance(tails) for name in names], axis=0) if names else np.full(len(tails), np.inf)
    fitted = [
        Joint(j.stiffness, j.gravity, j.drag, float(min(j.radius, max(r, 0.5 * least))))
        for j, r in zip(made, room, strict=True)
    ]
    return fitted, names
