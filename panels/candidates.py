# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatars that were made from one picture, side by side, with their scores."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel

from ..avatar_addon import candidates
from ..avatar_addon.avatar import scene
from ..avatar_addon.client import engines
from ..avatar_addon.ui.sentences import sentence
from ..avatar_addon.ui.translation import tr
from .sidebar import SidebarPanel


class AVATARFORGE_PT_candidates(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_candidates"
    bl_label = "Candidates"

    @classmethod
    def poll(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        return avatar is not None and len(candidates.candidates_of(avatar)) > 1

    def draw(self, context: Context) -> None:
        layout, shown = self.layout, scene.find_avatar(context)
        layout.operator("avatar_forge.keep_candidate", icon="CHECKMARK")
        found = candidates.candidates_of(shown)
        if len({candidates.scores(avatar) for avatar in found}) < len(found):
            text = "Some candidates have the same score. Compare them by eye, or choose another generator."
            sentence(layout, context, text, "INFO")
        grid = layout.grid_flow(row_major=True, columns=2, even_columns=True, even_rows=True, align=True)
        for avatar in found:
            box = grid.box().column(align=True)
            image = avatar.armature.data.vrm_addon_extension.vrm1.meta.thumbnail_image if avatar.armature else None
            if image and image.preview:
                box.template_icon(icon_value=image.preview.icon_id, scale=4.0)
            button = box.operator(
                "avatar_forge.show_candidate", text=avatar.name, depress=avatar.mesh == shown.mesh, translate=False
            )
            button.mesh = avatar.mesh.name
            lines = box.column(align=True)
            lines.scale_y = 0.8
            for text in figures(avatar):
                lines.label(text=text, translate=False)


def figures(avatar: scene.Avatar) -> list[str]:
    """What tells candidates apart, a few letters a line: a card is half the sidebar wide."""
    record = avatar.record
    failed = sum(check.status == "FAIL" for check in record.checks)
    mesh = avatar.mesh.data
    triangles = f"{(len(mesh.loops) - 2 * len(mesh.polygons)) / 1000:.0f}"
    return [
        tr(engines.label("generators", record.engine)),
        f"{tr('Seed')} {record.seed}",
        f"{tr('Match')} {record.front_match:.2f}",
        tr("{} checks failed").format(failed) if failed else tr("Checks passed"),
        tr("{}k triangles").format(triangles),
    ]


CLASSES = (AVATARFORGE_PT_candidates,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
