# SPDX-License-Identifier: GPL-3.0-or-later
"""The face markers as empties in the viewport. An empty's scale is the marker's size: x half width, z half height."""

from __future__ import annotations

import bpy

from .scene import Avatar, select

PARTS = {"left_eye": "Left Eye", "right_eye": "Right Eye", "mouth": "Mouth"}
PART_KEY = "avatar_forge_marker"
MOUTH_FLATNESS = 0.3  # the mouth has no height of its own; drawn so


def shown(avatar: Avatar) -> dict[str, bpy.types.Object]:
    """part -> empty, of those in the file."""
    return {obj[PART_KEY]: obj for obj in (avatar.armature.children if avatar.armature else ()) if PART_KEY in obj}


def show(avatar: Avatar, context: bpy.types.Context) -> None:
    """Makes the empties, or puts those that are there back to where the record has them; the mouth becomes active."""
    present = shown(avatar)
    for part, label in PARTS.items():
        empty = present.get(part)
        if empty is None:
            empty = bpy.data.objects.new(f"{avatar.name} {label}", None)
            avatar.mesh.users_collection[0].objects.link(empty)
            empty.parent = avatar.armature
            empty[PART_KEY] = part
        marker = getattr(avatar.record, part)
        half = marker.half_width or 0.02
        empty.empty_display_type, empty.empty_display_size = "SPHERE", 1.0
        empty.show_in_front = empty.show_name = True
        empty.location = marker.center
        empty.scale = (half, half * 0.2, marker.half_height if part != "mouth" and marker.half_height else half * MOUTH_FLATNESS)
    select(context, shown(avatar)["mouth"])


def take_over(avatar: Avatar, context: bpy.types.Context) -> None:
    """Writes the empties' places and sizes into the record, trusts them fully, and removes the empties; the armature becomes active."""
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
