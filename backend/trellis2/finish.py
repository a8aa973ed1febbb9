# SPDX-License-Identifier: GPL-3.0-or-later
"""From TRELLIS.2's raw mesh to one that other programs want: its outer shell, light, textured, upright, in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..engines import Progress
from ..errors import BackendError
from ..geometric.landmarks import turn
from ..mesh.axes import to_gltf
from ..mesh.clean import compact, crumbs, fill_holes
from ..mesh.glb import vertex_normals
from ..mesh.shell import outer_shell
from ..mesh.simplify import simplify
from ..mesh.unwrap import unwrap
from ..trellis.finish import place
from .bake import Images, Lookup, bake_attributes, to_images


@dataclass
class Finished:
    """vertices, normals (V, 3) glTF axes, metres; triangles (T, 3); corner_uvs (T, 3, 2); the images; yaw: degrees by
    which the character was turned about +Y to face +Z; shell_faces: triangles of the outer shell before simplifying.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray
    corner_uvs: np.ndarray
    images: Images
    yaw: int
    shell_faces: int


def finish(
    vertices: np.ndarray,
    triangles: np.ndarray,
    lookup: Lookup,
    faces: int,
    texture_size: int,
    height: float,
    progress: Progress,
) -> Finished:
    """vertices (V, 3), triangles (T, 3): the raw mesh in world axes (Z up, facing -Y, unit cube), wound at random.

    Raises BackendError("empty_structure") when nothing is left after cleaning, and what `progress` raises to cancel.
    """
    progress("clean", 0.0, "Keeping the outer surface")
    dense = surface(vertices, triangles)
    if not len(dense[1]):
        message = "The surface that TRELLIS.2 made has no usable part."
        raise BackendError("empty_structure", message, "Try another seed or a clearer picture.")
    progress("simplify", 0.2, f"Simplifying {len(dense[1])} faces to {faces}")
    vertices, triangles = simplify(*dense, faces)
    progress("unwrap", 0.3, "Unwrapping the UVs")
    uvs = unwrap(vertices, triangles, texture_size)

    def on_share(done: float) -> None:
        progress("bake", 0.45 + 0.4 * done, "Painting the surface")

    baked = bake_attributes(vertices, triangles, uvs, dense, lookup, texture_size, on_share)
    progress("place", 0.85, "Placing it on the ground")
    normals = vertex_normals(vertices, triangles)
    placed, yaw = place(to_gltf(vertices), triangles, height)
    return Finished(placed, triangles, turn(to_gltf(normals), yaw), uvs, to_images(baked), yaw, len(dense[1]))


def surface(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The raw mesh's outer surface, wound outwards, without crumbs, its holes closed."""
    vertices, triangles = compact(np.asarray(vertices, np.float64), np.asarray(triangles, np.int64))
    if not len(triangles):
        return vertices, triangles
    vertices, triangles = outer_shell(vertices, triangles)
    if len(triangles):
        triangles = triangles[~crumbs(vertices, triangles)]
    return compact(*fill_holes(vertices, triangles))
