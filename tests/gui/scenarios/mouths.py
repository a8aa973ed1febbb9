# SPDX-License-Identifier: GPL-3.0-or-later
"""A drawn face's mouth cards are exchanged for a mouth that is cut open and back, with the menu of the Face panel."""

import bpy
from window import PICTURE, choose, find, finish, fresh, front, in_japanese, open_panel, press, rest, settings

INSIDE = {"Mouth", "Teeth", "Tongue"}
ROW = 24  # pixels from one row of the panel to the next


def mesh():
    return next(obj for obj in bpy.context.scene.objects if obj.avatar_forge.is_avatar)


def slots():
    return {slot.material.name.removeprefix("Mina ") for slot in mesh().material_slots}


def drive(g):
    visemes = bpy.types.AVATARFORGE_PT_visemes
    bpy.utils.unregister_class(visemes)
    visemes.bl_options = set()  # open, which the sidebar remembers of a panel only after it has been drawn
    bpy.utils.register_class(visemes)
    yield from fresh(g)
    yield from choose(PICTURE)
    settings().name = "Mina"
    yield from press(g, "avatar_forge.make_avatar")
    yield from finish(g, 900)
    yield from open_panel(g, "avatar_forge.show_face_markers")
    if "MouthCards" not in slots():
        g.fail(f"the drawn face has no cards by style, but {slots()}")
    yield from mouths(g, "CUT", "cut")
    if not slots() >= INSIDE or "MouthCards" in slots():
        g.fail(f"with a mouth that is cut open the materials are {slots()}")
    yield from mouths(g, "DRAWN", "cards")
    if slots() & INSIDE or "MouthCards" not in slots():
        g.fail(f"with cards the materials are {slots()}")
    yield from in_japanese(g, "cards-japanese")


def mouths(g, style, name):
    """Chooses the style from its menu, regenerates, and looks at the open mouth."""
    region = g.region("UI")
    g.move(int(region.x + region.width * 0.4), 400)
    to_the_end(g)
    yield 1.0
    _x, y = yield from find(g, "avatar_forge.reset_visemes")
    g.click_at(int(region.x + region.width * 0.8), y + ROW)
    yield 0.6
    yield g.shot(f"{name}-menu")
    g.key({"CUT": "c", "DRAWN": "d"}[style])  # the letter that is underlined
    yield 0.6
    if mesh().avatar_forge.mouth_style != style:
        g.fail(f"the menu has chosen {mesh().avatar_forge.mouth_style}")
    yield g.shot(f"{name}-chosen")
    yield from press(g, "avatar_forge.face")
    yield from finish(g, 200)
    mesh().data.shape_keys.key_blocks["aa"].value = 1.0
    yield from front(g)
    yield from rest(g)
    yield g.shot(name)


def to_the_end(g):
    """The lower end of the panels, where the mouth's settings are."""
    for _ in range(40):
        g.xdo("click", 5)
