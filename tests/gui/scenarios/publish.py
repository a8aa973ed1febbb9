# SPDX-License-Identifier: GPL-3.0-or-later
"""From the finished avatar to the bucket, by mouse: the card, a fault found and fixed, two versions promoted, the
lists, the run.
"""

import os
import webbrowser

import bpy
from window import (
    MODULE,
    PICTURE,
    SHARED,
    choose,
    find,
    finish,
    fresh,
    front,
    open_blend,
    open_panel,
    press,
    rest,
    settings,
    sidebar,
    state,
    tooltip,
    until_idle,
)

GO, JS = SHARED / "files/models.go", SHARED / "files/models.js"
FAULT = "viseme_oh"


def record():
    return next(obj for obj in bpy.context.scene.objects if obj.avatar_forge.is_avatar).avatar_forge


def status(name):
    return record().checks[name].status


def view():
    """Where the 3D view looks: place and distance."""
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    region = area.spaces.active.region_3d
    return (*(round(v, 3) for v in region.view_location), round(region.view_distance, 3))


def check(g):
    yield from press(g, "avatar_forge.check")
    yield from finish(g, 60)
    yield from rest(g)


def drive(g):
    opened = []
    webbrowser.open = lambda address, *_args, **_kw: opened.append(address) or True
    GO.write_text('package models\n\nvar AllowedAvatarModels = []string{\n\t"Old-v1.vrm",\n}\n')
    JS.write_text("export const AllowedAvatarModels = ['Old-v1.vrm'];\n")
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.bucket = preferences.endpoint = ""

    yield from fresh(g)
    yield from choose(PICTURE)
    settings().name = "Momo"
    yield from press(g, "avatar_forge.make_avatar")
    yield from finish(g, 200)
    yield from front(g)
    yield from open_panel(g, "avatar_forge.check")
    yield from rest(g)
    yield g.shot("card")
    if not record().checks or any(entry.status == "FAIL" for entry in record().checks):
        g.fail(
            "the sample's card is"
            f" {[(entry.title, entry.figure) for entry in record().checks if entry.status != 'PASS']}"
        )
    yield from tooltip(g, "avatar_forge.promote", "no-bucket")

    yield from press(g, "avatar_forge.set_up_publishing", across=0.83)
    yield 1.0
    yield g.shot("preferences")
    for _ in range(12):
        g.xdo("click", 5)  # the wheel
    yield 0.5
    yield g.shot("preferences-below")
    for window in bpy.context.window_manager.windows[1:]:
        with bpy.context.temp_override(window=window):
            bpy.ops.wm.window_close()
    yield 0.5

    yield from broken_and_mended(g)
    yield from promoted(g, preferences)
    yield from registered(g, preferences)

    yield from press(g, "avatar_forge.open_run")
    yield from finish(g, 30)
    if len(opened) != 1 or not opened[0].startswith("file:") or not opened[0].endswith("run.html"):
        g.fail(f"Open Run opened {opened}")

    blend = str(SHARED / "files/published.blend")
    bpy.ops.wm.save_as_mainfile(filepath=blend)
    yield 0.5  # Blender notes a moment later that nothing is unsaved
    card = [(entry.name, entry.status, entry.figure) for entry in record().checks]
    yield from open_blend(g, blend)
    yield from sidebar(g)
    yield from rest(g)
    yield g.shot("loaded")
    if card != [(entry.name, entry.status, entry.figure) for entry in record().checks] or not record().promoted_url:
        g.fail("the loaded file has forgotten its card or its promotion")


def broken_and_mended(g):
    """A viseme that moves nothing is found, explained, shown in the viewport and fixed by the button that is
    offered.
    """
    keys = next(obj for obj in bpy.context.scene.objects if obj.avatar_forge.is_avatar).data.shape_keys
    for point, place in zip(keys.key_blocks["oh"].data, keys.reference_key.data, strict=True):
        point.co = place.co
    bpy.ops.ed.undo_push(message="Sculpt")
    yield from check(g)
    if status(FAULT) != "FAIL":
        g.fail("a viseme that moves nothing was not found")
    yield g.shot("fault")
    g.key("ctrl+z")
    yield 1.0
    if status(FAULT) != "PASS":
        g.fail("undo did not bring the card of before back")
    g.key("ctrl+shift+z")
    yield 1.0
    if status(FAULT) != "FAIL":
        g.fail("redo did not bring the card back")

    yield from tooltip(g, "avatar_forge.promote", "failed-check")
    before = view()
    yield from press(g, "avatar_forge.explain_check", having=f"index={record().checks.find(FAULT)}")
    yield from rest(g)
    yield g.shot("explained")
    if view() == before:
        g.fail("the view did not go to the mouth")
    yield from press(g, "avatar_forge.face")
    yield from finish(g, 60)
    yield from check(g)
    yield g.shot("fixed")
    if status(FAULT) != "PASS":
        g.fail(f"the face was made again, and yet: {record().checks[FAULT].figure}")


def promoted(g, preferences):
    """Twice into a real bucket; the second time under the next version."""
    preferences.bucket, preferences.endpoint = os.environ["AVATAR_FORGE_BUCKET"], os.environ["AVATAR_FORGE_ENDPOINT"]
    preferences.region, preferences.cdn_url = "us-east-1", "https://cdn.example.org/{key}"
    for version in (1, 2):
        yield from press(g, "avatar_forge.promote")
        if version == 1:
            yield lambda: state().stage == "upload" or not state().running
            yield g.shot("promoting")
        yield from until_idle(g, 120)
        if state().error:
            yield g.shot("refused")
            g.fail(state().error)
        if bpy.context.window_manager.clipboard != f"https://cdn.example.org/momo-v{version}.vrm":
            g.fail(f"on the clipboard is {bpy.context.window_manager.clipboard!r}")
    yield from rest(g)
    yield g.shot("promoted")


def registered(g, preferences):
    """Shown first, written only then."""
    x, y = yield from find(g, "avatar_forge.open_run")
    g.click_at(x, y + 30)  # opens the panel below
    yield 1.0
    yield from tooltip(g, "avatar_forge.register", "no-lists")
    preferences.go_list, preferences.js_list = str(GO), str(JS)
    before = GO.read_text(), JS.read_text()
    yield from press(g, "avatar_forge.register", having="apply=False")
    yield from finish(g, 30)
    yield from rest(g)
    yield g.shot("changes")
    if (GO.read_text(), JS.read_text()) != before or settings().diff.count("+") < 2:
        g.fail("the changes were not only shown")
    yield from press(g, "avatar_forge.register", having="apply=True", across=0.7)
    yield from finish(g, 30)
    yield from rest(g)
    yield g.shot("written")
    if (
        '\t"Old-v1.vrm",\n\t"momo-v2.vrm",\n' not in GO.read_text()
        or "['Old-v1.vrm', 'momo-v2.vrm']" not in JS.read_text()
    ):
        g.fail(f"the lists are now {GO.read_text()!r} and {JS.read_text()!r}")
