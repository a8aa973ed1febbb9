# SPDX-License-Identifier: GPL-3.0-or-later
"""The rigger that needs no model: joints from the silhouette, weights from distances inside the body."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from ..engines import Progress, Rig, RigRequest
from ..errors import BackendError
from ..image.load import load_picture
from ..mesh.files import MeshArrays, RigArrays, read_mesh, write_rig
from ..mesh.voxels import solid_voxels
from .arm_joints import centre_arms
from .arm_tubes import find_tubes, part_arms
from .finding import find_body
from .islands import make_rigid
from .relief import relieve
from .skeleton import MARKERS, Skeleton, build_skeleton, complete_markers
from .territory import find_territory
from .weights import bone_weights, soften_neck, strongest


@dataclass
class RiggedMesh:
    """skeleton; weight_joint, weight: (V, 4); turn (3, 3): the rotation after which the character stands and faces +Z;
    flags of the joint search; cut: triangles that join an arm to the body where it only touches it.
    """

    skeleton: Skeleton
    weight_joint: np.ndarray
    weight: np.ndarray
    flags: list[str]
    turn: np.ndarray = field(default_factory=lambda: np.eye(3))
    cut: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def is_turned(self) -> bool:
        return not np.allclose(self.turn, np.eye(3), atol=1e-6)


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
        texture = load_picture(request.texture).rgba if request.texture else None
        result = rig_mesh(mesh, request.joints, progress, texture)
        path = request.out_dir / "rig.npz"
        bones = result.skeleton
        heads, tails = (np.array(list(points.values())) for points in (bones.heads, bones.tails))
        write_rig(
            path,
            RigArrays(
                heads, tails, bones.parent_indices(), bones.names, result.weight_joint, result.weight, result.cut
            ),
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
            placement_warnings(result.flags),
            turn=result.turn.tolist() if result.is_turned else None,
        )


def rig_mesh(
    mesh: MeshArrays,
    joints: dict[str, list[float]] | None = None,
    progress: Progress = lambda *_: None,
    texture: np.ndarray | None = None,
) -> RiggedMesh:
    """Skeleton and weights of a mesh, in its axes. `joints`: known marker joints in the mesh's axes; all 15 spare the
    search. texture: (h, w, 3 or 4) uint8, what the joints are looked for on.

    Raises BackendError("not_humanoid") when joints have to be found and cannot be, ("bad_joints") when given ones are
    no points or far away.
    """
    progress("joints", 0.05, "Looking at the mesh from all sides")
    skeleton, flags, turn = place_skeleton(mesh, joints, texture)
    vertices = mesh.vertices @ turn.T
    progress("solid", 0.4, "Filling the body")
    grid = solid_voxels(vertices, mesh.triangles)
    centre_arms(skeleton, grid, set(joints or {}))
    progress("weights", 0.5, "Measuring distances inside the body")
    territory = find_territory(grid, skeleton)
    progress("weights", 0.8, "Weighting the vertices")
    weights = bone_weights(vertices, skeleton, grid, territory)
    tubes = find_tubes(grid, skeleton)
    cut = part_arms(weights, vertices, mesh.triangles, skeleton, tubes, _skin_colour(mesh, texture))
    joined = mesh.triangles[~cut]
    soften_neck(weights, vertices, joined, skeleton)
    relieve(weights, vertices, joined, skeleton)
    make_rigid(weights, vertices, joined, skeleton)
    weight_joint, weight = strongest(weights)
    for points in (skeleton.heads, skeleton.tails):
        for name, point in points.items():
            points[name] = turn.T @ point
    return RiggedMesh(skeleton, weight_joint, weight, flags, turn, np.flatnonzero(cut))


def _skin_colour(mesh: MeshArrays, texture: np.ndarray | None) -> np.ndarray | None:
    """(V, 3) 0..255: the texture at each vertex, the mean of its corners."""
    if texture is None or mesh.corner_uvs is None:
        return None
    height, width = texture.shape[:2]
    column, row = (
        (mesh.corner_uvs[..., 0] % 1 * width).astype(int),
        ((1 - mesh.corner_uvs[..., 1]) % 1 * height).astype(int),
    )
    colours = texture[np.minimum(row, height - 1), np.minimum(column, width - 1), :3].reshape(-1, 3).astype(float)
    corners = mesh.triangles.ravel()
    count = np.maximum(np.bincount(corners, minlength=len(mesh.vertices)), 1)
    sums = [np.bincount(corners, colours[:, k], len(mesh.vertices)) for k in range(3)]
    return np.stack(sums, 1) / count[:, None]


def place_skeleton(
    mesh: MeshArrays, joints: dict[str, list[float]] | None, texture: np.ndarray | None = None
) -> tuple[Skeleton, list[str], np.ndarray]:
    """The humanoid skeleton of a mesh in upright axes, flags of the joint search, and the rotation to those axes.

    Raises as `rig_mesh` does.
    """
    known = checked_joints(joints or {}, mesh.vertices)
    found, flags, turn = None, [], np.eye(3)
    if any(name not in known for name in MARKERS):
        try:
            body = find_body(mesh, texture)
            found, flags, turn = body.joints, body.flags + body.doubts, body.turn
        except BackendError:
            if len(known) < 2:
                raise
    vertices = mesh.vertices @ turn.T
    at = complete_markers({name: turn @ point for name, point in known.items()}, found)
    return build_skeleton(at, vertices.min(0), vertices.max(0)), flags, turn


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


SENTENCES = {
    "direction": "It is not clear which way the character faces; turn the model by hand if it looks backwards.",
    "joints": "The joints are not sure, because the views of the mesh do not agree; check them before you go on.",
}


def placement_warnings(flags: list[str]) -> list[dict[str, str]]:
    warnings = [{"code": f"{code}_unsure", "message": text} for code, text in SENTENCES.items() if code in flags]
    if {"skirt", "legs_closed"} & set(flags):
        warnings.append(
            {"code": "legs_hidden", "message": "The legs are hidden by clothing; hip and knee positions are estimated."}
        )
    return warnings
