# SPDX-License-Identifier: GPL-3.0-or-later
"""From TRELLIS' dense surface and gaussians to a mesh that other programs want: light, textured, upright, in metres."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np

from ..engines import Progress
from ..errors import BackendError
from ..geometric.landmarks import find_joints, turn
from ..mesh.axes import to_gltf
from ..mesh.bake import GaussianCloud, bake
from ..mesh.clean import clean
from ..mesh.glb import vertex_normals
from ..mesh.simplify import simplify
from ..mesh.unwrap import unwrap

# Something lying or spread out is measured by this part of its length instead of its height (a T-pose is as wide as
# it is high).
LENGTH = 0.5


@dataclass
class Finished:
    """vertices, normals (V, 3) glTF axes, metres; triangles (T, 3); corner_uvs (T, 3, 2); texture (S, S, 3) uint8."""

    vertices: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray
    corner_uvs: np.ndarray
    texture: np.ndarray


def finish(
    vertices: np.ndarray,
    triangles: np.ndarray,
    cloud: GaussianCloud,
    faces: int,
    texture_size: int,
    height: float,
    progress: Progress,
) -> Finished:
    """vertices (V, 3), triangles (T, 3), cloud: TRELLIS' axes (Z up, facing -Y, unit cube), normals outwards.

    Raises BackendError("empty_structure") when nothing is left after cleaning, and what `progress` raises to cancel.
    """
    progress("clean", 0.0, "Cleaning the surface")
    vertices, triangles = clean(vertices, triangles)
    if not len(triangles):
        message = "The surface that TRELLIS made has no usable part."
        raise BackendError("empty_structure", message, "Try another seed or a clearer picture.")
    progress("simplify", 0.1, f"Simplifying {len(triangles)} faces to {faces}")
    vertices, triangles = simplify(vertices, triangles, faces)
    normals = vertex_normals(vertices, triangles)
    progress("unwrap", 0.15, "Unwrapping the UVs")
    uvs = unwrap(vertices, triangles, texture_size)

    def on_share(done: float) -> None:
        progress("bake", 0.4 + 0.45 * done, "Painting the surface")

    texture = bake(vertices, triangles, normals, uvs, cloud, texture_size, on_share)
    progress("place", 0.85, "Placing it on the ground")
    vertices, yaw = place(to_gltf(vertices), triangles, height)
    return Finished(vertices, triangles, turn(to_gltf(normals), yaw), uvs, texture)


def place(vertices: np.ndarray, triangles: np.ndarray, height: float) -> tuple[np.ndarray, int]:
    """(V, 3) Y up -> feet at y = 0, `height` metres, in the middle, facing +Z; and the degrees it was turned
    about +Y.
    """
    size = np.ptp(vertices, axis=0)
    vertices = vertices * (height / max(float(size[1]), LENGTH * float(size.max()), 1e-9))
    yaw, hips = 0, None
    with contextlib.suppress(BackendError):  # a crate has no hips
        found = find_joints(vertices, triangles)
        yaw, hips = found.yaw, turn(found.joints["hips"], found.yaw)
    vertices = turn(vertices, yaw)
    low, high = vertices.min(0), vertices.max(0)
    middle = (low + high) / 2 if hips is None else hips  # what a character holds in one hand must not push it aside
    return vertices - [middle[0], low[1], middle[2]], yaw
