# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid skeleton that is given to the network: up to 55 VRM bones, placed inside the mesh
(shared/reference/skintokens.md 10).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..geometric.rigger import checked_joints, place_skeleton, placement_warnings
from ..geometric.skeleton import SIDES, Skeleton
from ..mesh.files import MeshArrays
from ..mesh.voxels import VoxelGrid, solid_voxels
from ..nn.joint_tokens import FINGERS_LEFT, FINGERS_RIGHT
from .fingers import FINGER_BONES, FINGERS, THUMB_BONES, find_fingers

FACE = ("leftEye", "rightEye", "jaw")  # only where they are known
MOVED_AT_MOST = 6  # cells that a joint outside the body is moved inwards beyond the nearest cell inside
TIP = 0.3  # of a bone's parent: how long a bone is whose end nothing tells


@dataclass
class Placed:
    """names: VRM bones, parents first. joints, tails (J, 3) in the mesh's axes turned by `turn` (3, 3), so that the
    character stands and faces +Z; parents (J,) with -1 for hips. fingers: chains placed.
    """

    names: list[str]
    joints: np.ndarray
    tails: np.ndarray
    parents: np.ndarray
    turn: np.ndarray
    fingers: int
    warnings: list[dict[str, str]]


def place(mesh: MeshArrays, known: dict[str, list[float]] | None, template_order: bool = False) -> Placed:
    """A skeleton for a mesh, Y up. `known`: joints by VRM name in the mesh's axes, used as they are where they lie
    inside. template_order: the network's own order for VRoid characters instead of depth first.

    Raises BackendError: not_humanoid, bad_joints.
    """
    given = checked_joints(known or {}, mesh.vertices)
    bones, flags, turn = place_skeleton(mesh, known)
    warnings = placement_warnings(flags)
    told = {name: turn @ point for name, point in given.items()}
    vertices = mesh.vertices @ turn.T
    _take(bones, told)
    fingers = sum(_add_fingers(bones, side, vertices, mesh.triangles, told, warnings) for side, _ in SIDES)
    for name in FACE:
        if name in told:
            bones.add(name, "head", told[name], told[name] + _forward(bones))
    moved = _inside(bones, solid_voxels(vertices, mesh.triangles))
    if outside := [name for name in moved if name in told]:
        message = f"These joints lay outside the mesh and were moved into it: {', '.join(outside)}."
        warnings.append({"code": "joints_moved", "message": message})
    names = _template(bones) if template_order else _depth_first(bones)
    index = {name: k for k, name in enumerate(names)}
    parents = np.array([index.get(bones.parents[name] or "", -1) for name in names], np.int64)
    heads, tails = (np.array([points[name] for name in names]) for points in (bones.heads, bones.tails))
    return Placed(names, heads, tails, parents, turn, fingers, warnings)


def _take(bones: Skeleton, told: dict[str, np.ndarray]) -> None:
    """Joints that are known replace those computed from others; the ends of their parents follow."""
    for name in bones.names:
        if name not in told:
            continue
        before = bones.heads[name]
        for other in bones.names:
            if np.array_equal(bones.tails[other], before):
                bones.tails[other] = told[name]
        bones.heads[name] = told[name]


def _forward(bones: Skeleton) -> np.ndarray:
    return np.array([0, 0, TIP * np.linalg.norm(bones.tails["head"] - bones.heads["head"])])


def finger_names(side: str, finger: str) -> list[str]:
    return [f"{side}{finger}{bone}" for bone in (THUMB_BONES if finger == "Thumb" else FINGER_BONES)]


def _add_fingers(
    bones: Skeleton,
    side: str,
    vertices: np.ndarray,
    triangles: np.ndarray,
    told: dict[str, np.ndarray],
    warnings: list[dict[str, str]],
) -> int:
    """Adds the chains of a hand that are known, or all five where the mesh has five fingers; returns how many."""
    chains = {finger: finger_names(side, finger) for finger in FINGERS}
    known = [finger for finger, names in chains.items() if all(name in told for name in names)]
    if known:
        for finger in known:
            joints = [told[name] for name in chains[finger]]
            _add_chain(bones, side, chains[finger], [*joints, joints[-1] + 0.8 * (joints[-1] - joints[-2])])
        return len(known)
    found, count = find_fingers(vertices, triangles, bones.heads[f"{side}LowerArm"], bones.heads[f"{side}Hand"])
    for name, place in found.items():
        _add_chain(bones, side, chains[name], [*place.joints, place.tip])
    if not found:
        message = f"The {side} hand has no finger bones, because the mesh has no separate fingers."
        if count:
            message = f"The {side} hand has no finger bones, because the mesh has {count} fingers instead of five."
        warnings.append({"code": "no_fingers", "message": message})
    elif "Middle" in found:
        bones.tails[f"{side}Hand"] = found["Middle"].joints[0]
    return len(found)


def _add_chain(bones: Skeleton, side: str, names: list[str], points: list[np.ndarray]) -> None:
    for k, name in enumerate(names):
        bones.add(name, names[k - 1] if k else f"{side}Hand", points[k], points[k + 1])


def _inside(bones: Skeleton, grid: VoxelGrid) -> list[str]:
    """Moves joints that lie outside the solid into it; returns their names."""
    nearest = ndimage.distance_transform_edt(~grid.solid, return_distances=False, return_indices=True)
    within = ndimage.distance_transform_edt(grid.solid)
    moved = []
    for name, point in bones.heads.items():
        cell = tuple(grid.index(point))
        clear = np.abs(grid.coordinates(point) - cell).max() <= 0.5 + 1e-9
        if grid.solid[cell] and clear:
            continue
        there = np.array([nearest[axis][cell] for axis in range(3)])
        for _ in range(MOVED_AT_MOST):  # uphill in depth, away from the skin
            around = there + np.argwhere(np.ones((3, 3, 3), bool)) - 1
            around = np.clip(around, 0, np.array(grid.solid.shape) - 1)
            best = around[within[tuple(around.T)].argmax()]
            if within[tuple(best)] <= within[tuple(there)] + 0.5:
                break
            there = best
        bones.heads[name] = grid.centres(there)
        moved.append(name)
    return moved


def _depth_first(bones: Skeleton) -> list[str]:
    """Parents before children, each subtree whole: torso and head, arms with their fingers, legs."""
    children: dict[str | None, list[str]] = {}
    rank = {name: k for k, name in enumerate(_template(bones))}
    for name in sorted(bones.names, key=rank.__getitem__):
        children.setdefault(bones.parents[name], []).append(name)
    out: list[str] = []

    def visit(name: str) -> None:
        out.append(name)
        for child in children.get(name, ()):
            visit(child)

    visit("hips")
    return out


def _template(bones: Skeleton) -> list[str]:
    """The order in which the network was shown VRoid characters: body, then hands; what it did not know comes last."""
    trunk = ["hips", "spine", "chest", "upperChest", "neck", "head"]
    limbs = ("Shoulder", "UpperArm", "LowerArm", "Hand"), ("UpperLeg", "LowerLeg", "Foot", "Toes")
    order = trunk + [f"{side}{part}" for parts in limbs for side, _ in SIDES for part in parts]
    for side, fingers in (("left", FINGERS_LEFT), ("right", FINGERS_RIGHT)):
        order += [name for finger in fingers for name in finger_names(side, finger)]
    return [name for name in (*order, *FACE) if name in bones.heads]
