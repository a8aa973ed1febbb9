# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as the networks want it: welded, at most 50 000 triangles, in the cube [-1, 1]^3 (specification, section 3).

UniRig axes: z up, the character faces -y, its left is +x.
"""

from __future__ import annotations

from dataclasses import dataclass

import fast_simplification
import numpy as np
import trimesh

from ..errors import BackendError

MAX_FACES = 50_000
REPAIR = "Delete loose points, merge by distance or re-import the mesh, then try again."


@dataclass(frozen=True)
class Prepared:
    """vertices (V, 3), vertex_normals (V, 3), face_normals (F, 3) float32; faces (F, 3) int64. Zero-area faces have a zero normal."""

    vertices: np.ndarray
    faces: np.ndarray
    vertex_normals: np.ndarray
    face_normals: np.ndarray


@dataclass(frozen=True)
class Affine:
    """The uniform map into the cube: p' = (p - centre) / scale. centre (3,), in the coordinates that came in."""

    centre: np.ndarray
    scale: float

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3) into the cube, float64."""
        return (np.asarray(points, np.float64) - self.centre) / self.scale

    def invert(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3) of the cube back to where they came from, float64."""
        return np.asarray(points, np.float64) * self.scale + self.centre


def normalisation(*points: np.ndarray) -> Affine:
    """The map that centres all given points (each (n, 3)) and makes their longest axis span [-1, 1].

    Points that all coincide keep their size. The skeleton stage gives the vertices, the skin stage vertices and joints.
    """
    every = np.concatenate([np.asarray(p, np.float64) for p in points])
    low, high = every.min(0), every.max(0)
    scale = float((high - low).max() / 2)
    return Affine((low + high) / 2, scale if scale > 0 else 1.0)


def from_gltf(points: np.ndarray) -> np.ndarray:
    """glTF axes (y up, facing +z) to UniRig axes."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)


def to_gltf(points: np.ndarray) -> np.ndarray:
    """UniRig axes to glTF axes."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def prepare(vertices: np.ndarray, faces: np.ndarray, max_faces: int = MAX_FACES) -> Prepared:
    """Welds vertices at the same place, drops points without a face, and decimates (quadric) what has more than `max_faces` faces.

    vertices (n, 3) and faces (m, 3) in UniRig axes. Raises BackendError("bad_mesh") when no surface is left.
    """
    mesh = trimesh.Trimesh(vertices, faces, process=True)
    if len(mesh.faces) > max_faces:
        # Single precision, as the original does: in double the same library collapses other edges.
        points, triangles, *_ = fast_simplification.simplify(mesh.vertices.astype(np.float32), mesh.faces, target_count=max_faces)
        mesh = trimesh.Trimesh(points, triangles, process=True)
    if not len(mesh.faces):
        raise BackendError("bad_mesh", "The mesh has no faces, so there is no surface to rig.", REPAIR)
    return Prepared(
        np.asarray(mesh.vertices, np.float32),
        np.asarray(mesh.faces, np.int64),
        np.asarray(mesh.vertex_normals, np.float32),
        np.asarray(mesh.face_normals, np.float32),
    )
