# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar in Japanese: an error is read, an avatar made, and the panels are looked at one after the other."""

import bpy
from window import (
    HEADER,
    PICTURE,
    SHARED,
    choose,
    finish,
    front,
    open_panel,
    press,
    rest,
    settings,
    sidebar,
    state,
    until_idle,
)

PANELS = {
    "import": "avatar_forge.bring_in",
    "bones": "avatar_forge.find_bones",
    "pose": "avatar_forge.preview_t_pose",
    "weights": "avatar_forge.find_places",
    "face": "avatar_forge.show_face_markers",
    "look": "avatar_forge.set_style",
    "licence": "avatar_forge.add_meta_preset",
    "notes": "avatar_forge.copy_diagnostic",
    "publish": "avatar_forge.check",
    "remote": "avatar_forge.start_remote",
}
ACROSS = {"licence": 0.82}  # a small button at the right


def drive(g):
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    yield 0.5
    view = bpy.context.preferences.view
    view.language = "ja_JP"
    view.use_translate_interface = view.use_translate_tooltips = True
    yield 0.5
    if bpy.app.translations.pgettext_iface("Make Avatar") == "Make Avatar":
        g.fail("the extension's texts stay English")
    yield from sidebar(g)
    yield from choose(str(SHARED / "files/letter.png"))
    yield from press(g, "avatar_forge.make_avatar")
    yield from until_idle(g, 60)
    if not state().error:
        g.fail("a letter became an avatar")
    yield from rest(g)
    yield g.shot("error")
    yield from choose(PICTURE)
    settings().export = False
    yield from press(g, "avatar_forge.make_avatar")
    yield from finish(g, 120)
    yield from front(g)
    yield g.shot("made")
    for name, operator in PANELS.items():
        yield from open_panel(g, operator, depth=5 * HEADER, across=ACROSS.get(name, 0.4))
        if name == "publish":
            yield from press(g, operator)
            yield from finish(g, 60)
        yield from rest(g)
        yield g.shot(name)
