# SPDX-License-Identifier: GPL-3.0-or-later
"""The markers on a mesh: check, look from another side, mirror, rig with them (Return), discard (Esc)."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty
from bpy.types import Context

from ..avatar_addon import by_hand
from ..avatar_addon.avatar import scene
from ..avatar_addon.client import engine_options
from ..avatar_addon.picture import on_mesh
from ..avatar_addon.ui.translation import tr
from .keys import ENTER, Keys
from .on_markers import DiscardMarkers, MirrorMarkers, OnMarkers, are_shown
from .task_operator import TaskOperator

_keys = Keys()


class AVATARFORGE_OT_check_mesh_markers(TaskOperator):
    bl_idname = "avatar_forge.check_mesh_markers"
    bl_label = "Check Markers on Mesh"
    bl_description = (
        "Show the joints, eyes and mouth on the mesh as it was before it was rigged. Drag those that are wrong,"
        " then rig again"
    )
    needs_backend = True

    @classmethod
    def ready(cls, context: Context) -> bool:
        if scene.find_avatar(context) is None:
            cls.poll_message_set("Select or import an avatar first")
            return False
        return True

    def steps(self, context: Context):
        return on_mesh.check(context, scene.need_avatar(context))


class AVATARFORGE_OT_accept_mesh_markers(TaskOperator):
    bl_idname = "avatar_forge.accept_mesh_markers"
    bl_label = "Rig with Markers"
    bl_description = (
        "Rig the mesh with the current markers, and make its T-pose and face. What you have changed on its shape or"
        " weights since the last rig is replaced (Enter)"
    )
    needs_backend = True

    @classmethod
    def ready(cls, context: Context) -> bool:
        return are_shown(cls, context, on_mesh)

    def steps(self, context: Context):
        settings = context.scene.avatar_forge
        options, seed = engine_options.rigger_options(settings), engine_options.rigger_seed(settings)
        return by_hand.rig_with_markers(context, settings.rigger, options, seed)


class AVATARFORGE_OT_discard_mesh_markers(DiscardMarkers):
    kind = on_mesh
    bl_idname = "avatar_forge.discard_mesh_markers"
    bl_description = "Close the markers. The avatar stays as it was (Esc)"


class AVATARFORGE_OT_mirror_mesh_markers(MirrorMarkers):
    kind = on_mesh
    bl_idname = "avatar_forge.mirror_mesh_markers"


class AVATARFORGE_OT_view_mesh_markers(OnMarkers):
    kind = on_mesh
    bl_idname = "avatar_forge.view_mesh_markers"
    bl_label = "View Markers"
    bl_options = {"REGISTER"}

    side: EnumProperty(
        name="View", items=[("FRONT", "Front", "Look from the front"), ("SIDE", "Side", "Look from the left side")]
    )

    @classmethod
    def description(cls, _context: Context, properties) -> str:
        if properties.side == "FRONT":
            return tr("Look at the markers from the front")
        return tr("Look at the markers from the left side. Those that you have moved lie in the middle of their limb")

    def execute(self, context: Context) -> set[str]:
        root = on_mesh.root_of(context.scene)
        assert root
        on_mesh.settle_depth(root)
        on_mesh.look_at(context, root, self.side)
        return {"FINISHED"}


CLASSES = (
    AVATARFORGE_OT_check_mesh_markers,
    AVATARFORGE_OT_accept_mesh_markers,
    AVATARFORGE_OT_discard_mesh_markers,
    AVATARFORGE_OT_mirror_mesh_markers,
    AVATARFORGE_OT_view_mesh_markers,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    on_mesh.register()
    _keys.add(AVATARFORGE_OT_accept_mesh_markers, *ENTER)
    _keys.add(AVATARFORGE_OT_discard_mesh_markers, "ESC")


def unregister() -> None:
    _keys.remove()
    on_mesh.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
