# SPDX-License-Identifier: GPL-3.0-or-later
"""The face markers as empties in the viewport. An empty's scale is the marker's size: x half width, z half height."""

from __future__ import annotations

import bpy
from mathutils import Vector

from ..avatar.scene import OPTIONAL as IN_RECORD
from ..avatar.scene import Avatar, read_face, select
from ..errors import AvatarError
from .synthesis.markers import usual_places

PARTS = {"left_eye": "Left Eye", "right_eye": "Right Eye", "mouth": "Mouth"}
BROWS = ("left_brow", "right_brow")
OPTIONAL = {"left_brow": "Left Brow", "right_brow": "Right Brow", "jaw": "Jaw"}
LABELS = PARTS | OPTIONAL
PART_KEY = "avatar_forge_marker"
USUAL_KEY = "avatar_forge_usual"  # where an optional marker is meant to be, while it is not placed
MOVED = 5e-4  # metres
MOUTH_FLATNESS = 0.3  # the mouth has no height of its own; drawn so


def shown(avatar: Avatar) -> dict[str, bpy.types.Object]:
    """part -> empty, of those in the file."""
    return {obj[PART_KEY]: obj for obj in (avatar.armature.children if avatar.armature else ()) if PART_KEY in obj}


def show(avatar: Avatar, context: bpy.types.Context) -> None:
    """Makes the empties, or puts those that are there back to where the record has them; the mouth becomes active."""
    for part, label in PARTS.items():
        empty = _empty(avatar, part, label)
        marker = getattr(avatar.record, part)
        half = marker.half_width or 0.02
        empty.empty_display_type, empty.empty_display_size = "SPHERE", 1.0
        empty.show_in_front = True
        empty.location = marker.center
        empty.scale = (
            half,
            half * 0.2,
            marker.half_height if part != "mouth" and marker.half_height else half * MOUTH_FLATNESS,
        )
    _show_optional(avatar)
    select(context, shown(avatar)["mouth"])


def _empty(avatar: Avatar, part: str, label: str) -> bpy.types.Object:
    empty = shown(avatar).get(part)
    if empty is None:
        empty = bpy.data.objects.new(f"{avatar.name} {label}", None)
        avatar.mesh.users_collection[0].objects.link(empty)
        empty.parent = avatar.armature
        empty[PART_KEY] = part
    return empty


def _show_optional(avatar: Avatar) -> None:
    """Brows and jaw as crosses; they count once they were moved."""
    try:
        usual = usual_places(read_face(avatar))
    except AvatarError:  # eyes and mouth are where no face can be; brows and jaw come with the next look
        return
    size = max(avatar.record.mouth.half_width, 0.01) * 0.6
    for name, part in IN_RECORD.items():
        empty = _empty(avatar, part, OPTIONAL[part])
        empty.empty_display_type, empty.empty_display_size = "PLAIN_AXES", size
        empty.show_in_front = True
        placed = avatar.record.has_jaw if part == "jaw" else avatar.record.has_brows
        empty.location = getattr(avatar.record, part).center if placed else usual[name]
        empty[USUAL_KEY] = [] if placed else list(empty.location)


def _take_over_optional(avatar: Avatar) -> None:
    empties = {part: empty for part, empty in shown(avatar).items() if part in OPTIONAL}
    moved = {
        part for part, empty in empties.items()
        if not len(empty[USUAL_KEY]) or (empty.matrix_world.translation - Vector(empty[USUAL_KEY])).length > MOVED
    }  # fmt: skip
    record = avatar.record
    record.has_jaw, record.has_brows = "jaw" in moved, bool(moved & set(BROWS)) and empties.keys() >= set(BROWS)
    for part, empty in empties.items():
        getattr(record, part).center = empty.matrix_world.translation
        bpy.data.objects.remove(empty)


def take_over(avatar: Avatar, context: bpy.types.Context) -> None:
    """Writes the empties' places and sizes into the record, trusts them fully, and removes the empties; the armature
    becomes active.
    """
    _take_over_optional(avatar)
    for part, empty in shown(avatar).items():
        marker = getattr(avatar.record, part)
        marker.center = empty.matrix_world.translation
        marker.half_width = abs(empty.scale.x)
        if part != "mouth":
            marker.half_height = abs(empty.scale.z)
        bpy.data.objects.remove(empty)
    select(context, avatar.armature)
    avatar.record.has_face = True
    avatar.record.eyes_confidence = avatar.record.mouth_confidence = 1.0
    for k in reversed([k for k, warning in enumerate(avatar.record.warnings) if warning.code == "face"]):
        avatar.record.warnings.remove(k)
