# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that press one of the add-on's buttons in the 3D view. The operators poll, so that a key does what it usually
does wherever the button cannot be pressed, and nothing has to stay modal.
"""

from __future__ import annotations

import contextlib

import bpy

MODES = {"OBJECT": "Object Mode", "POSE": "Pose"}  # mode -> its key map
ENTER = ("RET", "NUMPAD_ENTER")


class Keys:
    """The key map items of one module; `add` in register(), `remove` in unregister()."""

    def __init__(self) -> None:
        self._items: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []

    def add(self, operator: type[bpy.types.Operator], *keys: str, modes: tuple[str, ...] = ("OBJECT",)) -> None:
        """keys: Blender's event types. Nothing is added in the background, which has no key configuration."""
        config = bpy.context.window_manager.keyconfigs.addon
        for mode in modes if config else ():
            keymap = config.keymaps.new(name=MODES[mode], space_type="EMPTY")
            self._items += [(keymap, keymap.keymap_items.new(operator.bl_idname, key, "PRESS")) for key in keys]

    def remove(self) -> None:
        for keymap, item in self._items:
            with contextlib.suppress(ReferenceError, RuntimeError):  # the key configuration was reloaded
                keymap.keymap_items.remove(item)
        self._items.clear()
