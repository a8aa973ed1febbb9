# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong is said in one sentence; what cannot be pressed says why."""

import bpy
from window import SHARED, finish, fresh, front, press, settings, state, tooltip, until_idle


def drive(g):
    yield from fresh(g)
    yield from tooltip(g, "avatar_forge.make_avatar", "no-picture")
    yield from tooltip(g, "avatar_forge.pose", "no-avatar")
    settings().picture = str(SHARED / "files/letter.png")
    yield 0.3
    yield g.shot("letter")
    yield from press(g, "avatar_forge.make_avatar")
    yield from until_idle(g, 60)
    yield 0.5
    yield g.shot("error")
    error = state().error
    if not error or "Traceback" in error or "\n" in error or not error.endswith("."):
        g.fail(f"a text file as a picture said {error!r}")
    if bpy.context.scene.objects:
        g.fail("a failed run left objects")
    settings().picture = str(SHARED / "files/nothing.png")
    yield from tooltip(g, "avatar_forge.make_avatar", "no-file")

    settings().picture = str(SHARED / "files/masked.png")
    yield from press(g, "avatar_forge.make_avatar")
    yield from finish(g, 120)
    yield from front(g)
    yield g.shot("doubtful")
    record = next(obj for obj in bpy.context.scene.objects if obj.avatar_forge.is_avatar).avatar_forge
    if not any(warning.code == "face" for warning in record.warnings):
        g.fail("a face that nobody can see was believed")
