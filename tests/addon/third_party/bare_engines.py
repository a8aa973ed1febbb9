"""Generators that hand over a character exactly as TRELLIS' and TRELLIS.2's second halves do, and know no more of it:
no joints, no face.
"""

import numpy as np
import trimesh

from backend.engines import GeneratedMesh
from backend.mesh.axes import to_gltf
from backend.mesh.bake import GaussianCloud
from backend.mesh.glb import write_glb
from backend.trellis.finish import finish
from backend.trellis2.finish import finish as finish_raw
from benchmarks.figures import Figure, make, true_joints

LOOK = Figure(arm=40, head=0.24, legs=0.32, leg_radius=0.07)
SKIN, HAIR, SHIRT, TROUSERS, WHITE, DARK, LIPS = np.array(
    [
        [0.95, 0.78, 0.66],
        [0.28, 0.16, 0.1],
        [0.2, 0.45, 0.75],
        [0.25, 0.25, 0.3],
        [1, 1, 1],
        [0.1, 0.07, 0.06],
        [0.72, 0.2, 0.22],
    ]
)


def colours(points):
    """(n, 3) of points on the figure, glTF axes: a face with eyes and a mouth, hair, a shirt, trousers."""
    joints = true_joints(LOOK)
    neck, top, hips = joints["head"][1], joints["headTop"][1], joints["hips"][1]
    middle, radius = (neck + top) / 2, (top - neck) / 2
    x, y, front = points[:, 0], points[:, 1], points[:, 2] > 0
    out = np.where((y > hips)[:, None], SHIRT, TROUSERS)
    hand = np.abs(x) > np.abs(joints["leftHand"][0])
    out[hand | (y > neck - 0.02)] = SKIN
    out[(y > middle + 0.45 * radius) | ((y > neck + 0.3 * radius) & (points[:, 2] < 0))] = HAIR
    for side in (-1, 1):
        dx, dy = x - side * 0.36 * radius, y - middle
        out[front & ((dx / 0.17) ** 2 + (dy / 0.2) ** 2 < radius**2)] = WHITE
        out[front & (dx**2 + dy**2 < (0.12 * radius) ** 2)] = DARK
    out[front & ((x / 0.26) ** 2 + ((y - middle + 0.5 * radius) / 0.07) ** 2 < radius**2)] = LIPS
    return out


class BareGenerator:
    name = "bare"
    label = "Bare (a mesh, nothing else)"

    def generate(self, request, progress):
        progress("sample", 0.1, "Sampling")
        figure = make(LOOK, 0.02)
        vertices = figure.vertices / LOOK.height - [0, 0.5, 0]  # TRELLIS' cube
        surface = trimesh.Trimesh(vertices, figure.triangles, process=False)
        if surface.volume < 0:
            surface.invert()
        points, _ = trimesh.sample.sample_surface(surface, 40_000, seed=request.seed)
        painted = colours((points + [0, 0.5, 0]) * LOOK.height)
        rotation = np.tile([1.0, 0, 0, 0], (len(points), 1))
        cloud = GaussianCloud(
            to_trellis(points), np.full((len(points), 3), 0.004), rotation, np.ones(len(points)), painted
        )
        made = finish(to_trellis(vertices), np.asarray(surface.faces), cloud, 6000, 512, 1.6, progress)
        path = write_glb(
            request.out_dir / "mesh.glb", made.vertices, made.triangles, made.normals, made.corner_uvs, made.texture
        )
        return GeneratedMesh(path, self.label)


class Bare2Generator:
    """The same as TRELLIS.2's second half hands it over: wound at random, another body inside."""

    name = "bare2"
    label = "Bare (a raw mesh, nothing else)"

    def generate(self, request, progress):
        progress("sample", 0.1, "Sampling")
        figure = make(LOOK, 0.02)
        vertices = figure.vertices / LOOK.height - [0, 0.5, 0]
        inner = trimesh.creation.icosphere(2, 0.03)  # in the trunk
        triangles = np.concatenate([figure.triangles, inner.faces + len(vertices)])
        vertices = np.concatenate([vertices, inner.vertices])
        turned = np.random.default_rng(0).random(len(triangles)) < 0.5
        triangles = np.where(turned[:, None], triangles[:, ::-1], triangles)

        def lookup(points):
            painted = colours((to_gltf(points) + [0, 0.5, 0]) * LOOK.height)
            return np.column_stack([painted, np.tile([0.0, 0.8, 1.0], (len(points), 1))])

        made = finish_raw(to_trellis(vertices), triangles, lookup, 6000, 512, 1.6, progress)
        images, path = made.images, request.out_dir / "mesh.glb"
        painted = (images.base_rgba, images.metallic_roughness, images.normal)
        write_glb(path, made.vertices, made.triangles, made.normals, made.corner_uvs, *painted)
        return GeneratedMesh(path, self.label)


def to_trellis(points):
    """Y up to Z up: the inverse of backend.mesh.axes.to_gltf."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], -1)
