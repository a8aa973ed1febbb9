# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces taken out of a mesh, and the openings that this leaves closed."""

from __future__ import annotations

import bmesh
import bpy
import numpy as np


def cut_and_cap(obj: bpy.types.Object, faces: np.ndarray) -> None:
    """Removes faces by number. What opens is closed with triangles, each of the colour and material of one place beside
    it.
    """
    bm = bmesh.new()
    bm.from_mesh(obj.data)
    bm.faces.ensure_lookup_table()
    gone = [bm.faces[number] for number in faces.tolist()]
    going = set(gone)
    rim = {edge for face in gone for edge in face.edges if any(other not in going for other in edge.link_faces)}
    bmesh.ops.delete(bm, geom=gone, context="FACES")
    edges = [edge for edge in rim if edge.is_valid and edge.is_boundary]
    made = bmesh.ops.holes_fill(bm, edges=edges, sides=0)["faces"] if edges else []
    caps = _without_doubles(bm, bmesh.ops.triangulate(bm, faces=made)["faces"] if made else [])
    new = set(caps)
    layers = [*bm.loops.layers.uv.values(), *bm.loops.layers.float_color.values(), *bm.loops.layers.color.values()]
    for face in caps:
        face.smooth = True
        # One place of the texture a face: between the rim's places may lie anything else that is painted there.
        old = next((one for vert in face.verts for one in vert.link_loops if one.face not in new), None)
        if old is None:
            continue
        face.material_index = old.face.material_index
        for loop in face.loops:
            for layer in layers:
                value = old[layer]
                if hasattr(value, "uv"):
                    loop[layer].uv = value.uv
                else:
                    loop[layer] = value
    bm.to_mesh(obj.data)
    bm.free()
    obj.data.update()


def _without_doubles(bm: bmesh.types.BMesh, caps: list[bmesh.types.BMFace]) -> list[bmesh.types.BMFace]:
    """The caps without those on the corners of another face: a triangle that is left alone is its own hole. Blender
    crashes on two faces with the same corners.
    """
    kept, seen = [], set()
    new = set(caps)
    for face in caps:
        corners = frozenset(face.verts)
        beside = (other for other in face.verts[0].link_faces if other not in new)
        if corners not in seen and all(frozenset(other.verts) != corners for other in beside):
            seen.add(corners)
            kept.append(face)
    bmesh.ops.delete(bm, geom=list(new.difference(kept)), context="FACES_ONLY")
    return kept
