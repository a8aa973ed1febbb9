# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as the networks want it: in the cube together with the joints, and points on its surface
(shared/reference/skintokens.md 3). Vertices are neither merged nor decimated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from ..errors import BackendError
from ..nn.cube import REPAIR, Prepared
from ..nn.surface_samples import Samples, normaliser_draws, sample_surface

SURFACE_SAMPLES = 54_000


@dataclass(frozen=True)
class Cube:
    """The map into the cube: p' = p * factor + shift. Both are rounded to fp32 as in the original, which decides the
    bin of a coordinate on a bin's edge; points are computed in fp64.
    """

    factor: float
    shift: np.ndarray

    @classmethod
    def around(cls, *points: np.ndarray) -> Cube:
        """The map that centres all given points (each (n, 3)) and makes their longest axis span [-1, 1]."""
        every = np.concatenate([np.asarray(p, np.float64).reshape(-1, 3) for p in points])
        low, high = every.min(0), every.max(0)
        half = float((high - low).max() / 2)
        factor = np.float32(1 / (half if half > 0 else 1.0))
        centre = (low + high) / 2
        return cls(float(factor), (factor * (-centre).astype(np.float32)).astype(np.float64))

    def apply(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(points, np.float64) * self.factor + self.shift

    def invert(self, points: np.ndarray) -> np.ndarray:
        return (np.asarray(points, np.float64) - self.shift) / self.factor


def prepared(vertices: np.ndarray, faces: np.ndarray) -> Prepared:
    """Vertices (V, 3) in the cube and faces (F, 3) with normals, all fp64. Raises BackendError("bad_mesh")."""
    if not len(faces):
        raise BackendError("bad_mesh", "The mesh has no faces, so there is no surface to rig.", REPAIR)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    return Prepared(mesh.vertices, mesh.faces, mesh.vertex_normals, mesh.face_normals)


def sampled(mesh: Prepared, total: int, rng: np.random.RandomState) -> Samples:
    """`total` points on the surface, in the order of the original's draws."""
    normaliser_draws(rng)
    return sample_surface(mesh, total, rng)
