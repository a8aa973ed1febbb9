# SPDX-License-Identifier: GPL-3.0-or-later
"""A new rest pose: bones, every mesh the armature moves with its shape keys and custom normals, and the face markers,
moved together.

Everything is worked out in body space: the armature's own space, its axes turned to Blender's usual ones
(`rest.body_frame`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..avatar import before_rig
from ..avatar.scene import Avatar
from ..errors import AvatarError
from ..face import marker_objects
from ..landmarks import PARTS
from ..mesh import blender_mesh
from ..mesh.armature import transform_bones
from ..vrm import setup
from .kinematics import rest


@dataclass
class Skeleton:
    """The rest pose. names: (J,) VRM 1.0 names where the bone is one, in the order of `armature.data.bones`; parents:
    (J,), -1 for a root.

    joints: (J, 3) in body space; frame: (4, 4) from the armature's space to body space.
    """

    names: list[str]
    parents: np.ndarray
    joints: np.ndarray
    frame: np.ndarray


def read_skeleton(armature: bpy.types.Object) -> Skeleton:
    bones = armature.data.bones
    humanoid = {bone: name for name, bone in setup.get_humanoid(armature).items()}
    names = [humanoid.get(bone.name, f"bone {bone.name}") for bone in bones]
    place = {bone.name: k for k, bone in enumerate(bones)}
    parents = np.array([place[bone.parent.name] if bone.parent else -1 for bone in bones], np.int64)
    joints = np.array([bone.head_local[:] for bone in bones], float).reshape(-1, 3)
    frame = np.eye(4)
    frame[:3, :3] = rest.body_frame(joints, names)
    return Skeleton(names, parents, joints @ frame[:3, :3].T, frame)


def skinned_meshes(armature: bpy.types.Object) -> list[bpy.types.Object]:
    """Every mesh that the armature bends, by a modifier or as its parent; not those that hang on a bone as they are."""
    found = []
    for obj in bpy.data.objects:
        if obj.type == "MESH":
            modified = any(m.type == "ARMATURE" and m.object == armature and m.use_vertex_groups for m in obj.modifiers)
            if modified or (obj.parent == armature and obj.parent_type == "ARMATURE"):
                found.append(obj)
    return found


def t_pose_moves(avatar: Avatar, skeleton: Skeleton) -> np.ndarray:
    """(J, 3, 4) in body space: what takes each bone from rest to the T-pose, the feet's lowest vertex at height 0.
    Raises AvatarError.
    """
    if not rest.off_t_pose(skeleton.joints, skeleton.names):
        raise AvatarError(
            "No arm or leg bones of the avatar are assigned; assign its humanoid bones first.", "humanoid"
        )
    moves = rest.moves_of(
        rest.t_pose_turns(skeleton.joints, skeleton.parents, skeleton.names), skeleton.joints, skeleton.parents
    )
    with _at_rest(avatar.armature):
        parts = [_read(obj, avatar.armature, skeleton) for obj in skinned_meshes(avatar.armature)]
    if parts:
        points = [rest.blend(part.vertices, part.weights, moves)[0] for part in parts]
        moves[:, 2, 3] -= rest.ground_of(
            np.concatenate(points), np.concatenate([part.weights for part in parts]), skeleton.names
        )
    return moves


def in_t_pose(armature: bpy.types.Object, skeleton: Skeleton, to_t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) the skin in the T-pose, and (V,) the bone that holds each vertex the most. to_t: (J, 4, 4) what takes each
    bone there.
    """
    with _at_rest(armature):
        parts = [_read(obj, armature, skeleton) for obj in skinned_meshes(armature)]
    if not parts:
        return np.zeros((0, 3)), np.zeros(0, int)
    bone = np.concatenate([part.weights.argmax(1) for part in parts])
    points = np.concatenate([part.vertices for part in parts])
    return np.einsum("nij,nj->ni", to_t[bone, :3, :3], points) + to_t[bone, :3, 3], bone


def bends(moves: np.ndarray, skeleton: Skeleton) -> list[tuple[str, float]]:
    """(VRM bone, degrees) that a limb's bones turn against their parents, the most first; what turns less than a
    degree is left out.
    """
    turned = {}
    for k, name in enumerate(skeleton.names):
        above = skeleton.parents[k]
        if name.endswith(("UpperArm", "LowerArm", "UpperLeg", "LowerLeg")):
            turn = moves[k, :, :3] @ (moves[above, :, :3].T if above >= 0 else np.eye(3))
            turned[name] = float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
    return sorted(((name, angle) for name, angle in turned.items() if angle >= 1), key=lambda pair: -pair[1])


def shown_moves(armature: bpy.types.Object, skeleton: Skeleton) -> np.ndarray:
    """(J, 3, 4) in body space: what takes each bone from rest to the pose that is shown."""
    bpy.context.view_layer.update()
    posed = [armature.pose.bones[bone.name].matrix @ bone.matrix_local.inverted() for bone in armature.data.bones]
    moves = skeleton.frame @ np.array([np.array(move) for move in posed]).reshape(-1, 4, 4) @ skeleton.frame.T
    return moves[:, :3]


def bake(avatar: Avatar, moves: np.ndarray, skeleton: Skeleton) -> list[str]:
    """Makes the pose that `moves` (J, 3, 4; body space) lead to the rest pose, and shows it. Returns sentences for
    the user.

    Shape keys keep their names, order, values, ranges, drivers and relative keys; bones keep roll, connection and all
    properties. Raises AvatarError.
    """
    armature, notes = avatar.armature, []
    meshes = skinned_meshes(armature)
    _may_change([armature, *meshes])
    notes += _make_single([armature, *meshes])
    with _at_rest(armature):
        parts = [_read(obj, armature, skeleton) for obj in meshes]
        kept = avatar.record.mesh_without_face
        aside = _read(_as_object(kept, avatar.mesh), armature, skeleton) if kept else None
    # all at once, so that skin which two meshes share at a seam stays together
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
    if parts:
        triangles = np.concatenate([part.triangles + offset for part, offset in zip(parts, offsets, strict=False)])
        vertices, weights = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("vertices", "weights")
        )
        posed, turns = rest.move_skin(vertices, triangles, weights, moves, skeleton.parents, skeleton.names)
    notes += _leave_pose(armature) + _mute_constraints(armature)
    in_armature = skeleton.frame.T @ square(moves) @ skeleton.frame
    transform_bones(armature, in_armature)
    with _at_rest(armature):
        for obj, part, start, end in zip(meshes, parts, offsets, offsets[1:], strict=False):
            _write(obj.data, part, posed[start:end], turns[start:end], _to_body(obj, armature, skeleton))
        if aside:
            place = _to_body(avatar.mesh, armature, skeleton)
            _write(
                kept,
                aside,
                *rest.move_skin(
                    aside.vertices, aside.triangles, aside.weights, moves, skeleton.parents, skeleton.names
                ),
                place,
            )
    if "head" in skeleton.names:
        world = np.array(armature.matrix_world)
        _move_face(avatar, world @ in_armature[skeleton.names.index("head")] @ np.linalg.inv(world))
    before_rig.posed(avatar)
    return notes


def _move_face(avatar: Avatar, move: np.ndarray) -> None:
    """The face's landmarks, and the markers that are shown, follow the head. move: (4, 4) in world space."""
    for part in PARTS.values():
        stored = getattr(avatar.record, part.attribute)
        stored.center = Matrix(move) @ stored.center
    for empty in marker_objects.shown(avatar).values():
        empty.location = Matrix(move) @ empty.location
        if len(empty.get(marker_objects.USUAL_KEY, ())):
            empty[marker_objects.USUAL_KEY] = list(Matrix(move) @ Vector(empty[marker_objects.USUAL_KEY]))


@contextmanager
def _at_rest(armature: bpy.types.Object):
    """The scene as it is while the armature is in its rest pose; objects on bones are where they belong."""
    before = armature.data.pose_position
    armature.data.pose_position = "REST"
    bpy.context.view_layer.update()
    try:
        yield
    finally:
        armature.data.pose_position = before
        bpy.context.view_layer.update()


@dataclass
class _Part:
    """vertices: (V, 3) in body space; triangles: (T, 3); weights: (V, J) of the skeleton's bones; to_body: (4, 4)
    from the mesh's space.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    weights: np.ndarray
    to_body: np.ndarray


def _read(obj, armature: bpy.types.Object, skeleton: Skeleton) -> _Part:
    mesh, to_body = obj.data, _to_body(obj, armature, skeleton)
    base = mesh.shape_keys.reference_key.data if mesh.shape_keys else mesh.vertices
    groups = blender_mesh.read_weights(mesh, len(obj.vertex_groups))
    weights = np.zeros((len(mesh.vertices), len(skeleton.names)), np.float32)
    for k, bone in enumerate(armature.data.bones):
        group = obj.vertex_groups.get(bone.name)
        if group and bone.use_deform:
            weights[:, k] = groups[:, group.index]
    mesh.calc_loop_triangles()
    triangles = np.empty(len(mesh.loop_triangles) * 3, np.int32)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    return _Part(_moved(_points(base), to_body), triangles.reshape(-1, 3), weights, to_body)


def _to_body(obj, armature: bpy.types.Object, skeleton: Skeleton) -> np.ndarray:
    world = np.array(armature.matrix_world)
    if abs(np.linalg.det(world)) < 1e-18 or abs(np.linalg.det(np.array(obj.matrix_world))) < 1e-18:
        raise AvatarError(f"{obj.name} or its armature has a scale of 0; set another scale first.", "no_size")
    return skeleton.frame @ np.linalg.inv(world) @ np.array(obj.matrix_world)


def _as_object(mesh: bpy.types.Mesh, obj: bpy.types.Object) -> SimpleNamespace:
    return SimpleNamespace(data=mesh, name=obj.name, vertex_groups=obj.vertex_groups, matrix_world=obj.matrix_world)


def _write(mesh: bpy.types.Mesh, part: _Part, posed: np.ndarray, turns: np.ndarray, to_body: np.ndarray) -> None:
    """Base, shape keys and custom normals of one mesh.

    posed: (V, 3), turns: (V, 3, 3) in body space; to_body: (4, 4) from the space that the mesh has now.
    """
    from_body = np.linalg.inv(to_body)
    turns = from_body[:3, :3] @ turns @ part.to_body[:3, :3]  # in the mesh's own space
    normals = _custom_normals(mesh, turns)
    before = _moved(part.vertices, np.linalg.inv(part.to_body))
    after = _moved(posed, from_body)
    blocks = [block.data for block in mesh.shape_keys.key_blocks] if mesh.shape_keys else []
    for points in (mesh.vertices, *blocks):
        displaced = after + np.einsum("vij,vj->vi", turns, _points(points) - before)
        points.foreach_set("co", displaced.astype(np.float32).ravel())
    mesh.update()
    if normals is not None:
        mesh.normals_split_custom_set(normals)


def _custom_normals(mesh: bpy.types.Mesh, turns: np.ndarray) -> np.ndarray | None:
    """(L, 3) the corners' normals, turned with their vertices; None where the mesh has none of its own."""
    if not mesh.has_custom_normals:
        return None
    normals = np.empty(len(mesh.loops) * 3, np.float32)
    mesh.corner_normals.foreach_get("vector", normals)
    vertex = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", vertex)
    turned = np.einsum("lij,lj->li", np.linalg.inv(turns).transpose(0, 2, 1)[vertex], normals.reshape(-1, 3))
    return (turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def _points(points: bpy.types.bpy_prop_collection) -> np.ndarray:
    flat = np.empty(len(points) * 3, np.float32)
    points.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(np.float64)


def _moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def square(moves: np.ndarray) -> np.ndarray:
    """(J, 3, 4) matrices as (J, 4, 4)."""
    square = np.tile(np.eye(4), (len(moves), 1, 1))
    square[:, :3] = moves
    return square


def _may_change(objects: list[bpy.types.Object]) -> None:
    for obj in objects:
        if obj.library or obj.data.library:
            raise AvatarError(
                f"{obj.name} is linked from another file; make it local first (Object > Relations > Make Local).",
                "linked",
            )
    armature = objects[0]
    if not armature.visible_get():
        raise AvatarError(f"The armature {armature.name} is hidden; show it first.", "hidden")


def _make_single(objects: list[bpy.types.Object]) -> list[str]:
    """Data that other objects share stay as they are for those."""
    shared = [obj for obj in objects if obj.data.users - obj.data.use_fake_user > 1]
    for obj in shared:
        obj.data = obj.data.copy()
    return [f"{obj.name} shared its data with other objects and was made single-user." for obj in shared]


def _leave_pose(armature: bpy.types.Object) -> list[str]:
    """Shows the rest pose. An action was made for the old one, so it is kept in the file, but not assigned."""
    notes = []
    data = armature.animation_data
    if data and data.action:
        notes.append(
            f"The action {data.action.name} was made for the old rest pose; it stays in the file but is no"
            " longer played."
        )
        data.action.use_fake_user = True
        data.action = None
    for bone in armature.pose.bones:
        bone.matrix_basis = Matrix()
    return notes


def _mute_constraints(armature: bpy.types.Object) -> list[str]:
    """Constraints pull to where their targets were before, away from the new rest pose."""
    held = [bone for bone in armature.pose.bones if any(not one.mute for one in bone.constraints)]
    for bone in held:
        for one in bone.constraints:
            one.mute = True
    if not held:
        return []
    return [f"The constraints of {len(held)} bones were made for the old rest pose and were disabled."]


def is_posed(armature: bpy.types.Object) -> bool:
    """Whether a pose bone has been moved from rest."""
    return any(np.abs(np.array(bone.matrix_basis) - np.eye(4)).max() > 1e-5 for bone in armature.pose.bones)
