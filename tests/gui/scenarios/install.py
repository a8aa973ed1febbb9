# SPDX-License-Identifier: GPL-3.0-or-later
"""A newcomer's first minutes: the tab in an empty file, the preferences, the installation of the backend, cancelled
and taken up again.
"""

import bpy
from window import MODULE, PICTURE, Heartbeat, backend, fresh, press, settings, state, tooltip, until_idle


def drive(g):
    yield from fresh(g)
    yield g.shot("empty-file")
    settings().picture = PICTURE
    yield from tooltip(g, "avatar_forge.make_avatar", "no-backend")
    bpy.context.preferences.system.use_online_access = False
    yield from press(g, "preferences.addon_show")
    yield 1.0
    yield g.shot("preferences")
    if not any(area.type == "PREFERENCES" for _window, area in g.areas()):
        g.fail("the preferences did not open")
    where = {"area_type": "PREFERENCES", "kind": "WINDOW", "across": 0.3, "top": 10}
    yield from press(g, "avatar_forge.show_install_plan", **where)
    yield 0.5
    yield g.shot("plan")
    if "uv pip install" not in bpy.context.preferences.addons[MODULE].preferences.shown_plan:
        g.fail("the commands are not shown")
    yield from press(g, "avatar_forge.install_backend", **where)
    yield 0.5
    yield g.shot("offline")
    if "internet" not in state().error:
        g.fail(f"an installation without permission for the internet said {state().error!r}")
    bpy.context.preferences.system.use_online_access = True
    heartbeat = Heartbeat()
    place = yield from press(g, "avatar_forge.install_backend", **where)
    yield g.shot("installing")
    yield from press(g, "avatar_forge.cancel", **where, near=place)
    yield from until_idle(g, 20)
    yield 0.3
    yield g.shot("cancelled")
    if backend().code == "ready":
        g.fail("the installation was not cancelled")
    yield from press(g, "avatar_forge.install_backend", **where)
    yield from until_idle(g, 500)
    heartbeat.stop(g)
    yield 0.5
    yield g.shot("installed")
    if state().error or not backend().ready:
        g.fail(state().error or backend().message)
