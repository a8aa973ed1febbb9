# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar in the browser."""

from __future__ import annotations

import bpy
from bpy.types import Context

from ..avatar_addon.avatar import scene
from ..avatar_addon.publish import view
from ..avatar_addon.viewer import server
from .avatar_steps import OnAvatar


class AVATARFORGE_OT_view(OnAvatar):
    bl_idname = "avatar_forge.view"
    bl_label = "View in Browser"
    bl_description = (
        "Open the avatar in the web browser, as applications show it: it breathes, blinks, looks at the pointer and"
        " talks. Nothing leaves this computer"
    )
    bl_options = {"REGISTER"}

    def steps(self, context: Context):
        address = yield from view.view(scene.need_avatar(context))
        bpy.ops.wm.url_open(url=address)


CLASSES = (AVATARFORGE_OT_view,)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    server.stop()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
