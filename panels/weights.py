# SPDX-License-Identifier: GPL-3.0-or-later
"""The weights: problem places with the worst at the top, each shown in the viewport and fixed by button."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel, UILayout

from ..avatar_addon.avatar import scene
from ..avatar_addon.ui.sentences import progress, sentence
from ..avatar_addon.ui.translation import tr
from ..avatar_addon.weights import live
from ..avatar_addon.weights.analysis import find
from ..operators.weights import AVATARFORGE_OT_reweight_limb
from .sidebar import RiggedAvatarPanel

ICONS = {"WARN": "ERROR", "FAIL": "CANCEL"}
MEANING = {
    "island": "This part stays behind when the avatar moves. Bind it to the bone that it belongs to.",
    "unweighted": "This skin stays behind when the avatar moves. Fill its weights from the surrounding skin.",
    "stray": "This skin is pulled away by the other limb. Re-weight this limb.",
    "leak": "This skin moves when the other limb moves. Re-weight this limb.",
    "follow": "This skin does not move with its bones. Re-weight this limb.",
    "stretch": "There are spikes or webs in this pose. Smooth the weights, or re-weight the limb.",
    "crack": "The skin opens along a seam in this pose. Close the crack.",
    "influences": "Browsers use only the four strongest weights, so the skin jumps. Normalise the weights.",
    "sum": "Some programs shrink the skin here. Normalise the weights.",
}
COUNTED = ("influences", "sum")  # their sentences have the number of vertices in them


class AVATARFORGE_PT_weights(RiggedAvatarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_weights"
    bl_label = "Weights"

    def draw_header(self, context: Context) -> None:
        avatar = scene.find_avatar(context)
        places = avatar.record.weights.places
        if places and live.is_current(avatar):
            self.layout.label(icon=ICONS[places[0].severity])

    def draw(self, context: Context) -> None:
        layout, avatar = self.layout, scene.find_avatar(context)
        weights, state = avatar.record.weights, context.window_manager.avatar_forge
        mine = state.title == AVATARFORGE_OT_reweight_limb.bl_label
        if mine and state.running:
            progress(layout, state)
        else:
            layout.operator("avatar_forge.find_places", icon="VIEWZOOM")
        if mine and state.error:
            sentence(layout.box(), context, state.error, "ERROR")
        if not weights.token:
            sentence(layout, context, "Not checked yet.", "INFO")
        elif not live.is_current(avatar):
            sentence(layout, context, "The mesh has changed since; find the issues again.", "INFO")
        elif not weights.places:
            sentence(layout, context, "No issues found.", "CHECKMARK")
        else:
            _draw_places(layout, context, weights)
        if weights.token and weights.partial:
            sentence(
                layout, context, "Humanoid bones are missing. Assign them to find leaks and tears as well.", "INFO"
            )
        if weights.place is None or not live.is_current(avatar):
            _draw_whole(layout, weights)


def _draw_places(layout: UILayout, context: Context, weights: live.AvatarForgeWeights) -> None:
    count = len(weights.places)
    row = layout.row(align=True)
    text = (
        tr(f"Issue {weights.shown + 1} of {count}")
        if weights.place
        else tr(f"{count} issues" if count > 1 else "One issue")
    )
    row.label(text=text, translate=False)
    row.operator("avatar_forge.next_weights_place", text="", icon="TRIA_LEFT").step = -1
    row.operator("avatar_forge.next_weights_place", text="", icon="TRIA_RIGHT").step = 1
    column = layout.column(align=True)
    for index, place in enumerate(weights.places):
        shown = index == weights.shown
        row = column.row(align=True)
        row.alert = place.severity == "FAIL" and not shown
        button = row.operator(
            "avatar_forge.show_weights_place",
            text=tr(place.name),
            icon=ICONS[place.severity],
            depress=shown,
            translate=False,
        )
        button.index = index
        if shown:
            _draw_place(column.box(), context, weights, place)
    if any(place.fix in find.SAFE for place in weights.places):
        layout.operator("avatar_forge.fix_safe_places", icon="CHECKMARK")


def _draw_place(
    box: UILayout, context: Context, weights: live.AvatarForgeWeights, place: live.AvatarForgePlace
) -> None:
    """What it is in full, and every button that may fix it, the usual one first."""
    sentence(box, context, f"{tr(place.name)} {tr(MEANING[place.kind])}" if place.kind in COUNTED else _in_full(place))
    if place.fix in (find.FILL, find.CLOSE, find.NORMALISE):
        box.operator(f"avatar_forge.{place.fix}")
        if place.fix == find.NORMALISE:
            return
    if place.fix == find.SMOOTH:
        box.operator("avatar_forge.smooth_weights")
    if place.loose:
        column = box.column(align=True)
        column.prop_search(weights, "bone", weights.id_data.find_armature().data, "bones", text="")
        column.operator("avatar_forge.bind_island", icon="BONE_DATA")
    _draw_limb(box, weights)
    if place.fix != find.SMOOTH:
        box.operator("avatar_forge.smooth_weights")


def _in_full(place: live.AvatarForgePlace) -> str:
    return f"{tr(place.name)} {tr(f'{place.count} vertices.')} {tr(MEANING[place.kind])}"


def _draw_limb(layout: UILayout, weights: live.AvatarForgeWeights) -> None:
    column = layout.column(align=True)
    column.prop(weights, "limb", text="")
    column.operator("avatar_forge.reweight_limb", icon="MOD_VERTEX_WEIGHT")


def _draw_whole(layout: UILayout, weights: live.AvatarForgeWeights) -> None:
    """What needs no place."""
    layout.separator()
    _draw_limb(layout, weights)
    row = layout.row(align=True)
    row.operator("avatar_forge.normalise_weights")
    row.operator("avatar_forge.close_cracks")


CLASSES = (AVATARFORGE_PT_weights,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
