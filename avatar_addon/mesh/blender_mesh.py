# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender mesh objects <-> SkinnedMesh, in whole arrays."""

from __future__ import annotations

import bmesh
import bpy
import numpy as np

from .arrays import SkinnedMesh

LEAST_WEIGHT = 1e-4


def read_mesh(obj: bpy.types.Object, shape_keys: bool = False) -> SkinnedMesh:
    """The object's mesh, triangulated, in world space; quads are split as Blender shows them."""
    mesh = obj.data
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    loops = _column(mesh.loop_triangles, "loops", np.int32, count * 3).reshape(-1, 3)
    uvs = np.zeros((len(mesh.loops), 2), np.float32)
    if mesh.uv_layers.active:
        mesh.uv_layers.active.uv.foreach_get("vector", uvs.ravel())
    data = SkinnedMesh(
        vertices=_coordinates(mesh.vertices, obj),
        triangles=_column(mesh.loop_triangles, "vertices", np.int32, count * 3).reshape(-1, 3),
        corner_uvs=uvs[loops],
        material_index=_column(mesh.loop_triangles, "material_index", np.int32, count),
        materials=[slot.material.name if slot.material else "" for slot in obj.material_slots],
        groups=[group.name for group in obj.vertex_groups],
    )
    data.corner_layers = {name: values[loops] for name, values in _read_layers(mesh).items()}
    if data.groups:
        data.weights = read_weights(mesh, len(data.groups))
    if shape_keys and mesh.shape_keys:
        basis = _coordinates(mesh.shape_keys.reference_key.data, obj)
        keys = [key for key in mesh.shape_keys.key_blocks if key != mesh.shape_keys.reference_key]
        data.shape_keys = {key.name: (_coordinates(key.data, obj) - basis).astype(np.float32) for key in keys}
    return data


def join(parts: list[SkinnedMesh]) -> SkinnedMesh:
    """Unrigged meshes as one; equal materials share a slot."""
    materials = list(dict.fromkeys(name for part in parts for name in part.materials))
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    slots = [np.array([materials.index(name) for name in part.materials] or [0], np.int32) for part in parts]
    return SkinnedMesh(
        vertices=np.concatenate([part.vertices for part in parts]),
        triangles=np.concatenate([part.triangles + offset for part, offset in zip(parts, offsets, strict=True)]).astype(
            np.int32
        ),
        corner_uvs=np.concatenate([part.corner_uvs for part in parts]),
        material_index=np.concatenate([slot[part.material_index] for slot, part in zip(slots, parts, strict=True)]),
        materials=materials,
        corner_layers=_joined_layers(parts),
    )


def blank(size: int) -> float:
    """What a corner has in a layer that its mesh lacks: no place on a texture, but white among vertex colours."""
    return 1.0 if size == 4 else 0.0


def _joined_layers(parts: list[SkinnedMesh]) -> dict[str, np.ndarray]:
    sizes = {name: values.shape[2] for part in parts for name, values in part.corner_layers.items()}
    return {
        name: np.concatenate(
            [
                part.corner_layers.get(name, np.full((len(part.triangles), 3, size), blank(size), np.float32))
                for part in parts
            ]
        )
        for name, size in sizes.items()
    }


def _read_layers(mesh: bpy.types.Mesh) -> dict[str, np.ndarray]:
    """Per loop: (L, 2) of each UV map but the active one, (L, 4) of each vertex colour."""
    found = {}
    for layer in mesh.uv_layers:
        if layer != mesh.uv_layers.active:
            found[layer.name] = _column(layer.uv, "vector", np.float32, len(mesh.loops) * 2).reshape(-1, 2)
    return found | {colours.name: _at_corners(mesh, colours) for colours in mesh.color_attributes}


def corner_colours(mesh: bpy.types.Mesh, name: str) -> np.ndarray | None:
    """(L, 4) of each corner, whatever the attribute is stored for; None where there is none of this name."""
    colours = mesh.color_attributes.get(name)
    return None if colours is None else _at_corners(mesh, colours)


def _at_corners(mesh: bpy.types.Mesh, colours: bpy.types.Attribute) -> np.ndarray:
    values = _column(colours.data, "color", np.float32, len(colours.data) * 4).reshape(-1, 4)
    if colours.domain == "POINT":
        return values[_column(mesh.loops, "vertex_index", np.int32, len(mesh.loops))]
    return values


def make_mesh(name: str, data: SkinnedMesh) -> bpy.types.Mesh:
    """A new, smooth mesh datablock with UVs, materials (found by name) and weights, whose groups have to be on the
    object.
    """
    mesh = bpy.data.meshes.new(name)
    count = len(data.triangles)
    mesh.vertices.add(len(data.vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(data.vertices, np.float32).ravel())
    mesh.loops.add(count * 3)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(data.triangles, np.int32).ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, count * 3, 3, dtype=np.int32))
    mesh.polygons.foreach_set("material_index", np.ascontiguousarray(data.material_index, np.int32))
    mesh.uv_layers.new(name="UVMap").uv.foreach_set("vector", np.ascontiguousarray(data.corner_uvs, np.float32).ravel())
    for layer, values in data.corner_layers.items():
        flat = np.ascontiguousarray(values, np.float32).ravel()
        if values.shape[2] == 2:
            mesh.uv_layers.new(name=layer).uv.foreach_set("vector", flat)
        else:
            mesh.color_attributes.new(layer, "FLOAT_COLOR", "CORNER").data.foreach_set("color", flat)
    for material in data.materials:
        mesh.materials.append(bpy.data.materials.get(material))
    mesh.update(calc_edges=True)
    mesh.shade_smooth()
    if data.weights is not None:
        _write_weights(mesh, data.weights)
    return mesh


def set_mesh(obj: bpy.types.Object, data: SkinnedMesh) -> None:
    """Replaces the object's mesh, vertex groups and shape keys; the old mesh is removed if nobody else uses it."""
    old = obj.data
    name = old.name
    mesh = make_mesh(name, data)
    obj.vertex_groups.clear()  # clears the weights of the mesh it has, so before the new one
    obj.data = mesh
    for group in data.groups:
        obj.vertex_groups.new(name=group)
    obj.matrix_world.identity()
    if old.users == 0:
        bpy.data.meshes.remove(old)
        mesh.name = name
    if data.shape_keys:
        _write_shape_keys(obj, data)


def _write_shape_keys(obj: bpy.types.Object, data: SkinnedMesh) -> None:
    obj.shape_key_add(name="Basis", from_mix=False)
    base = np.ascontiguousarray(data.vertices, np.float32)
    for name, displacement in data.shape_keys.items():
        key = obj.shape_key_add(name=name, from_mix=False)
        key.data.foreach_set("co", (base + displacement).astype(np.float32).ravel())


def _write_weights(mesh: bpy.types.Mesh, weights: np.ndarray) -> None:
    vertex, group = np.nonzero(weights > LEAST_WEIGHT)
    values = weights[vertex, group].tolist()
    bm = bmesh.new()
    bm.from_mesh(mesh)
    layer = bm.verts.layers.deform.verify()
    bm.verts.ensure_lookup_table()
    verts = bm.verts
    for v, g, value in zip(vertex.tolist(), group.tolist(), values, strict=True):
        verts[v][layer][g] = value
    bm.to_mesh(mesh)
    bm.free()


def read_weights(mesh: bpy.types.Mesh, groups: int) -> np.ndarray:
    """(V, groups) float32, as they are painted."""
    weights = np.zeros((len(mesh.vertices), groups), np.float32)
    entries = [(k, g.group, g.weight) for k, v in enumerate(mesh.vertices) for g in v.groups]
    if entries:
        vertex, group, value = np.array(entries).T
        vertex, group = vertex.astype(np.int64), group.astype(np.int64)
        known = group < groups
        weights[vertex[known], group[known]] = value[known]
    return weights


def _coordinates(points: bpy.types.bpy_prop_collection, obj: bpy.types.Object) -> np.ndarray:
    flat = _column(points, "co", np.float32, len(points) * 3).reshape(-1, 3).astype(np.float64)
    matrix = np.array(obj.matrix_world)
    return flat if np.array_equal(matrix, np.eye(4)) else flat @ matrix[:3, :3].T + matrix[:3, 3]


def _column(collection: bpy.types.bpy_prop_collection, name: str, dtype: type, size: int) -> np.ndarray:
    values: np.ndarray = np.zeros(size, dtype)
    collection.foreach_get(name, values)
    return values
