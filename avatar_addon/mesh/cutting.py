# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces taken out of a mesh, and the openings that this leaves closed."""

from __future__ import annotations

import bmesh
import bpy
import numpy as np


def arm_shares(weights: np.ndarray, groups: list[str]) -> np.ndarray:
    """(V, 2) of the left and the right arm in the weights (V, len(groups)); groups are VRM's bone names."""
    return np.stack(
        [
            weights[:, [name in {side + bone for bone in ("UpperArm", "LowerArm", "Hand")} for name in groups]].sum(1)
            for side in ("left", "right")
        ],
        axis=1,
    )


def cut_and_cap(obj: bpy.types.Object, faces: np.ndarray, arms: np.ndarray) -> None:
    """Removes faces by number. What opens is closed with triangles, each of the colour and material of one place beside
    it, on both sides apart where an arm is cut from the body. arms: as `arm_shares`.
    """
    bm = bmesh.new()
    bm.from_mesh(obj.data)
    bm.faces.ensure_lookup_table()
    side = np.column_stack([np.full(len(arms), 0.5), arms]).argmax(1)  # 0: none of the arms'
    whose = {vert: int(side[vert.index]) for vert in bm.verts}
    gone = [bm.faces[number] for number in faces.tolist()]
    going = set(gone)
    rim = {edge for face in gone for edge in face.edges if any(other not in going for other in edge.link_faces)}
    bmesh.ops.delete(bm, geom=gone, context="FACES")
    edges = [edge for edge in rim if edge.is_valid and edge.is_boundary]
    made = bmesh.ops.holes_fill(bm, edges=edges, sides=0)["faces"] if edges else []
    parts = [part for face in made for part in _apart(bm, face, whose)]
    caps = _without_doubles(bm, bmesh.ops.triangulate(bm, faces=parts)["faces"] if parts else [])
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


def _apart(bm: bmesh.types.BMesh, face: bmesh.types.BMFace, whose: dict[bmesh.types.BMVert, int]) -> list:
    """The face over an opening, or where that lies between an arm and the body, one for each side of it: a cut from the
    armpit's front around the hand to its back has both on one rim.
    """
    rim = list(face.verts)
    changes = [k for k in range(len(rim)) if whose[rim[k]] != whose[rim[k - 1]]]
    if not changes:
        return [face]
    bmesh.ops.delete(bm, geom=[face], context="FACES_ONLY")
    rim = rim[changes[0] :] + rim[: changes[0]]
    bounds = [k - changes[0] for k in changes] + [len(rim)]
    runs = (rim[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True))
    return [bm.faces.new(run) for run in runs if len(run) > 2 and bm.faces.get(run) is None]


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
