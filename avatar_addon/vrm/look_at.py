# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the eyes look: by expressions or by eye bones, how far, and a look at it; in the VRM Add-on's properties of
VRM 1.0 and 0.x.

yaw: degrees, positive to the character's left; pitch: positive upwards. Source: VRMC_vrm-1.0, lookAt.
"""

from __future__ import annotations

import math

import bpy
from mathutils import Matrix, Quaternion, Vector

from . import setup
from .addon import extension
from .spec.presets import LOOKS
from .spec.shape_key_names import recognise

BONE, EXPRESSION = "bone", "expression"
IN_VRM0 = {BONE: "Bone", EXPRESSION: "BlendShape"}
SIDES = ("horizontal_inner", "horizontal_outer", "vertical_up", "vertical_down")
EYE_TURN = {
    "horizontal_inner": 8.0,
    "horizontal_outer": 12.0,
    "vertical_up": 8.0,
    "vertical_down": 10.0,
}  # degrees of an eye bone
EYES = ("leftEye", "rightEye")
TARGET = "Gaze Target"
AHEAD = 1.0  # metres from the eyes to a new target
Maps = dict[str, tuple[float, float]]


def eye_bones(armature: bpy.types.Object) -> list[str]:
    """The bones of both eyes, or [] where one is missing."""
    found = [setup.get_bone(armature, name) for name in EYES]
    return found if all(found) else []


def kind(armature: bpy.types.Object) -> str:
    """BONE or EXPRESSION."""
    return str(extension(armature).vrm1.look_at.type)


def set_kind(armature: bpy.types.Object, new: str) -> None:
    """Ranges keep the angles of the gaze; what they lead to becomes the eyes' usual turn, or the whole expression."""
    if new == kind(armature):
        return
    rest(armature)
    extension(armature).vrm1.look_at.type = new
    extension(armature).vrm0.first_person.look_at_type_name = IN_VRM0[new]
    for side in SIDES:
        set_range(armature, side, ranges(armature)[side][0], EYE_TURN[side] if new == BONE else 1.0)


def ranges(armature: bpy.types.Object) -> Maps:
    """Side -> (degrees of the gaze at which it is complete, degrees of the eye bone or weight of the
    expression then).
    """
    look = extension(armature).vrm1.look_at
    parts = {side: getattr(look, "range_map_" + side) for side in SIDES}
    return {side: (part.input_max_value, part.output_scale) for side, part in parts.items()}


def set_range(armature: bpy.types.Object, side: str, most: float, output: float) -> None:
    """As `ranges` gives it."""
    new = getattr(extension(armature).vrm1.look_at, "range_map_" + side)
    new.input_max_value, new.output_scale = most, output
    old = getattr(extension(armature).vrm0.first_person, "look_at_" + side)
    old.x_range, old.y_range = most, output


def weights(maps: Maps, yaw: float, pitch: float) -> dict[str, float]:
    """Of the four look expressions: without eye bones "outer" is the range of both sides."""
    sideways = _mapped(abs(yaw), maps["horizontal_outer"])
    updown = _mapped(abs(pitch), maps["vertical_up" if pitch > 0 else "vertical_down"])
    amounts = {"lookLeft": sideways if yaw > 0 else 0.0, "lookRight": sideways if yaw < 0 else 0.0}
    return amounts | {"lookUp": updown if pitch > 0 else 0.0, "lookDown": updown if pitch < 0 else 0.0}


def eye_turn(maps: Maps, eye: str, yaw: float, pitch: float) -> tuple[float, float]:
    """(yaw, pitch) in degrees of one eye bone: outwards is away from the nose."""
    outer = (eye == "leftEye") == (yaw > 0)
    sideways = _mapped(abs(yaw), maps["horizontal_outer" if outer else "horizontal_inner"])
    updown = _mapped(abs(pitch), maps["vertical_up" if pitch > 0 else "vertical_down"])
    return math.copysign(sideways, yaw), math.copysign(updown, pitch)


def _mapped(angle: float, range_map: tuple[float, float]) -> float:
    most, output = range_map
    return min(angle, most) / most * output


def look(armature: bpy.types.Object, meshes: list[bpy.types.Object], yaw: float, pitch: float) -> None:
    """Moves the eyes as a viewer will: the bones, or the shape keys of the look expressions."""
    maps = ranges(armature)
    if kind(armature) == BONE:
        for eye, name in zip(EYES, eye_bones(armature), strict=False):
            bone = armature.pose.bones[name]
            left, up = (math.radians(angle) for angle in eye_turn(maps, eye, yaw, pitch))
            turn = Quaternion((0, 0, 1), left) @ Quaternion((1, 0, 0), -up)  # the eyes look along -Y
            rest_pose = (armature.matrix_world @ bone.bone.matrix_local).to_quaternion()
            _turn(bone, rest_pose.inverted() @ turn @ rest_pose)
        return
    amounts = weights(maps, yaw, pitch)
    for mesh in meshes:
        keys = mesh.data.shape_keys
        bound = recognise(key.name for key in keys.key_blocks[1:]).binds if keys else {}
        values: dict[str, float] = {}
        for name, amount in amounts.items():
            for key, weight in bound.get(name, ()):
                values[key] = min(1.0, values.get(key, 0.0) + amount * weight)
        for key, value in values.items():
            if keys.key_blocks[key].value != value:
                keys.key_blocks[key].value = value


def _turn(bone: bpy.types.PoseBone, turn: Quaternion) -> None:
    if bone.rotation_mode == "QUATERNION":
        bone.rotation_quaternion = turn
    elif bone.rotation_mode == "AXIS_ANGLE":
        axis, angle = turn.to_axis_angle()
        bone.rotation_axis_angle = (angle, *axis)
    else:
        bone.rotation_euler = turn.to_euler(bone.rotation_mode)


def eyes_at(armature: bpy.types.Object) -> Vector:
    """Between the eyes, in world space, as the head is posed now."""
    head = armature.pose.bones.get(setup.get_bone(armature, "head"))
    if head is None:
        return armature.matrix_world.translation.copy()
    x, y, z = extension(armature).vrm1.look_at.offset_from_head_bone  # glTF's axes
    turn = head.matrix @ head.bone.matrix_local.inverted()
    return armature.matrix_world @ (turn @ (head.bone.head_local + Vector((x, -z, y))))


def is_following(armature: bpy.types.Object) -> bool:
    """Whether the VRM Add-on turns the eyes to a target."""
    look_at = extension(armature).vrm1.look_at
    return bool(look_at.enable_preview and look_at.preview_target_bpy_object)


def follow(
    context: bpy.types.Context, armature: bpy.types.Object, target: bpy.types.Object | None = None
) -> bpy.types.Object:
    """The VRM Add-on keeps the eyes on an object, by default a new empty before the face; returns it."""
    look_at = extension(armature).vrm1.look_at
    if target is None:
        target = bpy.data.objects.new(TARGET, None)
        target.empty_display_type, target.empty_display_size = "SPHERE", 0.03
        target.location = eyes_at(armature) + armature.matrix_world.to_3x3() @ Vector((0, -AHEAD, 0))
        target.hide_render = True
        context.scene.collection.objects.link(target)
    look_at.preview_target_bpy_object, look_at.enable_preview = target, True
    look_at.previous_preview_matrix = [0.0] * 16  # else it does not look where nothing has moved
    return target


def rest(armature: bpy.types.Object, meshes: list[bpy.types.Object] | None = None) -> None:
    """Straight ahead; a target that `follow` made is removed."""
    look_at = extension(armature).vrm1.look_at
    target = look_at.preview_target_bpy_object
    look_at.enable_preview, look_at.preview_target_bpy_object = False, None
    if target and target.type == "EMPTY" and target.name.startswith(TARGET):
        bpy.data.objects.remove(target)
    for name in LOOKS:
        expression = setup.expression_of(armature, name)
        if expression.preview:
            expression.preview = 0.0
    for name in eye_bones(armature):
        armature.pose.bones[name].matrix_basis = Matrix()
    if meshes:
        look(armature, meshes, 0.0, 0.0)
