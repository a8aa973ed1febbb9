# SPDX-License-Identifier: GPL-3.0-or-later
"""The rigger that needs no model: joints from the silhouette, weights from distances inside the body."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..engines import Progress, Rig, RigRequest
from ..errors import BackendError
from ..mesh.files import MeshArrays, RigArrays, read_mesh, write_rig
from ..mesh.voxels import solid_voxels
from .islands import make_rigid
from .landmarks import find_joints, turn
from .relief import relieve
from .skeleton import MARKERS, Skeleton, build_skeleton, complete_markers
from .territory import find_territory
from .weights import bone_weights, soften_neck, strongest


@dataclass
class RiggedMesh:
    """skeleton; weight_joint, weight: (V, 4); yaw: degrees the character is turned away from +Z; flags of the joint
    search.
    """

    skeleton: Skeleton
    weight_joint: np.ndarray
    weight: np.ndarray
    flags: list[str]
    yaw: int = 0


class GeometricRigger:
    """`backend.engines.Rigger`. Options: none are needed; hands are one bone."""

    name = "geometric"
    label = "Geometric (no model)"
    options = ()

    def rig(self, request: RigRequest, progress: Progress) -> Rig:
        """Writes `rig.npz`. Raises BackendError: bad_mesh, not_humanoid, bad_joints."""
        started = time.perf_counter()
        progress("read", 0.0, "Reading the mesh")
        mesh = read_mesh(request.mesh)
        result = rig_mesh(mesh, request.joints, progress)
        path = request.out_dir / "rig.npz"
        bones = result.skeleton
        heads, tails = (np.array(list(points.values())) for points in (bones.heads, bones.tails))
        write_rig(
            path, RigArrays(heads, tails, bones.parent_indices(), bones.names, result.weight_joint, result.weight)
        )
        metrics = {
            "vertices": float(len(mesh.vertices)),
            "bones": float(len(bones.names)),
            "seconds": time.perf_counter() - started,
        }
        return Rig(
            path,
            self.label,
            {name: name for name in bones.names},
            metrics,
            placement_warnings(result.flags, result.yaw),
        )


def rig_mesh(
    mesh: MeshArrays, joints: dict[str, list[float]] | None = None, progress: Progress = lambda *_: None
) -> RiggedMesh:
    """Skeleton and weights of a mesh. `joints`: known marker joints in the mesh's axes; all 15 spare the search.

    Raises BackendError("not_humanoid") when joints have to be found and cannot be, ("bad_joints") when given ones are
    no points or far away.
    """
    progress("joints", 0.1, "Finding the joints")
    skeleton, flags, yaw = place_skeleton(mesh, joints)
    vertices = turn(mesh.vertices, yaw)
    progress("solid", 0.3, "Filling the body")
    grid = solid_voxels(vertices, mesh.triangles)
    progress("weights", 0.4, "Measuring distances inside the body")
    territory = find_territory(grid, skeleton)
    progress("weights", 0.8, "Weighting the vertices")
    weights = bone_weights(vertices, skeleton, grid, territory)
    soften_neck(weights, vertices, mesh.triangles, skeleton)
    relieve(weights, vertices, mesh.triangles, skeleton)
    make_rigid(weights, vertices, mesh.triangles, skeleton)
    weight_joint, weight = strongest(weights)
    if yaw:
        for points in (skeleton.heads, skeleton.tails):
            for name, point in points.items():
                points[name] = turn(point, 360 - yaw)
    return RiggedMesh(skeleton, weight_joint, weight, flags, yaw)


def place_skeleton(mesh: MeshArrays, joints: dict[str, list[float]] | None) -> tuple[Skeleton, list[str], int]:
    """The humanoid skeleton of a mesh in axes turned by the yaw, flags of the joint search, and the yaw in degrees.

    Raises as `rig_mesh` does.
    """
    known = checked_joints(joints or {}, mesh.vertices)
    found, flags, yaw = None, [], 0
    if any(name not in known for name in MARKERS):
        try:
            result = find_joints(mesh.vertices, mesh.triangles)
            found, flags, yaw = result.joints, result.flags, result.yaw
        except BackendError:
            if len(known) < 2:
                raise
    vertices = turn(mesh.vertices, yaw)
    at = {name: turn(point, yaw) for name, point in complete_markers(known, found).items()}
    return build_skeleton(at, vertices.min(0), vertices.max(0)), flags, yaw


def checked_joints(joints: dict[str, list[float]], vertices: np.ndarray) -> dict[str, np.ndarray]:
    """The joints as arrays; each must be near the mesh, whose surroundings are computed on."""
    low, high = vertices.min(0), vertices.max(0)
    reach = float((high - low).max())
    known = {name: np.asarray(point, float) for name, point in joints.items()}
    for name, point in known.items():
        if point.shape != (3,) or not np.isfinite(point).all():
            raise BackendError(
                "bad_joints", f"The joint {name[:40]!r} is not a point of three numbers.", "Correct it or leave it out."
            )
        if reach > 0 and ((point < low - reach) | (point > high + reach)).any():
            raise BackendError(
                "bad_joints", f"The joint {name[:40]!r} lies far outside the mesh.", "Move it inside or leave it out."
            )
    return known


def placement_warnings(flags: list[str], yaw: int) -> list[dict[str, str]]:
    warnings = []
    if yaw:
        sentence = f"The character is rotated by {yaw} degrees; it should face the front (+Z in glTF, -Y in Blender)."
        warnings.append({"code": "not_facing_front", "message": sentence})
    if {"skirt", "legs_closed"} & set(flags):
        warnings.append(
            {"code": "legs_hidden", "message": "The legs are hidden by clothing; hip and knee positions are estimated."}
        )
    for side in ("left", "right"):
        if {f"weak_{side}_arm", f"no_{side}_arm"} & set(flags):
            sentence = f"The {side} arm is not clearly separated from the body; check the {side} arm's joints."
            warnings.append({"code": "arm_unclear", "message": sentence})
    return warnings
