# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket's settings, in the add-on's preferences: they are the user's, not the file's."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty
from bpy.types import PropertyGroup

from . import python_code

PORT = 9876  # where BlenderMCP's servers look


def _mode_changed(settings: AvatarForgeRemote, _context) -> None:
    python_code.set_mode(settings.code)


class AvatarForgeRemote(PropertyGroup):
    port: IntProperty(
        name="Port",
        default=PORT,
        min=1024,
        max=65535,
        description="On this computer only; BlenderMCP's servers look at 9876",
    )
    code: EnumProperty(
        name="Code",
        items=[(name, name.capitalize(), text) for name, text in python_code.MODES.items()],
        default="ask",
        description="Whether clients may run Python in Blender",
        update=_mode_changed,
    )
    folders: StringProperty(
        name="Folders for Clients",
        subtype="DIR_PATH",
        description=(
            "Where clients may write files, besides the folder of the open file and the extension's exports folder;"
            " several are separated as in PATH"
        ),
    )
    token: StringProperty(
        name="Token",
        subtype="PASSWORD",
        description=(
            "If set, only clients that know it are answered: Avatar Forge's own MCP server. BlenderMCP's servers know"
            " of none"
        ),
    )


register, unregister = bpy.utils.register_classes_factory((AvatarForgeRemote,))
