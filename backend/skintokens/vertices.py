# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the network is asked for weights, and the weights of the vertices given (shared/reference/skintokens.md 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..nn.cube import Prepared
from ..nn.surface_samples import Samples
from ..nn.vertex_weights import strongest, welded
from .transfer import Mix, nearest

FAINTEST = 1e-6  # a vertex whose weights sum to less belongs to its nearest joint


@dataclass(frozen=True)
class Targets:
    """points, normals (n, 3) float32 that are asked for; mix: from them to places; place (V,): of each vertex."""

    points: np.ndarray
    normals: np.ndarray
    mix: Mix | None
    place: np.ndarray

    @property
    def count(self) -> int:
        return len(self.points)

    @classmethod
    def choose(cls, mesh: Prepared, samples: Samples, points: str, device: str) -> Targets:
        """points: "surface" asks at those samples that any vertex takes from, as the original; "vertices" at the
        vertices themselves, which costs less where they are fewer and smooths nothing across gaps. "auto": vertices
        where they are fewer and the device is a processor.
        """
        at, place = welded(mesh.vertices.astype(np.float32))
        mix = nearest(samples.points, at)
        needed = mix.needed()
        if points == "vertices" or (points == "auto" and device == "cpu" and len(at) < len(needed)):
            return cls(at, _normals(mesh, place, len(at)), None, place)
        mix = Mix(np.searchsorted(needed, mix.points), mix.share)
        return cls(samples.points[needed], samples.normals[needed], mix, place)

    def to_vertices(self, weights: np.ndarray) -> np.ndarray:
        """Weights (n, J) of the points to weights (V, J) of the vertices, not normalised."""
        weights = np.nan_to_num(weights, nan=0.0)
        return (weights if self.mix is None else self.mix.apply(weights))[self.place]


def _normals(mesh: Prepared, place: np.ndarray, count: int) -> np.ndarray:
    """(count, 3) float32 normals of places: the mean of their faces by area. Where the faces of both sides of a sheet
    cancel out, the largest face's.
    """
    corners = mesh.vertices[mesh.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    total, largest = np.zeros((count, 3)), np.zeros((count, 3))
    order = np.argsort(area, kind="stable")
    for corner in range(3):
        np.add.at(total, place[mesh.faces[:, corner]], mesh.face_normals * area[:, None])
        largest[place[mesh.faces[order, corner]]] = mesh.face_normals[order]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    weight = np.zeros(count)
    np.add.at(weight, place[mesh.faces].reshape(-1), np.repeat(area, 3))
    clear = length[:, 0] > 0.05 * weight
    return np.where(clear[:, None], total / np.maximum(length, 1e-12), largest).astype(np.float32)


def rig_weights(weights: np.ndarray, vertices: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (V, J) to joints and weights (V, 4), strongest first, rows sum to 1; a vertex without any weight takes
    the nearest joint's.
    """
    joint, weight = strongest(weights)
    lost = np.flatnonzero(weights.sum(1) < FAINTEST)
    if len(lost):
        joint[lost], weight[lost] = 0, 0
        joint[lost, 0], weight[lost, 0] = cKDTree(joints).query(vertices[lost])[1], 1
    return joint, weight
