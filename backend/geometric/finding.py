# SPDX-License-Identifier: GPL-3.0-or-later
"""How a humanoid mesh stands and where its joints are: the network's readings of several views, put together in space
and refined on the solid.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ..errors import BackendError
from ..mesh.files import MeshArrays
from ..mesh.raster import front_view
from ..mesh.voxels import VoxelGrid, solid_voxels
from ..reader import JOINTS
from .consensus import FACES, agree, between, centred, facing, heading
from .landmarks import VIEW_HEIGHT, detect, ends, feet_ahead
from .looks import Look, about_y, look_around
from .skeleton import SIDES

SURE = 0.42  # of the views: below it the body may lie
NOBODY = 0.36  # and below that it is none
DOUBTFUL = 0.05  # typical disagreement of the views, in heights, from which on the user is asked to look
LOST = 0.11  # and from which on the joints are not to be trusted
ASTRAY = 0.05  # of a single joint, from which on the user is asked too (docs/performance.md)
# A limb's bone that is shorter, in heights, or shorter than the other by this factor, is none: characters with the
# shortest limbs have 0.06 and 1.7.
SHORTEST, UNEQUAL = 0.02, 4.0
SNAP = 12.0  # degrees: a body so near to a quarter is meant to stand there


@dataclass
class Body:
    """turn (3, 3): rotation of the mesh's axes to upright ones, facing +Z. joints: name -> (3,) in those axes, the 15
    markers, headTop, chin, and hand tips and toes where they were found. looks: the views, azimuths in the axes after
    `up`. flags of the outline's search; doubts: codes of what the user should look at; spread: name -> how far the
    views disagree on a joint, in heights.
    """

    turn: np.ndarray
    joints: dict[str, np.ndarray]
    looks: list[Look] = field(default_factory=list)
    front: float = 0.0
    flags: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    spread: dict[str, float] = field(default_factory=dict)


def find_body(mesh: MeshArrays, texture: np.ndarray | None = None, draft: bool = False) -> Body:
    """Raises BackendError("not_humanoid"), unless `draft` asks for the best guess, which a person will correct."""
    up, looks = _upright(mesh, texture, draft)
    standing = MeshArrays(mesh.vertices @ up.T, mesh.triangles, mesh.corner_uvs)
    height = float(np.ptp(standing.vertices[:, 1]))
    front, clear = facing(looks, height, lambda azimuth: _lead(standing, looks, azimuth, height))
    doubts = ["direction"] if clear < FACES else []
    found = agree(looks, front, height)
    yaw = heading(found.joints)
    if abs(between(yaw, front)) > 50:
        doubts.append("direction")
        yaw = front
    quarter = 90.0 * round(yaw / 90)
    yaw = quarter if abs(between(yaw, quarter)) < SNAP else yaw
    turn = about_y(-yaw)
    impossible = impossible_limbs(found.joints, height)
    if not draft and (found.doubt > LOST or len(impossible) > 1):
        raise unclear()
    if found.doubt > DOUBTFUL or max(found.spread[name] for name in JOINTS) > ASTRAY or impossible:
        doubts.append("joints")
    at = {name: turn @ point for name, point in found.joints.items()}
    turned = MeshArrays(standing.vertices @ turn.T, mesh.triangles, mesh.corner_uvs)
    joints, flags = _refined(at, turned)
    return Body(turn @ up, joints, looks, front, flags, list(dict.fromkeys(doubts)), found.spread)


def impossible_limbs(joints: dict[str, np.ndarray], height: float) -> list[str]:
    """Arms and legs of which a bone has hardly any length, or is a fraction of the other one."""
    out = []
    for side, _ in SIDES:
        for limb in (("UpperArm", "LowerArm", "Hand"), ("UpperLeg", "LowerLeg", "Foot")):
            a, b, c = (joints[side + bone] for bone in limb)
            upper, lower = float(np.linalg.norm(b - a)), float(np.linalg.norm(c - b))
            if min(upper, lower) < max(SHORTEST * height, max(upper, lower) / UNEQUAL):
                out.append(side + limb[0])
    return out


def unclear() -> BackendError:
    return BackendError(
        "not_humanoid",
        "No humanoid was recognised in this mesh: its views do not agree on where its limbs are.",
        "Set the joints by hand, or use a figure whose arms and legs can be told apart.",
    )


def _upright(mesh: MeshArrays, texture: np.ndarray | None, draft: bool = False) -> tuple[np.ndarray, list[Look]]:
    """The rotation after which the mesh stands, and the eight views of it then."""
    looks = look_around(mesh, texture)
    sure = _sure(looks)
    if sure >= SURE:
        return np.eye(3), looks
    best: tuple[float, np.ndarray] = (sure, np.eye(3))
    for up in _other_ups():
        score = _sure(look_around(mesh, texture, (0, 90, 180, 270), up, 224))
        if score > best[0] + 0.1:
            best = score, up
    if best[0] > sure:  # four small pictures have chosen the way up; whether it is a body, the eight large ones say
        looks = look_around(mesh, texture, up=best[1])
    if min(best[0], _sure(looks)) < NOBODY and not draft:
        raise BackendError(
            "not_humanoid",
            "No humanoid was recognised in this mesh from any side.",
            "Use a mesh of one standing figure with arms and legs, or set the joints by hand.",
        )
    return best[1], looks


def _sure(looks: list[Look]) -> float:
    return float(np.mean([look.sureness for look in looks]))


def _other_ups() -> list[np.ndarray]:
    x = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    z = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    return [x, x.T, x @ x, z, z.T]


def _lead(mesh: MeshArrays, looks: list[Look], azimuth: float, height: float) -> float:
    """-0.4..0.4: how far the feet reach to that side, three times over, in heights."""
    turn = about_y(-azimuth)
    joints = {name: turn @ p for name, p in agree(looks, azimuth, height).joints.items()}
    grid = solid_voxels(mesh.vertices @ turn.T, mesh.triangles, 70)
    return float(np.clip(3 * feet_ahead(joints, grid) / height, -0.4, 0.4))


def _refined(at: dict[str, np.ndarray], mesh: MeshArrays) -> tuple[dict[str, np.ndarray], list[str]]:
    """Limbs in the middle of the solid, joints inside it, toes and hand tips; flags of what the outline shows."""
    grid = solid_voxels(mesh.vertices, mesh.triangles)
    flat = detect(front_view(mesh.vertices, mesh.triangles, VIEW_HEIGHT))
    flags = [flag for flag in flat.flags if flag in ("skirt", "legs_closed")] if flat is not None else []
    joints = centred(at, grid, ndimage.distance_transform_edt(grid.solid))
    joints = {name: _inside(point, grid) for name, point in joints.items()}
    return joints | ends(joints, grid), flags


def _inside(point: np.ndarray, grid: VoxelGrid) -> np.ndarray:
    """The nearest place in the solid, where the point is not far from it."""
    if grid.solid[tuple(grid.index(point))]:
        return point
    reach = 12
    low = np.maximum(grid.index(point) - reach, 0)
    block = grid.solid[tuple(slice(a, a + 2 * reach + 1) for a in low)]
    cells = np.argwhere(block) + low
    if not len(cells):
        return point
    centres = grid.centres(cells)
    return np.asarray(centres[np.argmin(((centres - point) ** 2).sum(1))])
