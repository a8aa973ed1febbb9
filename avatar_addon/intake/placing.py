# SPDX-License-Identifier: GPL-3.0-or-later
"""A rigged model upright, to the front, of a human's size and on the ground. Its skeleton tells where the head is and
where it looks; the outline is asked only where no humanoid is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import bpy
import numpy as np
from mathutils import Matrix

from ..humanoid.matching.matcher import Match, match
from ..humanoid.matching.rehang import rehung, stray_arms, stray_fingers
from ..mesh import blender_mesh
from ..mesh.armature import editing
from . import geometry
from .at_rest import identity
from .ownership import Notes
from .parts import Objects, meshes_of

FAR_OFF = 0.5  # of the height
STANDS = 0.5  # of the way from the feet to the head that goes up
CLEARLY = 0.1  # how much surer another way up must be than the file's own


@dataclass(frozen=True)
class Reading:
    """What the skeleton says. turn: (3, 3) that stands it up, found: the match then, moves: bone -> new parent."""

    turn: np.ndarray
    found: Match
    quarters: int = 0
    moves: dict[int, int] = field(default_factory=dict)


def read_skeleton(armature: bpy.types.Object) -> Reading | None:
    """The way up in which the skeleton is a humanoid, the file's own if it can be; None where it is none in any."""
    bones = list(armature.data.bones)
    index = {bone.name: k for k, bone in enumerate(bones)}
    parents = [index[bone.parent.name] if bone.parent else -1 for bone in bones]
    heads = np.array([bone.head_local[:] for bone in bones]).reshape(-1, 3)
    if not len(heads) or not np.isfinite(heads).all():
        return None
    best: Reading | None = None
    for quarters in (0, 1, 3, 2):
        turn = geometry.quarter_turn("X", quarters)
        found = match(heads @ turn.T, parents, list(index), (0.0, -1.0))
        if (
            found.humanoid
            and _stands(found, heads @ turn.T)
            and (best is None or found.confidence > best.found.confidence + CLEARLY)
        ):
            best = Reading(turn, found, quarters)
        if best and best.found.confidence > 0.5:
            break
    if best:
        moves: dict[int, int] = {}
        for strays in (stray_arms, stray_fingers):
            hung = [moves.get(bone, parent) for bone, parent in enumerate(parents)]
            if changed := strays(heads @ best.turn.T, hung, list(index), best.found):
                moves |= changed[0]
                best = Reading(best.turn, changed[1], best.quarters, moves)
        return best
    for quarters in (0, 1, 3):
        turn = geometry.quarter_turn("X", quarters)
        changed = rehung(heads @ turn.T, parents, list(index))
        if changed:
            return Reading(turn, changed[1], quarters, changed[0])
    return None


def _stands(found: Match, heads: np.ndarray) -> bool:
    """Whether the head is above the feet: a skeleton that lies is as good a humanoid otherwise."""
    bones = found.mapping
    if not {"head", "leftFoot", "rightFoot"} <= bones.keys():
        return True
    rise = heads[bones["head"]] - (heads[bones["leftFoot"]] + heads[bones["rightFoot"]]) / 2
    return bool(rise[2] > STANDS * np.linalg.norm(rise))


def rehang(armature: bpy.types.Object, moves: dict[int, int], notes: Notes) -> None:
    """Hangs bones where a humanoid's are; the rest pose stays."""
    names = [bone.name for bone in armature.data.bones]
    with editing(armature):
        bones = armature.data.edit_bones
        for bone, parent in moves.items():
            bones[names[bone]].use_connect = False
            bones[names[bone]].parent = bones[names[parent]]
    changed = ", ".join(f"{names[bone]} below {names[parent]}" for bone, parent in moves.items())
    notes.append(("rehung", f"Bones that hung where a humanoid's do not were moved: {changed}."))


def place(reading: Reading | None, meshes: Objects, height: float, is_vrm: bool, notes: Notes) -> Matrix:
    """How the model has to be turned and scaled. A VRM stands and looks as it should, and keeps its size unless one
    is wished.
    """
    vertices = points(meshes)
    turned, said = np.eye(3), ""
    if not is_vrm and reading:
        facing = _facing(reading.found)
        turned = geometry.quarter_turn("Z", facing) @ reading.turn
        ways = (
            [{1: "was lying down", 3: "was lying down", 2: "was upside down"}[reading.quarters]]
            if reading.quarters
            else []
        )
        ways += [{1: "faced sideways", 3: "faced sideways", 2: "faced backwards"}[facing]] if facing else []
        said = geometry.told(ways)
    elif not is_vrm:
        turned, said = geometry.upright(vertices)
    tall = float(np.ptp((vertices @ turned.T)[:, 2]))
    factor, why = (1.0, "") if is_vrm and not height else geometry.scale_to_human(tall, height)
    notes += [(code, text) for code, text in (("turned", said), ("scaled", why)) if text]
    return Matrix((factor * turned).tolist()).to_4x4()


def _facing(found: Match) -> int:
    """Quarter turns about Z after which the skeleton looks along -Y."""
    x, y = found.facing
    return round((np.arctan2(-1.0, 0.0) - np.arctan2(y, x)) / (np.pi / 2)) % 4


def move_rigged(armature: bpy.types.Object, meshes: Objects, matrix: Matrix) -> None:
    """Moves armature and meshes by `matrix` in world space and applies their transforms."""
    bpy.context.view_layer.update()
    places = {obj: matrix @ obj.matrix_world for obj in (armature, *meshes)}
    if places[armature] != Matrix():
        armature.data.transform(places[armature])
    armature.matrix_basis = Matrix()
    for mesh in meshes:
        place = places[mesh]
        if place != Matrix():
            mesh.data.transform(place, shape_keys=True)
            if place.determinant() < 0:
                mesh.data.flip_normals()
        identity(mesh)
        mesh.data.update()
    bpy.context.view_layer.update()


def on_the_ground(armature: bpy.types.Object, meshes: Objects) -> None:
    """Feet at z = 0, the middle at x = 0; nothing where they are there. Forwards and backwards only what is far off
    moves, since tails and capes are no middle.
    """
    vertices = points(meshes)
    low, high = vertices.min(0), vertices.max(0)
    depth = (low[1] + high[1]) / 2
    far = abs(depth) > FAR_OFF * (high[2] - low[2])
    shift = np.array([-(low[0] + high[0]) / 2, -depth if far else 0.0, -low[2]])
    if np.abs(shift).max() > 0.02 * (high[2] - low[2]):
        move_rigged(armature, meshes_of(armature, bpy.data.objects), Matrix.Translation(shift.tolist()))


def points(meshes: Objects) -> np.ndarray:
    """(V, 3) of the vertices that faces use: a stray one far away is no part of the shape."""
    read = [blender_mesh.read_mesh(mesh) for mesh in meshes]
    used = [data.vertices[np.unique(data.triangles)] for data in read]
    return np.concatenate(used if any(map(len, used)) else [data.vertices for data in read])
