# SPDX-License-Identifier: GPL-3.0-or-later
"""An avatar's file as the report card looks at it: all primitives in one, turned to face +Z, with its rest pose and
any other.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..vrm.spec.human_bones import BONES
from ..vrm.spec.vrm_file import VrmFile

Degrees = tuple[float, float, float]

LIMBS = {
    f"{side}{limb}": (f"{side}Upper{limb}", f"{side}Lower{limb}", f"{side}{end}")
    for side in ("left", "right")
    for limb, end in (("Arm", "Hand"), ("Leg", "Foot"))
}
# Rotations about the scene's axes (the character faces +Z, its left is +X), from the T-pose.
POSES: dict[str, dict[str, Degrees]] = {
    "arms down": {"leftUpperArm": (0, 0, -70), "rightUpperArm": (0, 0, 70)},
    "arms up": {"leftUpperArm": (0, 0, 60), "rightUpperArm": (0, 0, -60)},
    "elbows bent": {"leftLowerArm": (0, -90, 0), "rightLowerArm": (0, 90, 0)},
    "walking": {
        "leftUpperLeg": (-35, 0, 0),
        "rightUpperLeg": (30, 0, 0),
        "rightLowerLeg": (40, 0, 0),
        "leftUpperArm": (0, 0, -65),
        "rightUpperArm": (0, 0, 65),
    },
    "sitting": {
        "leftUpperLeg": (-80, 0, 0),
        "rightUpperLeg": (-80, 0, 0),
        "leftLowerLeg": (80, 0, 0),
        "rightLowerLeg": (80, 0, 0),
    },
    "waving": {"leftUpperArm": (0, 0, -70), "rightUpperArm": (0, 0, 20), "rightLowerArm": (0, 0, -110)},
    "looking aside": {"head": (25, 40, 0)},
}
LIMB_TURN: dict[str, Degrees] = {
    "leftArm": (0, 0, -60),
    "rightArm": (0, 0, 60),
    "leftLeg": (-60, 0, 0),
    "rightLeg": (-60, 0, 0),
}


def rotation(degrees: Degrees) -> np.ndarray:
    """3x3, about x, then y, then z of the scene."""
    x, y, z = np.radians(degrees)
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx)


class SkinnedBody:
    """A skinned humanoid that can be posed: in a file (Measured) or in Blender's scene (weights.skin.Skin).

    Metres, Y up, facing +Z. bones: VRM 1.0 name -> node; parents: parent of each node, -1 for a root; heads: name ->
    (3,) position; rest: (V, 3); triangles: (T, 3); owner: (V,) node that holds most of a vertex, -1 for none.
    """

    bones: dict[str, int]
    parents: list[int]
    heads: dict[str, np.ndarray]

    @cached_property
    def rest(self) -> np.ndarray:
        raise NotImplementedError

    @cached_property
    def triangles(self) -> np.ndarray:
        raise NotImplementedError

    @cached_property
    def owner(self) -> np.ndarray:
        raise NotImplementedError

    def posed(self, pose: dict[str, Degrees]) -> np.ndarray:
        """(V, 3) in a pose of humanoid bones; bones that the avatar lacks are left out."""
        raise NotImplementedError

    @cached_property
    def below(self) -> dict[int, set[int]]:
        """node -> itself and everything that hangs from it."""
        found: dict[int, set[int]] = {node: {node} for node in range(len(self.parents))}
        for node in range(len(self.parents)):
            above = self.parents[node]
            while above >= 0:
                found[above].add(node)
                above = self.parents[above]
        return found

    def held_by(self, bone: str) -> np.ndarray:
        """(V,) whether a vertex belongs to a humanoid bone or to what hangs from it."""
        return np.isin(self.owner, list(self.below[self.bones[bone]]))


class Measured(SkinnedBody):
    """Arrays over all vertices of all primitives, in scene metres; VRM 0.x is turned around."""

    def __init__(self, file: VrmFile) -> None:
        self.file = file
        self.parts = file.primitives()
        self.parents = list(file.parents)
        self.front = np.diag([-1.0, 1.0, -1.0]) if file.version == "0.0" else np.eye(3)
        self.bones = {
            name: node for name, node in file.humanoid().items() if name in BONES and 0 <= node < len(file.parents)
        }
        self.heads = {name: self.front @ file.world[node, :3, 3] for name, node in self.bones.items()}
        self.offsets = np.cumsum([0, *(len(part.positions) for part in self.parts)])

    @cached_property
    def rest(self) -> np.ndarray:
        return self._joined([self.file.skinned(part) for part in self.parts])

    @cached_property
    def triangles(self) -> np.ndarray:
        found = [part.triangles + start for part, start in zip(self.parts, self.offsets, strict=False)]
        return np.concatenate(found) if found else np.zeros((0, 3), np.int64)

    @cached_property
    def owner(self) -> np.ndarray:
        owners = [np.zeros(0, np.int64)]
        for part in self.parts:
            if part.skin is None:
                owners.append(np.full(len(part.positions), part.node))
                continue
            joints = np.asarray(self.file.json["skins"][part.skin]["joints"])
            owners.append(joints[part.joints[np.arange(len(part.joints)), part.weights.argmax(1)]])
        return np.concatenate(owners)

    @cached_property
    def single_sided(self) -> np.ndarray:
        """(T,) triangles whose material is drawn from the front only; VRM 0.x says it beside glTF too (_CullMode 0)."""
        materials = self.file.json.get("materials", [])
        old = (self.file.vrm.get("materialProperties") or []) if self.file.version == "0.0" else []

        def one_side(index: int | None) -> bool:
            if index is None or not 0 <= index < len(materials):
                return True
            cull = old[index].get("floatProperties", {}).get("_CullMode", 2) if index < len(old) else 2
            return not materials[index].get("doubleSided", False) and cull != 0

        sides = [np.full(len(part.triangles), one_side(part.material)) for part in self.parts]
        return np.concatenate([np.zeros(0, bool), *sides])

    @cached_property
    def in_head(self) -> np.ndarray:
        return self.held_by("head") if "head" in self.bones else np.zeros(len(self.rest), bool)

    @cached_property
    def head_height(self) -> float:
        """Metres from the chin to the top of the head, roughly; the measure of all facial movement."""
        inside = self.rest[self.in_head] if self.in_head.any() else self.rest
        return max(float(np.ptp(inside[:, 1])), 1e-6) if len(inside) else 1e-6

    def expression(self, name: str) -> np.ndarray:
        """(V, 3) displacement by one expression at full weight."""
        return self._joined([self.file.expression_field(part, name) for part in self.parts])

    def posed(self, pose: dict[str, Degrees]) -> np.ndarray:
        turns = {
            self.bones[name]: self.front.T @ rotation(degrees) @ self.front
            for name, degrees in pose.items()
            if name in self.bones
        }
        world = self.file.posed(turns)
        return self._joined([self.file.skinned(part, world=world) for part in self.parts])

    def _joined(self, arrays: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.zeros((0, 3)), *arrays]) @ self.front.T
