# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender as VS Code uses it: the socket started with its button, then a conversation through the real servers
(tests/mcp/record.py), which run beside it; the window lives meanwhile, and what was made can be taken back.
"""

import importlib
import time

import bpy
from window import MODULE, SHARED, Heartbeat, fresh, front, open_panel, press, rest, what_exists

DONE = SHARED / "talk/done"
PORT = 9888  # the network is the machine's, where somebody may be at work
SECONDS = 240


def drive(g):
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.remote.code, preferences.remote.port = "on", PORT
    preferences.remote.folders = str(DONE.parent)
    yield from fresh(g)
    yield from open_panel(g, "avatar_forge.start_remote")
    yield from rest(g)
    before = what_exists()
    yield from press(g, "avatar_forge.start_remote")
    heartbeat = Heartbeat()
    until = time.monotonic() + SECONDS
    table = importlib.import_module(f"{MODULE}.avatar_addon.remote.work").TABLE
    shown = False
    while not DONE.exists():
        if time.monotonic() > until:
            g.fail("the conversation has not ended")
        yield 0.2
        if table.active and not shown and table.active[0]["fraction"] > 0.3:
            yield g.shot("job")
            shown = True
    heartbeat.stop(g)
    yield from rest(g)
    if not {"Mia", "Statue"} <= set(bpy.context.scene.objects.keys()):
        g.fail(f"there is no Mia and no Statue, but {what_exists()['objects']}")
    for obj in bpy.context.scene.objects:
        obj.select_set(False)
    yield from front(g)
    yield g.shot("made")
    DONE.with_name("seen").touch()
    taken_back = [  # one step each: code that moves, the import, the report card; then the avatar
        lambda: tuple(bpy.data.objects["Statue"].location) == (0, 0, 0),
        lambda: "Statue" not in bpy.data.objects and "Mia" in bpy.data.objects,
        lambda: "Mia" in bpy.data.objects,
    ]
    for number, expected in enumerate(taken_back):
        yield from undo(g)
        if not expected():
            g.fail(f"undo number {number + 1} left {what_exists()['objects']}")
    yield from undo(g)
    if (
        what_exists()["objects"] != before["objects"]
    ):  # the server's script for `look` makes an image and removes it, which may be a step
        yield from undo(g)
    if what_exists()["objects"] != before["objects"]:
        g.fail(f"the avatar is not one step: {what_exists()['objects']}")
    yield g.shot("undone")


def undo(g):
    g.move(500, 500)
    g.key("ctrl+z")
    yield 1.5
