# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses that are only shown: the T-pose before it is applied, test poses and test animations. `back` brings back what
was there before.

The armature object keeps what was there: pose, action, use of the NLA, muted constraints, preview range and frame.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..avatar import scene
from ..avatar.scene import Avatar
from ..errors import AvatarError
from ..speech import animation
from ..vrm import setup
from . import bake, expression_keys
from .kinematics import clearance, gestures, motions

KEY = "avatar_forge_pose"  # on the armature object: what was there before, as JSON
SHOWN_KEY = (  # what is shown, and for the T-pose how far bones turn, as JSON; apart, since panels ask often
    "avatar_forge_pose_shown"
)
ACTION_KEY = "avatar_forge_pose_action"  # the action that was there; a reference, so that a saved file keeps it
ACTION = "Avatar Forge: "
T_POSE = "T-Pose"
TALK, BEAT = "Talk", 1.4  # seconds from one gesture of a speaker to the next
CHANNELS = ("location", "rotation_quaternion", "rotation_euler", "rotation_axis_angle", "scale")


def shown(armature: bpy.types.Object | None) -> str:
    """What is shown: "T-Pose", a test pose's or an animation's name; "" for the user's own pose."""
    return json.loads(armature[SHOWN_KEY])["shown"] if armature and SHOWN_KEY in armature else ""


def pose_names(avatar: Avatar) -> list[str]:
    """The test poses that the avatar has bones for; cheap enough to draw."""
    fingers = (
        avatar.armature is not None and scene.has_vrm(avatar) and setup.get_bone(avatar.armature, "leftIndexProximal")
    )
    return motions.pose_names(bool(fingers))


def bends(armature: bpy.types.Object) -> list[tuple[str, float]]:
    """(VRM bone, degrees) that the T-pose which is shown turns the limbs' bones, the most first."""
    return (
        [(name, angle) for name, angle in json.loads(armature[SHOWN_KEY]).get("bends", ())]
        if SHOWN_KEY in armature
        else []
    )


def preview_t_pose(context: bpy.types.Context, avatar: Avatar) -> None:
    """Poses the avatar as `workflow.pose` would make it. Raises AvatarError."""
    armature = avatar.armature
    skeleton = bake.read_skeleton(armature)
    moves = bake.t_pose_moves(avatar, skeleton)
    begin(context, avatar, T_POSE, bends=bake.bends(moves, skeleton))
    for (
        bone
    ) in armature.pose.bones:  # the T-pose is one of bones; what hangs from constraints follows when it is applied
        for constraint in bone.constraints:
            constraint.mute = True
    _set_pose(armature, _local(armature, skeleton, moves[None])[0])


def show_pose(context: bpy.types.Context, avatar: Avatar, name: str) -> None:
    """Poses the avatar in a test pose (motions.pose_names). Raises AvatarError."""
    skeleton, to_t, body = _body(avatar)
    if name not in pose_names(avatar):
        raise AvatarError(f"There is no pose {name} for this avatar; choose another one.", "no_pose")
    moves = motions.pose(body, name)[None] @ to_t
    begin(context, avatar, name)
    _set_pose(avatar.armature, _local(avatar.armature, skeleton, moves[:, :, :3])[0])


def show_motion(context: bpy.types.Context, avatar: Avatar, name: str, seconds: float | None = None) -> None:
    """Gives the avatar a looping motion, an action of its own, in the scene's preview range. seconds: None for the
    motion's usual ones. Raises AvatarError.
    """
    skeleton, to_t, body = _body(avatar)
    make, usual = gestures.MOTIONS[name]
    where, armature = context.scene, avatar.armature
    frames = max(round((seconds or usual) * where.render.fps / where.render.fps_base), 8)
    given = (round(seconds / BEAT) or 1,) if seconds and name == TALK else ()
    moves = make(body, frames, *given) @ to_t
    begin(context, avatar, name)
    first = where.frame_start
    data = armature.animation_data_create()
    data.action = bpy.data.actions.new(ACTION + name)
    poses = _local(armature, skeleton, moves[:, :, :3])
    moving = np.abs(poses - np.eye(4)).max((0, 2, 3)) > 1e-5
    for frame in range(frames + 1):  # the last is the first again, for those who loop the scene's whole range
        _set_pose(armature, poses[frame % frames], moving, frame=first + frame)
    where.use_preview_range = True
    where.frame_preview_start, where.frame_preview_end = first, first + frames - 1
    where.sync_mode = "FRAME_DROP"
    where.frame_set(first)


def back(context: bpy.types.Context, avatar: Avatar) -> bool:
    """Takes away what is shown: pose, action, preview range and frame are as they were before. False where nothing
    was shown.
    """
    armature = avatar.armature
    if armature is None or KEY not in armature:
        return False
    expression_keys.remove(armature)
    animation.stop(context, avatar)  # it began later, and brings back what it found: the animation's range
    before = json.loads(armature[KEY])
    _remove_motion(context, armature, before)
    data = armature.animation_data
    if before["animated"] and data:
        data.use_nla = before["use_nla"]
        data.action = armature.get(ACTION_KEY)
        _set_slot(data, before["slot"])
    elif data and not data.drivers and not data.nla_tracks:
        armature.animation_data_clear()
    for bone in armature.pose.bones:
        for channel in CHANNELS:
            kept = before["pose"].get(bone.name, {}).get(channel)
            setattr(bone, channel, kept if kept is not None else _rest_value(channel))
        for constraint in bone.constraints:
            if [bone.name, constraint.name] in before["live"]:
                constraint.mute = False
    for key in (KEY, SHOWN_KEY, ACTION_KEY):
        if key in armature:
            del armature[key]
    context.view_layer.update()
    return True


def apply_shown_pose(context: bpy.types.Context, avatar: Avatar) -> list[str]:
    """Makes the pose that is shown the rest pose. Returns sentences on what the user should know. Raises
    AvatarError.
    """
    armature = avatar.armature
    skeleton = bake.read_skeleton(armature)
    moves = bake.shown_moves(armature, skeleton)
    back(context, avatar)
    if np.abs(moves - np.eye(3, 4)).max() < 1e-6:
        raise AvatarError("The avatar is already in its rest pose; pose it first (Pose Mode), then apply.", "no_pose")
    if min(np.abs(np.linalg.det(moves[:, :, :3]))) < 1e-9:
        raise AvatarError("A bone of the pose has a scale of 0; set another scale first.", "no_size")
    return bake.bake(avatar, moves, skeleton)


def play(context: bpy.types.Context) -> None:
    """Starts the playback, where there is a window."""
    animation.play(context)


def begin(context: bpy.types.Context, avatar: Avatar, name: str, **more: Any) -> None:
    """Keeps what is there, unless it is one of ours, and clears the pose."""
    armature, where = avatar.armature, context.scene
    if KEY in armature:
        before = json.loads(armature[KEY])
        expression_keys.remove(armature)
        _remove_motion(context, armature, before)
        for bone in armature.pose.bones:
            for constraint in bone.constraints:
                if [bone.name, constraint.name] in before["live"]:
                    constraint.mute = False
    else:
        animation.stop(context, avatar)
        data = armature.animation_data
        before = {
            "pose": {bone.name: kept for bone in armature.pose.bones if (kept := _kept(bone))},
            "live": [[bone.name, one.name] for bone in armature.pose.bones for one in bone.constraints if not one.mute],
            "animated": data is not None,
            "use_nla": bool(data and data.use_nla),
            "slot": getattr(getattr(data, "action_slot", None), "identifier", ""),
            "preview": [where.use_preview_range, where.frame_preview_start, where.frame_preview_end],
            "frame": where.frame_current,
            "sync": where.sync_mode,
        }
        if data:
            if data.action:
                armature[ACTION_KEY] = data.action
            data.action, data.use_nla = None, False
        armature[KEY] = json.dumps(before)
    armature[SHOWN_KEY] = json.dumps({"shown": name} | more)
    for bone in armature.pose.bones:
        bone.matrix_basis = Matrix()


def _remove_motion(context: bpy.types.Context, armature: bpy.types.Object, before: dict[str, Any]) -> None:
    """Takes a test animation away, if there is one, and brings the scene's frames back."""
    if context.screen and context.screen.is_animation_playing and not bpy.app.background:
        bpy.ops.screen.animation_cancel(restore_frame=False)
    data = armature.animation_data
    action = data.action if data else None
    if action and action.name.startswith(ACTION):
        data.action = None
        if not action.users:
            bpy.data.actions.remove(action)
    where = context.scene
    where.use_preview_range, where.frame_preview_start, where.frame_preview_end = before["preview"]
    where.sync_mode = before["sync"]
    with contextlib.suppress(ValueError):
        where.frame_set(before["frame"])


def _set_slot(data: bpy.types.AnimData, identifier: str) -> None:
    """Blender 4.4 and later: which part of the action is the armature's."""
    if data.action and identifier and hasattr(data, "action_slot"):
        slot = next((slot for slot in data.action.slots if slot.identifier == identifier), None)
        if slot:
            data.action_slot = slot


def _rest_value(channel: str) -> tuple[float, ...]:
    return {
        "location": (0, 0, 0),
        "scale": (1, 1, 1),
        "rotation_quaternion": (1, 0, 0, 0),
        "rotation_axis_angle": (0, 0, 1, 0),
        "rotation_euler": (0, 0, 0),
    }[channel]


def _kept(bone: bpy.types.PoseBone) -> dict[str, list[float]]:
    """What is not at rest of a pose bone."""
    values = {channel: list(getattr(bone, channel)) for channel in CHANNELS}
    return {channel: value for channel, value in values.items() if value != list(_rest_value(channel))}


def _body(avatar: Avatar) -> tuple[bake.Skeleton, np.ndarray, motions.PosedBody]:
    """The skeleton at rest, (J, 4, 4) what takes it to the T-pose, and the body there."""
    armature = avatar.armature
    skeleton = bake.read_skeleton(armature)
    to_t = bake.square(bake.t_pose_moves(avatar, skeleton))
    tails = np.array([bone.tail_local[:] for bone in armature.data.bones], float) @ skeleton.frame[:3, :3].T
    at = [np.einsum("kij,kj->ki", to_t[:, :3, :3], points) + to_t[:, :3, 3] for points in (skeleton.joints, tails)]
    points, bone = bake.in_t_pose(armature, skeleton, to_t)
    body = motions.PosedBody(
        at[0],
        at[1],
        skeleton.parents,
        skeleton.names,
        hang=min(clearance.hanging(points, bone, at[0], skeleton.parents, skeleton.names), clearance.SHARED),
        soles=motions.soles_of(points, bone, skeleton.names),
    )
    return skeleton, to_t, body


def _local(armature: bpy.types.Object, skeleton: bake.Skeleton, moves: np.ndarray) -> np.ndarray:
    """(F, J, 4, 4) the pose bones' own matrices for moves (F, J, 3, 4) in body space, whatever the bones inherit from
    their parents.
    """
    bones = list(armature.data.bones)
    out = np.empty((len(moves), len(bones), 4, 4))
    for frame, each in enumerate(moves):
        in_armature = skeleton.frame.T @ bake.square(each) @ skeleton.frame
        posed = [Matrix(move) @ bone.matrix_local for move, bone in zip(in_armature, bones, strict=True)]
        for k, bone in enumerate(bones):
            above = skeleton.parents[k]
            parent = (
                {} if above < 0 else {"parent_matrix": posed[above], "parent_matrix_local": bones[above].matrix_local}
            )
            out[frame, k] = np.array(bone.convert_local_to_pose(posed[k], bone.matrix_local, invert=True, **parent))
    return out


def _set_pose(
    armature: bpy.types.Object, poses: np.ndarray, moving: np.ndarray | None = None, frame: int | None = None
) -> None:
    """Poses the bones by (J, 4, 4), those of `moving` (J,) only; at a frame with keys."""
    for k, bone in enumerate(armature.data.bones):
        if moving is not None and not moving[k]:
            continue
        pose_bone = armature.pose.bones[bone.name]
        location, rotation, _ = Matrix(poses[k]).decompose()
        pose_bone.location = location
        channel = _turn(pose_bone, rotation)
        if frame is not None:
            for path in (channel, *(("location",) if location.length > 1e-6 or bone.parent is None else ())):
                pose_bone.keyframe_insert(path, frame=frame, group=bone.name, options=set())


def _turn(bone: bpy.types.PoseBone, rotation) -> str:
    """Sets the rotation in the bone's own mode, near to the one it has, so that keys do not spin; returns the
    channel's name.
    """
    if bone.rotation_mode == "QUATERNION":
        rotation.make_compatible(bone.rotation_quaternion)
        bone.rotation_quaternion = rotation
        return "rotation_quaternion"
    if bone.rotation_mode == "AXIS_ANGLE":
        axis, angle = rotation.to_axis_angle()
        bone.rotation_axis_angle = (angle, *axis)
        return "rotation_axis_angle"
    bone.rotation_euler = rotation.to_euler(bone.rotation_mode, bone.rotation_euler)
    return "rotation_euler"
