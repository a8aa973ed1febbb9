# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the first panel that is about the markers on the picture."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.types import Context, UILayout

from ..avatar_addon.picture import markers
from ..avatar_addon.ui.sentences import sentence


def draw_picture_markers(layout: UILayout, context: Context) -> None:
    """Check Markers; while they are shown what can be done with them, afterwards that they are used."""
    settings = context.scene.avatar_forge
    root = markers.root_of(context.scene)
    if root is None:
        row = layout.row(align=True)
        row.operator("avatar_forge.check_markers", icon="EMPTY_AXIS")
        if settings.checked_markers:
            row.operator("avatar_forge.forget_picture_markers", text="", icon="X")
            picture = Path(bpy.path.abspath(settings.picture)).resolve() if settings.picture else Path()
            if markers.accepted(context.scene, picture):
                layout.label(text="Uses your markers", icon="CHECKMARK")
        return
    box = layout.box()
    if reason := markers.note(root):
        sentence(box, context, reason, "ERROR")
        sentence(box, context, "You can still make the avatar if you place all markers by hand.")
    else:
        sentence(box, context, "Drag the markers that are out of place, then accept.", "INFO")
        if markers.unsure(root):
            sentence(box, context, "Those with a question mark are estimates; check them first.", "QUESTION")
    draw_mirror(box, context, "avatar_forge.mirror_picture_markers")
    row = box.row(align=True)
    row.scale_y = 1.3
    row.operator("avatar_forge.accept_picture_markers", text="Accept (Enter)", icon="CHECKMARK")
    row.operator("avatar_forge.discard_picture_markers", text="Discard (Esc)", icon="X")


def draw_mirror(layout: UILayout, context: Context, operator: str) -> None:
    """The option that the right markers follow, and the operator that mirrors them once."""
    row = layout.row(align=True)
    row.prop(context.scene.avatar_forge, "mirror_markers", toggle=True, icon="MOD_MIRROR")
    row.operator(operator, text="Left to Right")
