# SPDX-License-Identifier: GPL-3.0-or-later
"""How the window lives while a task runs, by the task's stage, printed as tables (see docs/performance.md).

Ticks: pauses between the rounds of Blender's event loop, which only draws what the add-on asks for; a pause is how
long a click waits. Frames: the same with a redraw of the sidebar asked for in every round; without a GPU, drawing
takes most of it, as "Nothing runs" shows. Ours: the longest look of the add-on's timer at the task in that stage,
which includes what a step works in Blender. Stages of the backend must leave the window alone; those in Blender block
it, and the table says for how long. For the panels see benchmarks/panels.py.
"""

import importlib
import time

import bpy
from window import MODULE, PICTURE, choose, fresh, press, state, until_idle

LIMIT = 1000 / 30  # milliseconds


class Life:
    """Notes pauses, or frames, and the add-on's own calls."""

    def __init__(self, redraw=False):
        self.redraw = redraw
        self.pauses = {}  # stage -> milliseconds
        self.ours = {}  # stage -> the longest call, milliseconds
        self._last = None
        self._slot = importlib.import_module(f"{MODULE}.avatar_addon.client.task_slot")
        self._poll, self._slot.poll = self._slot.poll, self._timed
        self._timer = self._tick
        self._handle = bpy.types.SpaceView3D.draw_handler_add(self._drawn, (), "UI", "POST_PIXEL")
        bpy.app.timers.register(self._timer)

    def _timed(self, task):
        stage, job, start = self._stage(), task._running, time.perf_counter()
        try:
            return self._poll(task)
        finally:
            if job and task._running is not job:  # with the job's result in hand, Blender works until the next stage
                stage = f"after {stage}"
            self.ours[stage] = max(self.ours.get(stage, 0.0), 1000 * (time.perf_counter() - start))

    def _stage(self):
        return (state().stage or "starting") if state().running else "idle"

    def _note(self):
        now = time.perf_counter()
        if self._last is not None:
            since, stage = self._last
            self.pauses.setdefault(stage, []).append(1000 * (now - since))
        self._last = now, self._stage()

    def _tick(self):
        if not self.redraw:
            self._note()
            return 0.0
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "VIEW_3D":
                    next(region for region in area.regions if region.type == "UI").tag_redraw()
        return 0.0

    def _drawn(self):
        if self.redraw:
            self._note()

    def stop(self, g, title):
        bpy.app.timers.unregister(self._timer)
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "UI")
        self._slot.poll = self._poll
        g.log(f"{title}: {'frames' if self.redraw else 'ticks'}, milliseconds")
        g.log(
            f"| {'stage':15} | seconds | {'count':>6} | median |   95 % | longest | over {LIMIT:.0f} | ours, longest |"
        )
        for stage, pauses in self.pauses.items():
            ordered = sorted(pauses)
            median, most = (ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in (0.5, 0.95))
            over, ours = sum(one > LIMIT for one in ordered), self.ours.get(stage, 0.0)
            figures = f"{median:6.1f} | {most:6.1f} | {ordered[-1]:7.1f} | {over:7} | {ours:13.1f} |"
            g.log(f"| {stage:15} | {sum(pauses) / 1000:7.2f} | {len(pauses):6} | {figures}")
        for stage, longest in self.ours.items():
            if stage not in self.pauses:
                g.log(f"| {stage:15} | {'':7} | {'':6} | {'':6} | {'':6} | {'':7} | {'':7} | {longest:13.1f} |")


def drive(g):
    yield from fresh(g)
    yield from choose(PICTURE)
    g.move(90, 300)
    for redraw in (False, True):
        life = Life(redraw)
        yield 3.0
        life.stop(g, "Nothing runs")
    for again in ("first", "second"):
        yield from press(g, "avatar_forge.make_avatar")
        g.move(90, 300)
        life = Life()
        yield from until_idle(g, 120)
        life.stop(g, f"Make Avatar, the {again} time")
        if state().error:
            g.fail(state().error)

    for obj in list(bpy.data.objects):  # loading a file from a script upsets the VRM Add-on's timer
        bpy.data.objects.remove(obj)
    g.view3d(bpy.ops.avatar_forge.generate)
    yield from until_idle(g, 60)
    avatar = next(obj for obj in bpy.context.scene.objects if obj.avatar_forge.is_avatar)
    modifier = avatar.modifiers.new("Finer", "SUBSURF")
    modifier.subdivision_type, modifier.levels = "SIMPLE", 2
    bpy.ops.object.modifier_apply(modifier=modifier.name)
    avatar.data.calc_loop_triangles()
    g.log(f"a mesh of {len(avatar.data.loop_triangles):,} triangles is rigged")
    avatar.hide_set(True)  # drawing so many in software is no matter of ours
    yield 1.0
    g.view3d(bpy.ops.avatar_forge.rig)
    life = Life(redraw=True)
    yield lambda: state().stage == "weights"
    life.stop(g, "Rig of a mesh with many triangles, until its weights")
    life = Life(redraw=True)
    yield 15.0
    life.stop(g, "... 15 seconds of its weights")
    yield g.shot("rigging")
    life = Life()
    yield from until_idle(g, 400)
    life.stop(g, "... and the rest")
    if state().error:
        g.fail(state().error)
