# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the panels that is about the markers on a mesh."""

from __future__ import annotations

from bpy.types import Context, UILayout

from ..avatar_addon.picture import on_mesh
from ..avatar_addon.ui.sentences import sentence
from .picture_markers import draw_mirror

CHECK = "avatar_forge.check_mesh_markers"
DOUBTS = ("joints_unsure", "legs_hidden")  # notes that the markers answer


def draw_check(layout: UILayout) -> None:
    layout.operator(CHECK, text="Check Markers", icon="EMPTY_AXIS")


def draw_mesh_markers(layout: UILayout, context: Context) -> None:
    """What can be done with the markers that are shown."""
    root = on_mesh.root_of(context.scene)
    assert root
    box = layout.box()
    sentence(box, context, "Drag the markers that are out of place, then rig.", "INFO")
    if on_mesh.unsure(root):
        sentence(box, context, "Those with a question mark are estimates; check them first.", "QUESTION")
    row = box.row(align=True)
    row.operator("avatar_forge.view_mesh_markers", text="Front").side = "FRONT"
    row.operator("avatar_forge.view_mesh_markers", text="Side").side = "SIDE"
    draw_mirror(box, context, "avatar_forge.mirror_mesh_markers")
    column = box.column(align=True)
    column.scale_y = 1.3
    column.operator("avatar_forge.accept_mesh_markers", text="Rig with Markers (Enter)", icon="CHECKMARK")
    column.operator("avatar_forge.discard_mesh_markers", text="Discard (Esc)", icon="X")
