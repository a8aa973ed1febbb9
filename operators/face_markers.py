# SPDX-License-Identifier: GPL-3.0-or-later
"""The face markers as empties in the viewport: show, drag, take over."""

from __future__ import annotations

import bpy
from bpy.types import Context

from ..avatar_addon.avatar import scene
from ..avatar_addon.face import marker_objects
from .on_avatar import OnRiggedAvatar


class AVATARFORGE_OT_show_face_markers(OnRiggedAvatar):
    bl_idname = "avatar_forge.show_face_markers"
    bl_label = "Edit Markers"
    bl_description = (
        "Show eyes and mouth as ellipses, brows and jaw as crosses. Move and scale those that are wrong, then"
        " press Apply Markers"
    )

    def act(self, context: Context, avatar: scene.Avatar) -> None:
        marker_objects.show(avatar, context)


class AVATARFORGE_OT_apply_face_markers(OnRiggedAvatar):
    bl_idname = "avatar_forge.apply_face_markers"
    bl_label = "Apply Markers"
    bl_description = "Use the current marker positions and make the face again"

    @classmethod
    def ready(cls, _context: Context, avatar: scene.Avatar) -> bool:
        if not marker_objects.shown(avatar):
            cls.poll_message_set("Press Edit Markers first")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        marker_objects.take_over(scene.need_avatar(context), context)
        return bpy.ops.avatar_forge.face("INVOKE_DEFAULT") if not bpy.app.background else bpy.ops.avatar_forge.face()


CLASSES = (AVATARFORGE_OT_show_face_markers, AVATARFORGE_OT_apply_face_markers)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
