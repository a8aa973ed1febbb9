# SPDX-License-Identifier: GPL-3.0-or-later
"""The face markers as empties in the viewport. An empty's scale is the marker's size: x half width, z half height."""

from __future__ import annotations

import bpy
from mathutils import Vector

from ..avatar.scene import Avatar, read_face, select, set_face_by_hand
from ..errors import AvatarError
from ..landmarks import BROWS, OPTIONAL, PARTS, REQUIRED, FaceLandmarks, Landmark, Part
from .synthesis.measures import usual_places

PART_KEY = "avatar_forge_marker"  # a Part's attribute
USUAL_KEY = "avatar_forge_usual"  # where an optional marker is meant to be, while it is not placed
MOVED = 5e-4  # metres
MOUTH_FLATNESS = 0.3  # the mouth has no height of its own; drawn so


def shown(avatar: Avatar) -> dict[str, bpy.types.Object]:
    """A Part's attribute -> empty, of those in the file."""
    return {obj[PART_KEY]: obj for obj in (avatar.armature.children if avatar.armature else ()) if PART_KEY in obj}


def show(avatar: Avatar, context: bpy.types.Context) -> None:
    """Makes the empties, or puts those that are there back to where the record has them; the mouth becomes active."""
    for name in REQUIRED:
        empty = _empty(avatar, PARTS[name])
        stored = getattr(avatar.record, PARTS[name].attribute)
        half = stored.half_width or 0.02
        empty.empty_display_type, empty.empty_display_size = "SPHERE", 1.0
        empty.show_in_front = True
        empty.location = stored.center
        empty.scale = (
            half,
            half * 0.2,
            stored.half_height if name != "mouth" and stored.half_height else half * MOUTH_FLATNESS,
        )
    _show_optional(avatar)
    select(context, shown(avatar)["mouth"])


def _empty(avatar: Avatar, part: Part) -> bpy.types.Object:
    empty = shown(avatar).get(part.attribute)
    if empty is None:
        empty = bpy.data.objects.new(f"{avatar.name} {part.label}", None)
        avatar.mesh.users_collection[0].objects.link(empty)
        empty.parent = avatar.armature
        empty[PART_KEY] = part.attribute
    return empty


def _show_optional(avatar: Avatar) -> None:
    """Brows and jaw as crosses; they count once they were moved."""
    known = read_face(avatar)
    try:
        usual = usual_places(known)
    except AvatarError:  # eyes and mouth are where no face can be; brows and jaw come with the next look
        return
    size = max(avatar.record.mouth.half_width, 0.01) * 0.6
    for name in OPTIONAL:
        empty = _empty(avatar, PARTS[name])
        empty.empty_display_type, empty.empty_display_size = "PLAIN_AXES", size
        empty.show_in_front = True
        placed = known.parts.get(name)
        empty.location = placed.center if placed else usual[name]
        empty[USUAL_KEY] = [] if placed else list(empty.location)


def take_over(avatar: Avatar, context: bpy.types.Context) -> None:
    """Writes the empties' places and sizes into the record, trusts them fully, and removes the empties; the armature
    becomes active. Brows and jaw that were left where they usually are do not count, one brow alone neither.
    """
    there = shown(avatar)
    empties = {part.name: there[part.attribute] for part in PARTS.values() if part.attribute in there}
    moved = {name for name in OPTIONAL if name in empties and _is_moved(empties[name])}
    if not moved.isdisjoint(BROWS):
        moved |= set(BROWS)
    found = {}
    for name, empty in empties.items():
        if name in REQUIRED:
            high = 0.0 if name == "mouth" else abs(empty.scale.z)
            found[name] = Landmark(tuple(empty.matrix_world.translation), abs(empty.scale.x), high)
        elif name in moved:
            found[name] = Landmark(tuple(empty.matrix_world.translation))
    if not all(name in found for name in BROWS):
        found = {name: mark for name, mark in found.items() if name not in BROWS}
    avatar.record.has_brows = avatar.record.has_jaw = False
    set_face_by_hand(avatar, FaceLandmarks(found))
    for empty in empties.values():
        bpy.data.objects.remove(empty)
    select(context, avatar.armature)
    avatar.record.has_face = True


def _is_moved(empty: bpy.types.Object) -> bool:
    usual = empty[USUAL_KEY]
    return not len(usual) or (empty.matrix_world.translation - Vector(usual)).length > MOVED
