# SPDX-License-Identifier: GPL-3.0-or-later
"""The VRM Add-on for Blender as a library: the one that is installed, else the wheel that comes with this extension."""

from __future__ import annotations

import bpy

from ..errors import AvatarError

WHEEL = "io_scene_vrm"


def is_available() -> bool:
    return hasattr(bpy.types.Armature, "vrm_addon_extension")


def need_addon() -> None:
    """Enables the bundled VRM Add-on unless there is one already; two at once would fight over the same properties.
    Raises AvatarError.
    """
    if is_available():
        return
    try:
        enabled = bpy.ops.preferences.addon_enable(module=WHEEL) == {"FINISHED"}
    except RuntimeError:
        enabled = False
    if not enabled or not is_available():
        raise AvatarError(
            "The VRM Add-on is missing; install 'VRM format' from Blender's extensions and try again.", "no_vrm_addon"
        )


def extension(armature: bpy.types.Object):
    """The VRM Add-on's properties of an armature object."""
    return armature.data.vrm_addon_extension
