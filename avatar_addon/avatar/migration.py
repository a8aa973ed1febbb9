# SPDX-License-Identifier: GPL-3.0-or-later
"""Records in files of earlier versions, whose properties had other names, brought up to date as files are opened."""

from __future__ import annotations

from typing import Any

import bpy

FORMAT = 2  # of a record: 0 is version 0.1's; 1 knows no drawn mouths
# Of version 0.1: old name -> name. In this order, since run_folder had another meaning.
RENAMED = {
    "run_folder": "job_folder",
    "recorded": "run_folder",
    "story": "provenance",
    "faceless": "mesh_without_face",
}


def mark(record: bpy.types.PropertyGroup) -> None:
    """Makes an object's record that of a new avatar."""
    record.is_avatar, record.format = True, FORMAT


def migrate() -> None:
    """Brings the records of all avatars in the file up to date."""
    for obj in bpy.data.objects:
        record = obj.avatar_forge
        if not record.is_avatar or record.format >= FORMAT or obj.library:
            continue
        stored = _stored(obj)
        values = {new: stored[old] for old, new in RENAMED.items() if old in stored}
        for old in RENAMED:
            if old in stored:
                del stored[old]
        for name, value in values.items():
            setattr(record, name, value)
        if record.mesh_without_face:  # the face that it has is made again as it is
            record.mouth_style = "CUT"
        record.format = FORMAT


def _stored(obj: bpy.types.Object) -> Any:
    """What the file has of the record, those properties included that are not registered any more."""
    of_system = getattr(obj, "bl_system_properties_get", None)  # Blender 5.0 keeps them apart from custom properties
    return (of_system() if of_system else obj)["avatar_forge"]


@bpy.app.handlers.persistent
def _after_load(*_: Any) -> None:
    migrate()


def register() -> None:
    bpy.app.handlers.load_post.append(_after_load)
    if hasattr(bpy.data, "objects"):
        migrate()
    else:  # Blender is starting, or enables the extension in a way that keeps the file from it
        bpy.app.timers.register(migrate, first_interval=0.0)


def unregister() -> None:
    if bpy.app.timers.is_registered(migrate):
        bpy.app.timers.unregister(migrate)
    bpy.app.handlers.load_post.remove(_after_load)
