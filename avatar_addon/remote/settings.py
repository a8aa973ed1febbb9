# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket's settings, in the add-on's preferences: they are the user's, not the file's."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty
from bpy.types import PropertyGroup

from . import python_code

PORT = 9876  # where BlenderMCP's servers look
MODES = {
    "off": "Code is denied. Scene information, screenshots, models and avatars still work",
    "ask": (
        "You review each piece of code first, and run or deny it. It is denied if you do not answer within 45 seconds"
    ),
    "on": (
        "Code runs without asking. It can do anything that you can do on this computer, so use this only with"
        " clients that you trust"
    ),
}


def _mode_changed(settings: AvatarForgeRemote, _context) -> None:
    python_code.set_mode(settings.code)


class AvatarForgeRemote(PropertyGroup):
    port: IntProperty(
        name="Port",
        default=PORT,
        min=1024,
        max=65535,
        description="Port on this computer. BlenderMCP's servers use 9876",
    )
    code: EnumProperty(
        name="Code",
        items=[("off", "Off", MODES["off"]), ("ask", "Ask", MODES["ask"]), ("on", "On", MODES["on"])],
        default="ask",
        description="Whether clients may run Python in Blender",
        update=_mode_changed,
    )
    folders: StringProperty(
        name="Client Folders",
        subtype="DIR_PATH",
        description=(
            "Folders that clients may write files to, besides the folder of the open file and the extension's"
            " exports folder. Separate several folders as in PATH"
        ),
    )
    token: StringProperty(
        name="Token",
        subtype="PASSWORD",
        description=(
            "If set, only clients that send it are answered. Avatar Forge's own MCP server can send it;"
            " BlenderMCP's servers cannot"
        ),
    )


register, unregister = bpy.utils.register_classes_factory((AvatarForgeRemote,))
