# SPDX-License-Identifier: GPL-3.0-or-later
"""A delivered mesh through the same functions that the add-on and its backend use, without Blender."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar_addon.intake import geometry
from avatar_addon.mesh import cleaning, outside
from avatar_addon.mesh.arrays import SkinnedMesh
from backend.geometric.face import find_face, head_joints
from backend.geometric.rigger import placement_warnings, rig_mesh
from backend.mesh.files import MeshArrays
from backend.rig_checks import Rigged, dense_weights

# glTF's axes (Y up, facing +Z) to Blender's (Z up, facing -Y).
TO_BLENDER = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


@dataclass
class Finished:
    """rig and face in final axes: upright, facing +Z. final = scale * turn @ delivered + offset. corner_uvs: (T, 3, 2)
    of the rig's triangles.
    """

    rig: Rigged
    corner_uvs: np.ndarray
    face: dict
    warnings: list[str]
    turn: np.ndarray
    scale: float
    offset: np.ndarray

    def to_final(self, point: np.ndarray) -> np.ndarray:
        return self.scale * self.turn @ point + self.offset


def finish(mesh: MeshArrays, texture: np.ndarray | None) -> Finished:
    """Raises BackendError as the add-on's steps would end."""
    data = SkinnedMesh(mesh.vertices @ TO_BLENDER.T, mesh.triangles.astype(np.int32), mesh.corner_uvs,
                       np.zeros(len(mesh.triangles), np.int32))  # fmt: skip
    cleaning.clean(data)
    wrong = outside.inside_out(data.vertices, data.triangles)
    for corners in (data.triangles, data.corner_uvs):
        corners[wrong] = corners[wrong][:, ::-1]
    turned, _ = geometry.upright(data.vertices)
    factor, _ = geometry.scale_to_human(float(np.ptp((data.vertices @ turned.T)[:, 2])))
    turn = TO_BLENDER.T @ turned @ TO_BLENDER
    vertices = factor * data.vertices @ TO_BLENDER @ turn.T
    offset = -_middle(vertices)
    at = MeshArrays((vertices + offset).astype(np.float32).astype(float), data.triangles.astype(int), data.corner_uvs)
    result = rig_mesh(at, texture=texture)
    warnings = [w["code"] for w in placement_warnings(result.flags)]
    for points in (result.skeleton.heads, result.skeleton.tails):
        for name, point in points.items():
            points[name] = result.turn @ point
    turn, offset = result.turn @ turn, result.turn @ offset
    at.vertices = at.vertices @ result.turn.T
    moved = -_middle(at.vertices)
    at.vertices, offset = at.vertices + moved, offset + moved
    for points in (result.skeleton.heads, result.skeleton.tails):
        for name in points:
            points[name] = points[name] + moved
    triangles = np.delete(at.triangles, result.cut, axis=0)
    bones = result.skeleton
    heads, tails = (np.array(list(p.values())) for p in (bones.heads, bones.tails))
    weights = dense_weights(result.weight_joint, result.weight, len(bones.names))
    rig = Rigged(at.vertices, triangles, heads, tails, bones.parent_indices(), bones.names, weights)
    head = head_joints(at, {name: point.tolist() for name, point in bones.heads.items() if name in ("neck", "head")})
    face = find_face(at, head, texture)
    if min(face["confidence"].values()) < 0.5:
        warnings.append("face")
    return Finished(rig, np.delete(at.corner_uvs, result.cut, axis=0), face, warnings, turn, factor, offset)


def _middle(vertices: np.ndarray) -> np.ndarray:
    low, high = vertices.min(0), vertices.max(0)
    return np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
