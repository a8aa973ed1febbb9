# SPDX-License-Identifier: GPL-3.0-or-later
"""What the exported file itself must hold, measured on the file alone (not on what Blender believed when it wrote it)."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from avatar_addon.vrm.vrm_file import VrmFile, VrmFileError

MAX_BYTES, MAX_TRIANGLES = 12_000_000, 60_000
VISEMES = ("aa", "ih", "ou", "ee", "oh")
# VRM 1.0 "Humanoid" specification: required bones, each with the nearest required ancestor.
REQUIRED = {
    "hips": None,
    "spine": "hips",
    "head": "spine",
    **{f"{s}{b}": p for s in ("left", "right") for b, p in (("UpperArm", "spine"), ("UpperLeg", "hips"))},
    **{f"{s}LowerArm": f"{s}UpperArm" for s in ("left", "right")},
    **{f"{s}Hand": f"{s}LowerArm" for s in ("left", "right")},
    **{f"{s}LowerLeg": f"{s}UpperLeg" for s in ("left", "right")},
    **{f"{s}Foot": f"{s}LowerLeg" for s in ("left", "right")},
}
LIMBS = {
    f"{s}{limb}": (f"{s}Upper{limb}", f"{s}Lower{limb}", f"{s}{end}")
    for s in ("left", "right")
    for limb, end in (("Arm", "Hand"), ("Leg", "Foot"))
}
# Rotations in degrees about the scene's axes (character facing +Z, left is +X), per VRM bone.
POSES = {
    "arms down": {"leftUpperArm": (0, 0, -70), "rightUpperArm": (0, 0, 70)},
    "arms up": {"leftUpperArm": (0, 0, 60), "rightUpperArm": (0, 0, -60)},
    "elbows": {"leftLowerArm": (0, -90, 0), "rightLowerArm": (0, 90, 0)},
    "walk": {
        "leftUpperLeg": (-35, 0, 0),
        "rightUpperLeg": (30, 0, 0),
        "rightLowerLeg": (40, 0, 0),
        "leftUpperArm": (0, 0, -65),
        "rightUpperArm": (0, 0, 65),
    },
    "sit": {"leftUpperLeg": (-80, 0, 0), "rightUpperLeg": (-80, 0, 0), "leftLowerLeg": (80, 0, 0), "rightLowerLeg": (80, 0, 0)},
    "wave": {"leftUpperArm": (0, 0, -70), "rightUpperArm": (0, 0, 20), "rightLowerArm": (0, 0, -110)},
    "look": {"head": (25, 40, 0)},
}
LIMB_TURN = {"leftArm": (0, 0, -60), "rightArm": (0, 0, 60), "leftLeg": (-60, 0, 0), "rightLeg": (-60, 0, 0)}


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    x, y, z = np.radians(degrees)
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return rz @ ry @ rx


class Checks:
    """Runs every check on one file; `failures` are sentences, `figures` the measured numbers."""

    def __init__(self, path: Path) -> None:
        self.failures: list[str] = []
        self.figures: dict[str, float] = {}
        try:
            self.vrm = VrmFile(path)
        except VrmFileError as error:
            self.failures.append(str(error))
            return
        self.parts = self.vrm.primitives()
        self.bones = self.vrm.humanoid()
        # VRM 0.x faces -Z: turn everything so that one set of numbers serves both.
        self.front = np.diag([-1.0, 1.0, -1.0]) if self.vrm.version == "0.0" else np.eye(3)
        self.rest = np.concatenate([self.vrm.skinned(p) for p in self.parts]) @ self.front.T
        self.heads = {name: self.front @ self.vrm.world[node, :3, 3] for name, node in self.bones.items()}
        self.check_size()
        if self.check_bones():
            self.owner = self.dominant_bones()
            self.check_pose()
            self.check_weights()
            self.check_expressions()
            self.check_limbs()
            self.check_stretch()

    def need(self, ok: bool, sentence: str) -> None:
        if not ok:
            self.failures.append(sentence)

    def check_size(self) -> None:
        triangles = sum(len(p.triangles) for p in self.parts)
        self.figures |= {"MB": self.vrm.size / 1e6, "triangles": triangles}
        self.need(self.vrm.size < MAX_BYTES, f"the file has {self.vrm.size / 1e6:.1f} MB")
        self.need(triangles <= MAX_TRIANGLES, f"the avatar has {triangles} triangles")

    def check_bones(self) -> bool:
        missing = [name for name in REQUIRED if name not in self.bones]
        self.need(not missing, f"required bones are missing: {', '.join(missing)}")
        self.need(len(set(self.bones.values())) == len(self.bones), "two humanoid bones share a node")
        for name, parent in REQUIRED.items():
            if parent and name in self.bones and parent in self.bones:
                self.need(self.bones[parent] in self.ancestors(self.bones[name]), f"{name} is no descendant of {parent}")
        return not missing

    def ancestors(self, node: int) -> set[int]:
        found = set()
        while (node := self.vrm.parents[node]) >= 0:
            found.add(node)
        return found

    def dominant_bones(self) -> np.ndarray:
        """(V,) for each vertex the node that holds most of it."""
        owner = []
        for p in self.parts:
            if p.skin is None:
                owner.append(np.full(len(p.positions), p.node))
                continue
            joints = np.asarray(self.vrm.json["skins"][p.skin]["joints"])
            owner.append(joints[p.joints[np.arange(len(p.joints)), p.weights.argmax(1)]])
        return np.concatenate(owner)

    def angle(self, start: str, end: str, axis: tuple[float, float, float]) -> float:
        d = self.heads[end] - self.heads[start]
        return float(np.degrees(np.arccos(np.clip(d @ np.asarray(axis) / np.linalg.norm(d), -1, 1))))

    def check_pose(self) -> None:
        worst = max(
            *(
                self.angle(f"{s}{a}", f"{s}{b}", (x, 0, 0))
                for s, x in (("left", 1), ("right", -1))
                for a, b in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"))
            ),
            *(self.angle(f"{s}UpperLeg", f"{s}Foot", (0, -1, 0)) for s in ("left", "right")),
        )
        feet, height = float(self.rest[:, 1].min()), float(np.ptp(self.rest[:, 1]))
        self.figures |= {"T-pose deg": worst, "feet mm": 1000 * feet, "height m": height}
        self.need(worst <= 5, f"the rest pose is {worst:.1f} degrees from a T-pose")
        self.need(abs(feet) <= 0.01, f"the feet are at {feet:.3f} m")
        self.need(0.5 <= height <= 3, f"the avatar is {height:.2f} m tall")
        self.need(self.heads["hips"][1] > 0.05, "the hips are at the origin")
        aa = np.concatenate([np.linalg.norm(self.vrm.expression_field(p, "aa"), axis=1) for p in self.parts])
        if aa.max() > 0:
            ahead = float(np.average(self.rest[:, 2], weights=aa) - self.heads["head"][2])
            self.need(ahead > 0, "the avatar faces away")

    def check_weights(self) -> None:
        for p in self.parts:
            self.need(p.skin is not None, f"mesh {p.mesh} is not skinned")
            self.need(p.influence_sets <= 1, f"mesh {p.mesh} has more than 4 influences a vertex")
            self.need(bool(np.isfinite(p.positions).all() and np.isfinite(p.morphs).all()), f"mesh {p.mesh} has NaN")
            off = float(np.abs(p.weights.sum(1) - 1).max())
            self.need(off < 1e-3, f"mesh {p.mesh} has weights that sum to 1 ± {off:.4f}")

    def check_expressions(self) -> None:
        head = {node for node in range(len(self.vrm.parents)) if self.bones["head"] in self.ancestors(node) | {node}}
        in_head = np.isin(self.owner, list(head))
        fields = {}
        for name in (
            *VISEMES,
            "blink",
            "blinkLeft",
            "blinkRight",
            "happy",
            "angry",
            "sad",
            "relaxed",
            "surprised",
            "lookUp",
            "lookDown",
            "lookLeft",
            "lookRight",
        ):
            field = np.concatenate([self.vrm.expression_field(p, name) for p in self.parts]) @ self.front.T
            moved = np.linalg.norm(field, axis=1)
            fields[name] = field
            self.need(moved.max() > 0.001, f"{name} moves nothing ({1000 * moved.max():.2f} mm)")
            self.need(not (moved[~in_head] > 0.002).any(), f"{name} moves vertices outside the head")
        worst = max(self.cosine(fields[a], fields[b]) for a, b in itertools.combinations(VISEMES, 2))
        self.figures["viseme cosine"] = worst
        self.need(worst < 0.97, f"two visemes are the same movement (cosine {worst:.3f})")
        # From the head's joint, or from the middle of what both eyelids move where the head is turned or leans.
        eyelids = np.linalg.norm(fields["blink"], axis=1)
        middle = float(np.average(self.rest[:, 0], weights=eyelids)) if eyelids.max() > 0 else self.heads["head"][0]
        for name, side, other in (("blinkLeft", 1, "right"), ("blinkRight", -1, "left")):
            moved = np.linalg.norm(fields[name], axis=1)
            if moved.max() > 0:
                beyond = float(moved[side * (self.rest[:, 0] - middle) < 0].sum() / moved.sum())
                self.need(beyond < 0.5, f"{name} moves the other eye")
                self.need(beyond < 0.1 or beyond >= 0.5, f"{name} moves the {other} eye too ({100 * beyond:.0f} % of its movement)")

    @staticmethod
    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float((a * b).sum() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))

    def posed(self, pose: dict[str, tuple[float, float, float]]) -> np.ndarray:
        turns = {self.bones[name]: self.front.T @ rotation(degrees) @ self.front for name, degrees in pose.items() if name in self.bones}
        world = self.vrm.posed(turns)
        return np.concatenate([self.vrm.skinned(p, world=world) for p in self.parts]) @ self.front.T

    def check_limbs(self) -> None:
        nodes = {limb: {self.bones[b] for b in bones if b in self.bones} for limb, bones in LIMBS.items()}
        for limb, own in nodes.items():
            nodes[limb] = own | {n for n in range(len(self.vrm.parents)) if own & self.ancestors(n)}
        worst = 0.0
        for limb, turn in LIMB_TURN.items():
            moved = np.linalg.norm(self.posed({LIMBS[limb][0]: turn}) - self.rest, axis=1) > 0.002
            for other in LIMBS:
                mine = np.isin(self.owner, list(nodes[other]))
                self.need(mine.any() or other != limb, f"{limb} has no vertices")
                if other != limb and mine.any():
                    share = float(moved[mine].mean())
                    worst = max(worst, share)
                    self.need(share <= 0.01, f"moving {limb} moves {100 * share:.1f} % of {other}")
        self.figures["leak %"] = 100 * worst

    def check_stretch(self) -> None:
        offsets = np.cumsum([0, *(len(p.positions) for p in self.parts)])
        triangles = np.concatenate([p.triangles + o for p, o in zip(self.parts, offsets, strict=False)])
        edges = np.stack([triangles, np.roll(triangles, -1, axis=1)], -1)
        at_rest = np.linalg.norm(self.rest[edges[..., 0]] - self.rest[edges[..., 1]], axis=-1)
        usable = at_rest.min(1) > 1e-5
        worst, where = 0.0, ""
        for name, pose in POSES.items():
            points = self.posed(pose)
            length = np.linalg.norm(points[edges[..., 0]] - points[edges[..., 1]], axis=-1)
            share = float(((length / np.maximum(at_rest, 1e-9)).max(1)[usable] > 4).mean())
            if share > worst:
                worst, where = share, name
        self.figures["stretched %"] = 100 * worst
        self.need(worst < 0.002, f"{100 * worst:.2f} % of the triangles are stretched over 4 times in the pose '{where}'")
