# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that lets VS Code find Blender."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy.types import Context, Event, Operator

from ..avatar_addon.client import session
from ..avatar_addon.errors import AvatarError, reason_of
from ..avatar_addon.remote import settings
from ..avatar_addon.remote.protocol import vscode
from ..avatar_addon.ui.translation import tr

EXTENSION = Path(__file__).resolve().parents[1]


class AVATARFORGE_OT_write_mcp_json(Operator):
    bl_idname = "avatar_forge.write_mcp_json"
    bl_label = "Set Up VS Code"
    bl_description = (
        "Write .vscode/mcp.json and .mcp.json with BlenderMCP's and Avatar Forge's servers into the folder that you"
        " open in VS Code. Existing entries are kept"
    )

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: Context, _event: Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, _context: Context) -> set[str]:
        preferences = session.preferences()
        port = preferences.remote.port if preferences else settings.PORT
        token = preferences.remote.token if preferences else ""
        try:
            kept = vscode.keep_token(session.user_folder("mcp") / "token", token) if token else None
            files, changed = vscode.write(Path(bpy.path.abspath(self.directory)), port, EXTENSION, kept)
        except AvatarError as error:
            self.report({"ERROR"}, tr(str(error)))
            return {"CANCELLED"}
        except OSError as error:
            self.report(
                {"ERROR"},
                tr(f"The file cannot be written ({reason_of(error)}); choose another folder."),
            )
            return {"CANCELLED"}
        listed = f"{files[0]} and {files[1].name}"
        self.report({"INFO"}, tr(f"Wrote {listed}" if changed else f"Everything is already in {listed}"))
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory((AVATARFORGE_OT_write_mcp_json,))
