# SPDX-License-Identifier: GPL-3.0-or-later
"""Points on a surface, drawn in the order of UniRig and SkinTokens from NumPy's legacy generator
(shared/reference/unirig.md 4, skintokens.md 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import BackendError
from .cube import REPAIR, Prepared


@dataclass(frozen=True)
class Samples:
    """points, normals (N, 3) float32: first the sampled vertices, then points on faces.

    vertex_index (k,): which vertices; corner_index (N - k, 3) and barycentric (N - k, 3): where the others lie.
    """

    points: np.ndarray
    normals: np.ndarray
    vertex_index: np.ndarray
    corner_index: np.ndarray
    barycentric: np.ndarray

    def interpolate(self, attribute: np.ndarray) -> np.ndarray:
        """Values (V, C) at the mesh's vertices to values (N, C) at the samples."""
        return _interpolate(attribute, self.vertex_index, self.corner_index, self.barycentric)


def normaliser_draws(rng: np.random.RandomState) -> None:
    """The two draws of the originals' normaliser. They have no effect there but move its generator on."""
    rng.rand()
    rng.rand()


def sample(mesh: Prepared, total: int, vertex_samples: int, rng: np.random.RandomState) -> Samples:
    """`total` samples of a mesh, of which min(vertex_samples, V) are vertices.

    Faces are drawn by their squared area, as the networks were trained. Raises BackendError("bad_mesh") when every
    face is degenerate.
    """
    vertex_index = rng.permutation(len(mesh.vertices))[: min(vertex_samples, total)]
    rest = total - len(vertex_index)
    rng.permutation(rest)
    corner_index, barycentric, face = _on_faces(mesh, rest, rng, squared=True)
    points = _interpolate(mesh.vertices, vertex_index, corner_index, barycentric)
    normals = np.concatenate([mesh.vertex_normals[vertex_index], mesh.face_normals[face]])
    return Samples(points.astype(np.float32), normals.astype(np.float32), vertex_index, corner_index, barycentric)


def sample_surface(mesh: Prepared, total: int, rng: np.random.RandomState) -> Samples:
    """`total` samples on the faces, drawn by their area. Raises BackendError("bad_mesh") as `sample` does."""
    rng.permutation(len(mesh.vertices))  # the original draws vertices and then uses none
    corner_index, barycentric, face = _on_faces(mesh, total, rng, squared=False)
    none = np.zeros(0, np.int64)
    points = _interpolate(mesh.vertices, none, corner_index, barycentric)
    return Samples(
        points.astype(np.float32), mesh.face_normals[face].astype(np.float32), none, corner_index, barycentric
    )


def _on_faces(
    mesh: Prepared, count: int, rng: np.random.RandomState, squared: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (count, 3), barycentric coordinates (count, 3) and faces (count,) drawn by area or by squared area."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    area = (np.cross(b - a, c - a) ** 2).sum(1)
    weight = np.cumsum(area if squared else np.sqrt(area))
    if not len(weight) or not weight[-1] > 0:
        raise BackendError("bad_mesh", "No face of the mesh has an area, so there is no surface to rig.", REPAIR)
    face = np.searchsorted(weight, rng.rand(count) * weight[-1])
    along = rng.rand(count, 2, 1)
    outside = along.sum(1, keepdims=True) > 1
    along = np.where(outside, np.abs(along - 1), along)[..., 0]
    return mesh.faces[face], np.column_stack([1 - along.sum(1), along]), face


def _interpolate(
    values: np.ndarray, vertex_index: np.ndarray, corner_index: np.ndarray, barycentric: np.ndarray
) -> np.ndarray:
    a, b, c = (values[corner_index[:, corner]] for corner in range(3))
    inside = a + barycentric[:, 1:2] * (b - a) + barycentric[:, 2:] * (c - a)
    return np.concatenate([values[vertex_index], inside])
