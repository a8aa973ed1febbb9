# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices whether a command has changed anything: an undo step for a mere look would be one that takes nothing back."""

from __future__ import annotations

import bpy

_count = 0
_drawn = 0
_handle: object | None = None


def count() -> int:
    """Grows with every change of the file that Blender's dependency graph was told of, which is all but custom
    properties.
    """
    bpy.context.view_layer.update()
    return _count


def sizes() -> tuple[int, ...]:
    """How many datablocks of each kind there are."""
    return tuple(
        len(getattr(bpy.data, prop.identifier)) for prop in bpy.data.bl_rna.properties if prop.type == "COLLECTION"
    )


def drawn() -> int:
    """Grows whenever a 3D viewport is drawn: whatever changes what it shows makes Blender draw it again."""
    return _drawn


def note() -> None:
    """Something has changed that Blender may not tell of."""
    global _count
    _count += 1


@bpy.app.handlers.persistent
def _changed(*_args) -> None:
    note()


def _draws() -> None:
    global _drawn
    _drawn += 1


def _handlers() -> tuple:
    known = bpy.app.handlers
    return known.depsgraph_update_post, known.frame_change_post, known.undo_post, known.redo_post, known.load_post


def watch() -> None:
    global _handle
    if _handle is None:
        for handlers in _handlers():
            handlers.append(_changed)
        _handle = bpy.types.SpaceView3D.draw_handler_add(_draws, (), "WINDOW", "POST_PIXEL")


def unwatch() -> None:
    global _handle
    if _handle is not None:
        for handlers in _handlers():
            if _changed in handlers:
                handlers.remove(_changed)
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None
