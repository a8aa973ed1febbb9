# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way with the mouse: picture, Make Avatar, progress in a living window, the avatar, undo, redo, saved and
loaded.
"""

import importlib

import bpy
from window import MODULE, SHARED, Heartbeat, choose, finish, front, open_blend, press, sidebar, state, what_exists


def drive(g):
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    yield 0.5
    blend = str(SHARED / "files/saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=blend)
    yield from sidebar(g)
    yield from choose("//companion.png")
    yield g.shot("picture")
    before = what_exists()
    heartbeat = Heartbeat()
    yield from press(g, "avatar_forge.make_avatar")
    yield lambda: state().fraction > 0.1
    yield g.shot("progress")
    yield from finish(g, 120)
    heartbeat.stop(g)
    heartbeat.expect_life(g, stages=6)
    yield from front(g)
    yield g.shot("avatar")
    made = what_exists()
    if not (made["armatures"] and bpy.context.scene.objects):
        g.fail("there is no avatar in the scene")
    states = importlib.import_module(f"{MODULE}.avatar_addon.workflow_states")
    find_avatar = importlib.import_module(f"{MODULE}.avatar_addon.avatar.scene").find_avatar
    if states.states(find_avatar(bpy.context))["export"].state != "next":
        g.fail("nothing was exported, but the panel does not offer it as the next step")

    g.key("ctrl+z")
    yield 1.5
    yield g.shot("undone")
    if left := {kind: names for kind, names in what_exists().items() if set(names) - set(before[kind])}:
        g.fail(f"one undo left {left}")
    g.key("ctrl+shift+z")
    yield 1.5
    yield g.shot("redone")
    if what_exists() != made:
        g.fail(f"redo brought {what_exists()} instead of {made}")

    bpy.ops.wm.save_mainfile()
    yield 0.3
    yield from open_blend(g, blend)
    yield from sidebar(g)
    yield g.shot("loaded")
    avatar = next(obj for obj in bpy.context.scene.objects if obj.avatar_forge.is_avatar)
    if not (avatar.avatar_forge.has_face and avatar.find_armature()):
        g.fail("the loaded file does not know its avatar")
    yield from press(g, "avatar_forge.set_up_vrm")
    yield from finish(g, 60)
