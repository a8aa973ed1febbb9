# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as the networks want it: welded, at most 50 000 triangles, in the cube [-1, 1]^3
(shared/reference/unirig.md 3).

UniRig axes: z up, the character faces -y, its left is +x.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import fast_simplification
import numpy as np
import trimesh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..errors import BackendError

log = logging.getLogger(__name__)

MAX_FACES = 50_000
BOUNDS_TOLERANCE = 0.01  # of the longest edge
WELD_CELLS = 300
REPAIR = "Delete loose points, merge by distance or re-import the mesh, then try again."


@dataclass(frozen=True)
class Prepared:
    """vertices (V, 3), vertex_normals (V, 3), face_normals (F, 3) float32; faces (F, 3) int64. Zero-area faces have a
    zero normal.
    """

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
    """Welds vertices at the same place, drops points without a face, and decimates (quadric) what has more than
    `max_faces` faces.

    vertices (n, 3) and faces (m, 3) in UniRig axes. Raises BackendError("bad_mesh") when no surface is left.
    """
    mesh = trimesh.Trimesh(vertices, faces, process=True)
    if len(mesh.faces) > max_faces:
        mesh = _decimated(mesh, max_faces)
    if not len(mesh.faces):
        raise BackendError("bad_mesh", "The mesh has no faces, so there is no surface to rig.", REPAIR)
    return Prepared(
        np.asarray(mesh.vertices, np.float32),
        np.asarray(mesh.faces, np.int64),
        np.asarray(mesh.vertex_normals, np.float32),
        np.asarray(mesh.face_normals, np.float32),
    )


def _decimated(mesh: trimesh.Trimesh, max_faces: int) -> trimesh.Trimesh:
    """At most about `max_faces` faces of the same shape, as the original does it: by quadric error.

    That can tear meshes with very many slivers apart, which shows in their bounds. Such a mesh is first welded on a
    fine grid. Small islands may disappear altogether, as in the original.
    """
    simple = _collapsed(mesh.vertices, mesh.faces, max_faces)
    if _torn(mesh, simple, max_faces):
        log.warning("decimation tore the mesh apart; it is welded on a grid of %d cells a side first", WELD_CELLS)
        simple = _collapsed(*_welded(mesh.vertices, mesh.faces), max_faces)
    return simple


def _collapsed(vertices: np.ndarray, faces: np.ndarray, max_faces: int) -> trimesh.Trimesh:
    # Single precision, as the original does: in double the same library collapses other edges.
    points, triangles, *_ = fast_simplification.simplify(vertices.astype(np.float32), faces, target_count=max_faces)
    return trimesh.Trimesh(points, triangles, process=True)


def _torn(mesh: trimesh.Trimesh, simple: trimesh.Trimesh, max_faces: int) -> bool:
    """Whether what is left of the mesh lies elsewhere than the islands it is left of.

    Bounds may move by a share of the longest edge, and by the length of a face's edge where few faces are left.
    """
    if not len(simple.faces):
        return True
    links = mesh.edges_unique
    _, island = connected_components(
        coo_matrix((np.ones(len(links)), links.T), shape=(len(mesh.vertices),) * 2), directed=False
    )
    kept = np.unique(island[cKDTree(mesh.vertices).query(simple.vertices)[1]])
    before = mesh.vertices[np.isin(island, kept)]
    moved = np.abs(np.array([before.min(0), before.max(0)]) - simple.bounds).max()
    edge = np.sqrt(2 * mesh.area / max_faces)
    return bool(moved > max(BOUNDS_TOLERANCE * np.ptp(before, axis=0).max(), edge))


def _welded(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of one grid cell become their mean; faces that then have no area, or are there twice, go."""
    low, size = vertices.min(0), np.ptp(vertices, axis=0).max() / WELD_CELLS
    cell = np.ravel_multi_index(np.floor((vertices - low) / size).astype(np.int64).T, (WELD_CELLS + 1,) * 3)
    _, place, count = np.unique(cell, return_inverse=True, return_counts=True)
    points = np.column_stack([np.bincount(place, vertices[:, axis]) / count for axis in range(3)])
    triangles = np.sort(place[faces], axis=1)
    _, first = np.unique(triangles, axis=0, return_index=True)
    kept = np.sort(first[(triangles[first, 0] < triangles[first, 1]) & (triangles[first, 1] < triangles[first, 2])])
    return points, place[faces][kept]
