# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels share: their place in the sidebar, and that most of them are about a rigged avatar."""

from __future__ import annotations

from bpy.types import Context

from ..avatar_addon.avatar import scene
from ..avatar_addon.ui.translation import OURS


class SidebarPanel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Avatar"
    bl_translation_context = OURS


class RiggedAvatarPanel(SidebarPanel):
    """Closed until it is wanted, and there only with a rigged avatar. Subclasses that need more than a skeleton give
    `applies`.
    """

    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        return avatar is not None and avatar.armature is not None and cls.applies(avatar)

    @classmethod
    def applies(cls, _avatar: scene.Avatar) -> bool:
        """As `poll`, for the subclass; the avatar has an armature."""
        return True
