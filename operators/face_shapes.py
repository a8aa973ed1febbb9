# SPDX-License-Identifier: GPL-3.0-or-later
"""The face's shape keys: back to rest, visemes as usual again, and those that came with the mesh bound to the VRM
expressions.
"""

from __future__ import annotations

import bpy
from bpy.types import Context

from ..avatar_addon.avatar import scene
from ..avatar_addon.face import existing_shapes, live
from ..avatar_addon.ui.translation import tr
from ..avatar_addon.vrm.spec.presets import VISEMES
from .on_avatar import OnRiggedAvatar


class _OnShapeKeys(OnRiggedAvatar):
    @classmethod
    def ready(cls, _context: Context, avatar: scene.Avatar) -> bool:
        if not avatar.mesh.data.shape_keys:
            cls.poll_message_set("The avatar has no shape keys; make its face first")
            return False
        return True


class AVATARFORGE_OT_rest_face(_OnShapeKeys):
    bl_idname = "avatar_forge.rest_face"
    bl_label = "Neutral Face"
    bl_description = "Set every expression to 0"

    def act(self, _context: Context, avatar: scene.Avatar) -> None:
        live.show_alone(avatar.mesh)


class AVATARFORGE_OT_reset_visemes(_OnShapeKeys):
    bl_idname = "avatar_forge.reset_visemes"
    bl_label = "Reset to Defaults"
    bl_description = "Reset strength, width and corners of every viseme to their defaults"

    def act(self, _context: Context, avatar: scene.Avatar) -> None:
        for name in VISEMES:
            viseme = getattr(avatar.record.visemes, name)
            if viseme.as_style() != live.Viseme():
                for setting in ("strength", "width", "corners"):
                    viseme.property_unset(setting)
                live.preview(avatar.mesh, name)
        live.show_alone(avatar.mesh)


class AVATARFORGE_OT_bind_shape_keys(OnRiggedAvatar):
    bl_idname = "avatar_forge.bind_shape_keys"
    bl_label = "Bind Existing Shape Keys"
    bl_description = (
        "Recognise shape keys by name (VRM, VRoid, VRChat, ARKit, MMD) and bind them to the VRM expressions"
    )

    @classmethod
    def ready(cls, _context: Context, avatar: scene.Avatar) -> bool:
        if not any(obj.data.shape_keys for obj in scene.meshes(avatar)):
            cls.poll_message_set("No mesh of the avatar has shape keys")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        bound, said = existing_shapes.bind(scene.need_avatar(context))
        self.report({"INFO"} if bound else {"WARNING"}, tr(said))
        return {"FINISHED"} if bound else {"CANCELLED"}


CLASSES = (AVATARFORGE_OT_rest_face, AVATARFORGE_OT_reset_visemes, AVATARFORGE_OT_bind_shape_keys)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
