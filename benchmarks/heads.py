# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters without a mouth, each one skin, made in Blender: heads of many shapes on a simple body, and models
remeshed.

Metres, Blender's axes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Vector
from mathutils.bvhtree import BVHTree

Point = tuple[float, float, float]
TEXTURE = 512
SKIN, CLOTH = (0.93, 0.76, 0.63), (0.29, 0.42, 0.62)
NECK = 1.2  # height of the head's lower end


@dataclass(frozen=True)
class Head:
    """Sizes in metres, places from the head's middle. blobs: ellipsoids (middle, radii); cones: (from, to, radii);
    eye: (x, z) of the left one; eye_size: its half width and height; mouth: z, width; cell: of the remesh; triangles:
    what it is reduced to, 0: as remeshed.
    """

    blobs: tuple[tuple[Point, Point], ...]
    eye: tuple[float, float]
    eye_size: tuple[float, float]
    mouth: tuple[float, float]
    cones: tuple[tuple[Point, Point, tuple[float, float]], ...] = ()
    boxes: tuple[tuple[Point, Point], ...] = ()
    skin: tuple[float, float, float] = SKIN
    cell: float = 0.008
    triangles: int = 0


def _both(middle: Point, radii: Point) -> tuple[tuple[Point, Point], tuple[Point, Point]]:
    return (middle, radii), ((-middle[0], *middle[1:]), radii)


HUMAN = (
    ((0, 0.01, 0.02), (0.1, 0.125, 0.135)),
    ((0, -0.035, -0.07), (0.068, 0.075, 0.07)),
    ((0, -0.122, -0.022), (0.018, 0.03, 0.028)),
    ((0, -0.1, 0.045), (0.06, 0.018, 0.014)),
)
HEADS = {
    "doll": Head((((0, 0, 0), (0.2, 0.2, 0.2)),), (0.075, -0.01), (0.032, 0.04), (-0.1, 0.09)),
    "human": Head(HUMAN, (0.036, 0.015), (0.016, 0.009), (-0.075, 0.05), cell=0.005),
    "dense": Head(HUMAN, (0.036, 0.015), (0.016, 0.009), (-0.075, 0.05), cell=0.0022, skin=(0.55, 0.36, 0.25)),
    "low poly": Head(
        (((0, 0, 0), (0.17, 0.17, 0.19)), ((0, -0.17, -0.02), (0.02, 0.03, 0.02))),
        (0.065, 0.02),
        (0.026, 0.03),
        (-0.085, 0.08),
        triangles=900,
    ),
    "snout": Head(
        (((0, 0, 0), (0.17, 0.16, 0.16)), *_both((0.11, 0.02, 0.15), (0.045, 0.03, 0.09))),
        (0.07, 0.035),
        (0.025, 0.03),
        (-0.075, 0.075),
        cones=(((0, -0.08, -0.05), (0, -0.27, -0.07), (0.09, 0.055)),),
        skin=(0.85, 0.5, 0.25),
    ),
    "flat": Head(
        (),
        (0.065, 0.025),
        (0.03, 0.03),
        (-0.085, 0.11),
        boxes=(((0, 0, 0), (0.16, 0.13, 0.16)),),
        skin=(0.7, 0.74, 0.78),
    ),
    "big nose": Head(
        (
            ((0, 0, 0.02), (0.15, 0.15, 0.16)),
            ((0, -0.05, -0.1), (0.09, 0.09, 0.08)),
            *_both((0.17, 0, 0.03), (0.09, 0.02, 0.045)),
        ),
        (0.055, 0.03),
        (0.026, 0.02),
        (-0.115, 0.09),
        cones=(((0, -0.13, 0.0), (0, -0.27, -0.04), (0.035, 0.022)),),
        skin=(0.5, 0.68, 0.35),
    ),
    "wide": Head(
        (((0, 0, 0), (0.27, 0.18, 0.16)), *_both((0.13, -0.08, 0.13), (0.06, 0.06, 0.06))),
        (0.13, 0.13),
        (0.036, 0.036),
        (-0.03, 0.2),
        skin=(0.45, 0.7, 0.4),
    ),
    "cheeks": Head(
        (
            ((0, 0, 0.02), (0.16, 0.15, 0.18)),
            *_both((0.08, -0.1, -0.06), (0.065, 0.06, 0.055)),
            ((0, -0.1, -0.15), (0.05, 0.06, 0.05)),
        ),
        (0.06, 0.05),
        (0.026, 0.026),
        (-0.085, 0.07),
    ),
}


@dataclass
class Mesh:
    """face: the true face dict, empty where nobody knows it; head_height in metres."""

    name: str
    obj: bpy.types.Object
    face: dict[str, Any] = field(default_factory=dict)
    head_height: float = 0.0


def make(name: str) -> Mesh:
    head = HEADS[name]
    low = min([c[2] - r[2] for c, r in (*head.blobs, *head.boxes)])
    high = max([c[2] + r[2] for c, r in (*head.blobs, *head.boxes)])
    middle = Vector((0, 0, NECK - low - 0.02))
    bm = bmesh.new()
    for centre, radii in head.blobs:
        _ball(bm, middle + Vector(centre), radii)
    for centre, radii in head.boxes:
        _box(bm, middle + Vector(centre), radii)
    for start, end, radii in head.cones:
        _limb(bm, middle + Vector(start), middle + Vector(end), radii)
    _body(bm)
    obj = _remeshed(name, bm, head.cell, head.triangles)
    tree = BVHTree.FromObject(obj, bpy.context.evaluated_depsgraph_get())

    def on_face(x: float, z: float) -> np.ndarray:
        hit = tree.ray_cast(Vector((x, -2, middle.z + z)), Vector((0, 1, 0)))[0]
        return np.array(hit)

    x, z = head.eye
    size = {"half_width": head.eye_size[0], "half_height": head.eye_size[1]}
    face = {
        "leftEye": {"center": on_face(x, z), **size},
        "rightEye": {"center": on_face(-x, z), **size},
        "mouth": {"center": on_face(0, head.mouth[0]), "width": head.mouth[1]},
    }
    _paint(obj, head, middle.z, NECK)
    return Mesh(name, obj, face, high - low)


def one_skin(path: Path) -> Mesh:
    """A model, without what its hands hold, as one closed skin in its own colours."""
    before = set(bpy.data.objects)
    bpy.ops.import_scene.gltf(filepath=str(path))
    new = [obj for obj in bpy.data.objects if obj not in before]
    parts = [
        obj for obj in new if obj.type == "MESH" and not obj.parent_bone.startswith("handslot") and obj.visible_get()
    ]
    graph = bpy.context.evaluated_depsgraph_get()
    bm = bmesh.new()
    images = [
        node.image
        for slot in parts[0].material_slots
        for node in slot.material.node_tree.nodes
        if node.type == "TEX_IMAGE"
    ]
    for obj in parts:
        mesh = obj.evaluated_get(graph).to_mesh()
        mesh.transform(obj.matrix_world)
        bm.from_mesh(mesh)
    bmesh.ops.triangulate(bm, faces=bm.faces)
    bm.faces.ensure_lookup_table()
    coloured, layer = BVHTree.FromBMesh(bm), bm.loops.layers.uv.active
    uvs = np.array([[loop[layer].uv[:] for loop in face.loops] for face in bm.faces])
    corners = np.array([[loop.vert.co[:] for loop in face.loops] for face in bm.faces])
    for obj in new:
        bpy.data.objects.remove(obj)
    heights = corners[..., 2]
    obj = _remeshed(path.stem, bm, float(np.ptp(heights)) / 220, 0)
    _colour_by_nearest(obj, coloured, corners, uvs, images[0])
    scale = 1.5 / float(np.ptp(heights))
    obj.data.transform(Matrix.Scale(scale, 4) @ Matrix.Translation((0, 0, -heights.min())))
    return Mesh(path.stem, obj)


def _ball(bm, middle: Vector, radii: Point) -> None:
    bmesh.ops.create_uvsphere(
        bm, u_segments=48, v_segments=32, radius=1, matrix=Matrix.Translation(middle) @ Matrix.Diagonal((*radii, 1))
    )


def _box(bm, middle: Vector, radii: Point) -> None:
    made = bmesh.ops.create_cube(bm, size=2, matrix=Matrix.Translation(middle) @ Matrix.Diagonal((*radii, 1)))
    edges = {edge for vert in made["verts"] for edge in vert.link_edges}
    bmesh.ops.bevel(bm, geom=list(edges), offset=0.3 * min(radii), segments=6, profile=0.5, affect="EDGES")


def _limb(bm, start: Vector, end: Vector, radii: tuple[float, float]) -> None:
    """A cone with rounded ends."""
    way = end - start
    place = Matrix.Translation((start + end) / 2) @ way.to_track_quat("Z", "Y").to_matrix().to_4x4()
    bmesh.ops.create_cone(
        bm, cap_ends=True, segments=32, radius1=radii[0], radius2=radii[1], depth=way.length, matrix=place
    )
    for at, radius in zip((start, end), radii, strict=True):
        _ball(bm, at, (radius,) * 3)


def _body(bm) -> None:
    v = Vector
    _limb(bm, v((0, 0, 0.72)), v((0, 0, 1.05)), (0.11, 0.1))
    _limb(bm, v((0, 0, 1.1)), v((0, 0, NECK + 0.03)), (0.05, 0.05))
    for side in (1, -1):
        _limb(bm, v((side * 0.09, 0, 1.09)), v((side * 0.5, 0, 1.09)), (0.048, 0.038))
        _limb(bm, v((side * 0.5, 0, 1.09)), v((side * 0.6, 0, 1.09)), (0.042, 0.035))
        _limb(bm, v((side * 0.085, 0, 0.7)), v((side * 0.1, 0, 0.06)), (0.075, 0.05))
        _limb(bm, v((side * 0.1, 0.01, 0.045)), v((side * 0.1, -0.11, 0.045)), (0.045, 0.04))


def _remeshed(name: str, bm, cell: float, triangles: int) -> bpy.types.Object:
    """One closed, evened skin around everything in `bm`, which is freed."""
    mesh = bpy.data.meshes.new(name)
    bm.to_mesh(mesh)
    bm.free()
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(obj)
    remesh = obj.modifiers.new("remesh", "REMESH")
    remesh.mode, remesh.voxel_size = "VOXEL", cell
    smooth = obj.modifiers.new("smooth", "SMOOTH")
    smooth.factor, smooth.iterations = 0.5, 4
    if triangles:
        count = sum(len(p.vertices) - 2 for p in obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.polygons)
        decimate = obj.modifiers.new("decimate", "DECIMATE")
        decimate.ratio = triangles / count
    done = bpy.data.meshes.new_from_object(obj.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    obj.modifiers.clear()
    obj.data = done
    bpy.data.meshes.remove(mesh)
    done.name = name
    return obj


def _material(obj: bpy.types.Object, image: bpy.types.Image) -> None:
    material = bpy.data.materials.new(obj.name)
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.9
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    obj.data.materials.clear()
    obj.data.materials.append(material)


def _paint(obj: bpy.types.Object, head: Head, middle: float, neck: float) -> None:
    """The eyes and brows painted from the front onto the head, nothing where the mouth will be; plain skin and cloth
    elsewhere.
    """
    span = 0.8  # metres that the texture's upper half shows, around the head's middle
    axis = (np.arange(TEXTURE) + 0.5) / TEXTURE
    x, z = np.meshgrid((axis - 0.5) * span, (axis - 0.75) * span)
    pixels = np.ones((TEXTURE, TEXTURE, 4), np.float32)
    pixels[..., :3] = head.skin
    pixels[z < neck - 0.01 - middle, :3] = CLOTH
    for side in (1, -1):
        a, b = (x - side * head.eye[0]) / head.eye_size[0], (z - head.eye[1]) / head.eye_size[1]
        for size, colour in ((1.15, (0.1, 0.08, 0.08)), (1.0, (0.97, 0.97, 0.97))):
            pixels[a**2 + b**2 < size**2, :3] = colour
        round_ = np.hypot(a * head.eye_size[0], b * head.eye_size[1]) / min(head.eye_size)
        pixels[round_ < 0.72, :3] = (0.15, 0.4, 0.6)
        pixels[round_ < 0.38, :3] = (0.03, 0.03, 0.03)
        brow = (np.abs(b - 1.75 + 0.25 * a**2) < 0.16) & (np.abs(a) < 1)
        pixels[brow, :3] = np.array(head.skin) * 0.45
    image = bpy.data.images.new(obj.name, TEXTURE, TEXTURE)
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    image.pack()
    mesh = obj.data
    uv = (mesh.uv_layers.active or mesh.uv_layers.new(name="UVMap")).uv
    at = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", at)
    at = at.reshape(-1, 3)
    corner = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corner)
    place = np.stack([at[:, 0] / span + 0.5, (at[:, 2] - middle) / span + 0.75], 1)[corner]
    for polygon in mesh.polygons:
        loops = slice(polygon.loop_start, polygon.loop_start + polygon.loop_total)
        if polygon.normal.y > -0.05:
            place[loops, 0] = 0.02  # the back is plain
    place = np.clip(place, 0.01, 0.99)
    uv.foreach_set("vector", np.ascontiguousarray(place, np.float32).ravel())
    _material(obj, image)


def _colour_by_nearest(
    obj: bpy.types.Object, tree: BVHTree, corners: np.ndarray, uvs: np.ndarray, image: bpy.types.Image
) -> None:
    """Each face takes its place on the texture from the nearest triangle of what was remeshed."""
    mesh = obj.data
    layer = mesh.uv_layers.active or mesh.uv_layers.new(name="UVMap")
    place = np.empty((len(mesh.loops), 2), np.float32)
    for polygon in mesh.polygons:
        at, _, face, _ = tree.find_nearest(polygon.center)
        a, b, c = corners[face]
        share = np.linalg.lstsq(np.stack([b - a, c - a], 1), np.array(at) - a, rcond=None)[0]
        p, q, r = uvs[face]
        place[polygon.loop_start : polygon.loop_start + polygon.loop_total] = (
            p + share[0] * (q - p) + share[1] * (r - p)
        )
    layer.uv.foreach_set("vector", place.ravel())
    _material(obj, image)
