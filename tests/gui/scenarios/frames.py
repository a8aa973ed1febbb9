# SPDX-License-Identifier: GPL-3.0-or-later
"""How the window lives while a task runs: frame times of the sidebar by stage, printed as a table (see docs/performance.md).

A frame is a redraw that was asked for as soon as the one before was done. Stages of the backend must leave the window alone;
those that are Blender's own work block it, and the table says for how long.
"""

import time

import bpy
from window import PICTURE, choose, press, sidebar, state, until_idle

LIMIT = 1000 / 30  # milliseconds


class Frames:
    """Redraws the sidebar without a pause and notes how long each frame took, by the task's stage."""

    def __init__(self):
        self.times = {}  # stage -> milliseconds
        self._last = None
        self._timer = self._ask
        self._handle = bpy.types.SpaceView3D.draw_handler_add(self._drawn, (), "UI", "POST_PIXEL")
        bpy.app.timers.register(self._timer)

    def _ask(self):
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "VIEW_3D":
                    next(region for region in area.regions if region.type == "UI").tag_redraw()
        return 0.0

    def _drawn(self):
        now = time.perf_counter()
        if self._last is not None:
            stage = (state().stage or "starting") if state().running else "idle"
            self.times.setdefault(stage, []).append(1000 * (now - self._last))
        self._last = now

    def stop(self, g, title):
        bpy.app.timers.unregister(self._timer)
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "UI")
        g.log(f"{title}: frame times in milliseconds")
        g.log(f"| {'stage':12} | {'seconds':>7} | {'frames':>6} | {'median':>6} | {'95 %':>6} | {'longest':>7} | over {LIMIT:.0f} |")
        for stage, times in self.times.items():
            ordered = sorted(times)
            share = [ordered[min(int(part * len(ordered)), len(ordered) - 1)] for part in (0.5, 0.95)]
            over = sum(one > LIMIT for one in ordered)
            figures = f"{share[0]:6.1f} | {share[1]:6.1f} | {ordered[-1]:7.1f} | {over:7} |"
            g.log(f"| {stage:12} | {sum(times) / 1000:7.2f} | {len(times):6} | {figures}")


def drive(g):
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    yield 0.5
    yield from sidebar(g)
    yield from choose(PICTURE)
    g.move(90, 860)
    frames = Frames()
    yield 3.0
    frames.stop(g, "Nothing runs")
    for again in ("first", "second"):
        yield from press(g, "avatar_forge.make_avatar")
        g.move(90, 860)
        frames = Frames()
        yield from until_idle(g, 120)
        frames.stop(g, f"Make Avatar, the {again} time")
        if state().error:
            g.fail(state().error)

    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    yield 0.5
    yield from sidebar(g)
    yield from choose(PICTURE)
    yield from press(g, "avatar_forge.generate")
    yield from until_idle(g, 60)
    avatar = next(obj for obj in bpy.context.scene.objects if obj.avatar_forge.is_avatar)
    modifier = avatar.modifiers.new("Finer", "SUBSURF")
    modifier.subdivision_type, modifier.levels = "SIMPLE", 2
    bpy.ops.object.modifier_apply(modifier=modifier.name)
    avatar.data.calc_loop_triangles()
    g.log(f"a mesh of {len(avatar.data.loop_triangles):,} triangles is rigged")
    avatar.hide_set(True)  # drawing so many in software is no matter of ours
    yield 1.0
    yield from press(g, "avatar_forge.rig")
    g.move(90, 860)
    frames = Frames()
    yield lambda: state().stage not in ("", "rig")
    yield g.shot("rigging-a-million")
    yield from until_idle(g, 400)
    frames.stop(g, "Rig of a mesh with many triangles")
    if state().error:
        g.fail(state().error)
