# SPDX-License-Identifier: GPL-3.0-or-later
"""What the markers on a picture and those on a mesh share while the right ones follow the left ones."""

from __future__ import annotations

from collections.abc import Mapping

import bpy


def hold_right(empties: Mapping[str, bpy.types.Object], on: bool) -> None:
    """While the right markers follow they cannot be picked."""
    for name, empty in empties.items():
        if name.startswith("right"):
            empty.hide_select = on
            if on:
                empty.select_set(False)


def are_dragged(depsgraph: bpy.types.Depsgraph, key: str, begins: str = "") -> bool:
    """Whether a marker has just been moved: an object whose property `key` is a name that begins so."""
    return any(
        isinstance(update.id, bpy.types.Object)
        and update.is_updated_transform
        and key in update.id
        and update.id[key].startswith(begins)
        for update in depsgraph.updates
    )
