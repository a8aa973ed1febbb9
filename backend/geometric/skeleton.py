# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid skeleton that a set of marker joints stands for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

SIDES = (("left", 1.0), ("right", -1.0))
MARKERS = ("hips", "neck", "head") + tuple(
    side + part for side, _ in SIDES for part in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
)
# Chains that skin weights are computed for; `torso` branches into shoulders.
CHAINS = {
    "torso": ("hips", "spine", "chest", "upperChest"),
    "head": ("neck", "head"),
    "leftArm": ("leftUpperArm", "leftLowerArm", "leftHand"),
    "rightArm": ("rightUpperArm", "rightLowerArm", "rightHand"),
    "leftLeg": ("leftUpperLeg", "leftLowerLeg", "leftFoot"),
    "rightLeg": ("rightUpperLeg", "rightLowerLeg", "rightFoot"),
}


@dataclass
class Skeleton:
    """Bones in an order where parents come first. heads, tails: name -> (3,) metres, Y up; parents: name -> name or
    None.
    """

    heads: dict[str, np.ndarray] = field(default_factory=dict)
    tails: dict[str, np.ndarray] = field(default_factory=dict)
    parents: dict[str, str | None] = field(default_factory=dict)

    def add(self, name: str, parent: str | None, head: np.ndarray, tail: np.ndarray) -> None:
        self.heads[name], self.tails[name], self.parents[name] = (
            np.asarray(head, float),
            np.asarray(tail, float),
            parent,
        )

    @property
    def names(self) -> list[str]:
        return list(self.heads)

    def parent_indices(self) -> np.ndarray:
        index = {name: k for k, name in enumerate(self.names)}
        return np.array([-1 if parent is None else index[parent] for parent in self.parents.values()], np.int32)

    def segment(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self.heads[name], self.tails[name]


def build_skeleton(markers: dict[str, np.ndarray], low: np.ndarray, high: np.ndarray) -> Skeleton:
    """VRM 1.0 humanoid bones from the 15 marker joints (and `headTop`, `leftToes`, `rightToes`, fingertips
    `leftHandTip` if known).

    low, high: (3,) the mesh's bounds, for what no joint tells: the crown and the soles. All in metres, Y up, facing +Z.
    The torso's bones share the way from hips to neck as in common humanoid rigs: spine .18, chest .42, upperChest .68.
    """
    at = {name: np.asarray(point, float) for name, point in markers.items()}
    bones = Skeleton()
    hips, neck, head = at["hips"], at["neck"], at["head"]

    def torso(t: float) -> np.ndarray:
        return hips + (neck - hips) * t

    crown = at.get("headTop", np.array([head[0], max(high[1], head[1] + 1e-3), head[2]]))
    bones.add("hips", None, hips, torso(0.18))
    bones.add("spine", "hips", torso(0.18), torso(0.42))
    bones.add("chest", "spine", torso(0.42), torso(0.68))
    bones.add("upperChest", "chest", torso(0.68), neck)
    bones.add("neck", "upperChest", neck, head)
    bones.add("head", "neck", head, crown)
    for side, sign in SIDES:
        arm, elbow, hand = (at[side + part] for part in ("UpperArm", "LowerArm", "Hand"))
        root = torso(0.9)
        root = np.array(
            [
                root[0] + 0.22 * (arm[0] - root[0]),
                root[1] + 0.3 * (arm[1] - root[1]),
                root[2] + 0.3 * (arm[2] - root[2]),
            ]
        )
        bones.add(f"{side}Shoulder", "upperChest", root, arm)
        bones.add(f"{side}UpperArm", f"{side}Shoulder", arm, elbow)
        bones.add(f"{side}LowerArm", f"{side}UpperArm", elbow, hand)
        tip = at.get(f"{side}HandTip", hand + 0.45 * (hand - elbow))
        bones.add(
            f"{side}Hand",
            f"{side}LowerArm",
            hand,
            tip if np.linalg.norm(tip - hand) > 1e-6 else hand + [1e-3 * sign, 0, 0],
        )
    for side, _ in SIDES:
        thigh, knee, ankle = (at[side + part] for part in ("UpperLeg", "LowerLeg", "Foot"))
        bones.add(f"{side}UpperLeg", "hips", thigh, knee)
        bones.add(f"{side}LowerLeg", f"{side}UpperLeg", knee, ankle)
        toes = at.get(f"{side}Toes")
        reach = max(0.25 * np.linalg.norm(ankle - knee), 1e-3)
        sole = toes if toes is not None else np.array([ankle[0], max(low[1], ankle[1] - reach), ankle[2] + reach])
        bones.add(f"{side}Foot", f"{side}LowerLeg", ankle, sole)
        if toes is not None:
            tip = at.get(f"{side}ToesTip", toes + [0.0, 0.0, 0.4 * max(toes[2] - ankle[2], 1e-3)])
            bones.add(f"{side}Toes", f"{side}Foot", toes, tip)
    return bones


# Marker joints of a plain figure of height 1, arms 45 degrees down: the last resort for joints that nothing tells.
_PLAIN = {
    "hips": (0, 0.53, 0),
    "neck": (0, 0.82, 0),
    "head": (0, 0.87, 0),
    "leftUpperArm": (0.1, 0.8, 0),
    "leftLowerArm": (0.21, 0.69, 0),
    "leftHand": (0.31, 0.59, 0),
    "leftUpperLeg": (0.055, 0.5, 0),
    "leftLowerLeg": (0.06, 0.28, 0),
    "leftFoot": (0.06, 0.06, 0),
}


def complete_markers(known: dict[str, np.ndarray], found: dict[str, np.ndarray] | None) -> dict[str, np.ndarray]:
    """All 15 markers: those `known`, else those `found` in the mesh, else a plain figure's, fitted to the known ones.

    The plain figure is scaled and moved (not turned) to the known joints by least squares; with fewer than two, to
    unit height.
    """
    complete = {name: np.asarray(point, float) for name, point in {**(found or {}), **known}.items()}
    missing = [name for name in MARKERS if name not in complete]
    if not missing:
        return complete
    plain = {name: np.array(point, float) for name, point in _PLAIN.items()}
    plain |= {
        name.replace("left", "right"): point * [-1, 1, 1] for name, point in plain.items() if name.startswith("left")
    }
    shared = [name for name in MARKERS if name in complete]
    scale, offset = 1.0, np.zeros(3)
    if shared:
        a, b = np.array([plain[name] for name in shared]), np.array([complete[name] for name in shared])
        spread = float(((a - a.mean(0)) ** 2).sum())
        if spread > 1e-9:
            scale = max(float(((a - a.mean(0)) * (b - b.mean(0))).sum()) / spread, 1e-6)
        offset = b.mean(0) - scale * a.mean(0)
    middle = complete["hips"][0] if "hips" in complete else offset[0]
    for name in missing:
        twin = name.replace("left", "right") if name.startswith("left") else name.replace("right", "left")
        if twin != name and twin in shared:
            complete[name] = complete[twin] * [-1, 1, 1] + [2 * middle, 0, 0]
        else:
            complete[name] = plain[name] * scale + offset
    return complete
