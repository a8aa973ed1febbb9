# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the first panel that is about pictures of further sides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bpy.types import Context, UILayout

from ..avatar_addon.client import engines
from ..avatar_addon.picture import cards
from ..avatar_addon.ui.sentences import sentence


def draw_picture_cards(layout: UILayout, context: Context, thumbnail: Callable[[str], int]) -> None:
    """A card for each further picture, two in a row. thumbnail: the icon of a picture file, 0 without one."""
    settings = context.scene.avatar_forge
    row = layout.row(align=True)
    row.operator("avatar_forge.add_pictures", text="Other Sides", icon="ADD")
    row.operator("avatar_forge.cut_sheet", icon="IMGDISPLAY")
    if not settings.cards:
        return
    grid = layout.grid_flow(row_major=True, columns=2, even_columns=True, even_rows=True, align=True)
    for index, card in enumerate(settings.cards):
        _card(grid.box().column(align=True), context, card, index, thumbnail)
    sentence(layout, context, "Left and right are the character's own.", "INFO")
    if not _takes_further(settings.engine):
        sentence(layout, context, "This generator uses the front picture only.", "ERROR")
    if settings.cards_note:
        sentence(layout.box(), context, settings.cards_note, "ERROR")
    row = layout.row(align=True)
    row.operator("avatar_forge.check_pictures", icon="VIEWZOOM")
    if settings.cards_swap or {"left", "right"} & {card.kind for card in settings.cards}:
        swap = row.row(align=True)
        swap.alert = settings.cards_swap
        swap.operator("avatar_forge.swap_sides", icon="ARROW_LEFTRIGHT")


def _card(
    layout: UILayout, context: Context, card: cards.AvatarForgeCard, index: int, thumbnail: Callable[[str], int]
) -> None:
    shown = str(cards.file_of(card)) if card.mirror else card.picture
    icon = thumbnail(shown)
    picture = layout.column()
    picture.active = card.kind != "ignore"
    if icon:
        picture.template_icon(icon_value=icon, scale=4.0)
    else:
        picture.label(text=Path(card.picture).name, icon="IMAGE_DATA", translate=False)
    row = layout.row(align=True)
    row.prop(card, "kind", text="")
    row.prop(card, "mirror", text="", icon="MOD_MIRROR")
    row.operator("avatar_forge.remove_picture", text="", icon="X").index = index
    if card.why and card.kind == "ignore":
        sentence(layout, context, cards.WHY.get(card.why, card.why))


def _takes_further(engine: str) -> bool:
    return int(engines.row_of("generators", engine).get("views", 1)) > 1
