# SPDX-License-Identifier: GPL-3.0-or-later
"""What every scenario needs: find a button by what it does, press it, and count whether the window stays alive.

Everything that waits is a generator for `yield from`; a value that is yielded is seconds to wait or a condition.
"""

import importlib
import os
import subprocess
import time
from pathlib import Path

import bpy

SHARED = Path(os.environ["AVATAR_FORGE_GUI"])
PICTURE = str(SHARED / "files/companion.png")
MODULE = "bl_ext.user_default.avatar_forge"
SCREEN_HEIGHT = int(os.environ["AVATAR_FORGE_SCREEN"].partition("x")[2])  # run.py says how large the window is
HEADER = 28  # pixels of a closed panel
STEP = 9  # pixels between two looks for a button; buttons are 20 high


def state():
    return bpy.context.window_manager.avatar_forge


def backend():
    """The state of the backend's environment."""
    return importlib.import_module(f"{MODULE}.avatar_addon.client.session").environment().state()


def settings():
    return bpy.context.scene.avatar_forge


def idle():
    return not state().running


def what_exists():
    """Everything an avatar is made of, by kind."""
    kinds = (
        "objects",
        "meshes",
        "armatures",
        "materials",
        "images",
        "actions",
        "collections",
        "scenes",
        "cameras",
        "worlds",
    )
    return {kind: sorted(item.name for item in getattr(bpy.data, kind)) for kind in kinds}


def choose(picture):
    """As the user does with the file browser, undo step included."""
    settings().picture = picture
    bpy.ops.ed.undo_push(message="Picture")
    yield 0.5


def sidebar(g):
    yield g.tab("Avatar")
    yield 0.4


def fresh(g):
    """An empty file with the sidebar's tab open."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    yield 0.5
    yield from sidebar(g)


def undo(g):
    """Ctrl+Z with the mouse over the viewport."""
    g.move(500, 500)
    g.key("ctrl+z")
    yield 1.5


def run_folders():
    """The folders in which the backend's jobs worked."""
    return set((SHARED / "user").glob(".user/*/avatar_forge/runs/*"))


def _under_mouse(area, region):
    """The operator of the button under the mouse, as Python, or ""."""
    manager = bpy.context.window_manager
    manager.clipboard = ""
    with bpy.context.temp_override(window=area[0], area=area[1], region=region):
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
    return manager.clipboard


def find(g, operator, having="", **where):
    """Moves the mouse down a region until it is on the button of `operator` ("avatar_forge.rig"); returns the place
    on the screen.

    having: what else is in the button's Python command, such as "apply=True"; where: see `look`.
    """
    yield lambda: _is_drawn(g, where.get("area_type", "VIEW_3D"), where.get("kind", "UI"))
    place = yield from look(g, operator, having, **where)
    if not place:  # a busy machine draws a button under the mouse later
        place = yield from look(g, operator, having, patience=0.25, **where)
    return place or g.fail(f"there is no button {operator} on the screen")


def _is_drawn(g, area_type, kind):
    """The region exists and has its size, which that of a window just opened has not."""
    regions = (r for _window, area in g.areas() if area.type == area_type for r in area.regions)
    return any(region.type == kind and min(region.width, region.height) > 1 for region in regions)


def look(g, operator, having="", kind="UI", area_type="VIEW_3D", across=0.4, top=40, near=None, depth=0, patience=0.06):
    """As `find`, or None. near: a place on the screen at which to begin; depth: pixels to look at from there, 0: all.

    patience: seconds until a button under the mouse has noticed it."""
    area = next(x for x in g.areas() if x[1].type == area_type)
    region = next(r for r in area[1].regions if r.type == kind)
    window = area[0]
    x = int(window.x + region.x + region.width * across)
    first = (
        SCREEN_HEIGHT - window.y - region.y - region.height + top
    )  # Blender counts from the bottom, the screen from the top
    for y in range(near[1] - 30 if near else first, near[1] + depth if depth else first + region.height - top, STEP):
        g.xdo("mousemove", x, y)
        yield patience
        if not _is_under_mouse(area, region, operator, having):
            continue
        g.xdo("mousemove", x, y + 4)
        yield 2 * patience
        if _is_under_mouse(
            area, region, operator, having
        ):  # else Blender still believed the mouse on the button where it was before
            return x, y + 4
    return None


def _is_under_mouse(area, region, operator, having):
    command = _under_mouse(area, region)
    return command.startswith(f"bpy.ops.{operator}(") and having in command


def open_panel(g, operator, depth=3 * HEADER, **where):
    """Opens the panel that has a button of `operator` within `depth` pixels, closes the others. where: see `look`."""
    window, area = next(x for x in g.areas() if x[1].type == "VIEW_3D")
    region = next(r for r in area.regions if r.type == "UI")
    x, top = int(region.x + region.width * 0.3), SCREEN_HEIGHT - window.y - region.y - region.height
    for number in range(12):
        y = top + HEADER // 2 + number * HEADER
        g.move(x, y)
        g.xdo("keydown", "ctrl")
        g.xdo("click", 1, "sleep", 0.2)
        g.xdo("keyup", "ctrl")
        yield 1.2  # the panels slide
        if (yield from look(g, operator, near=(x, y), depth=depth, **where)):
            return
        g.click_at(x, y)  # closes it again, so that the next header lies below
        yield 1.0
    g.fail(f"there is no panel with {operator}")


def open_blend(g, path):
    """As the user does, with the file browser: a file that a script's timer loads leaves other add-ons' timers
    without a window.
    """
    if bpy.data.is_dirty:
        g.fail("the file has changes that are not saved, which Blender would ask about")
    window, area = g.area()
    with bpy.context.temp_override(window=window, area=area, region=g.region("WINDOW")):
        bpy.ops.wm.open_mainfile("INVOKE_DEFAULT", filepath=path)
    yield 1.0
    loaded = []

    @bpy.app.handlers.persistent  # others are forgotten by the loading
    def note(*_args):
        loaded.append(path)

    bpy.app.handlers.load_post.append(note)
    yield from press(g, "file.execute", kind="EXECUTE", area_type="FILE_BROWSER", across=0.85, top=5)
    yield lambda: bool(loaded)
    bpy.app.handlers.load_post.remove(note)
    yield 0.7


def press(g, operator, **where):
    """Presses a button with the mouse."""
    x, y = yield from find(g, operator, **where)
    g.click_at(x, y)
    yield 0.3
    return x, y


def tooltip(g, operator, name, **where):
    """Rests the mouse on a button until Blender explains it, and takes a screenshot."""
    x, y = yield from find(g, operator, **where)
    g.move(x + 8, y)
    yield 1.6
    yield g.shot(name)
    g.move(500, 300)
    yield 0.2


def front(g):
    """As one would look at it: from the front, with its colours."""
    for _window, area in g.areas():
        if area.type == "VIEW_3D":
            area.spaces.active.shading.color_type = "TEXTURE"
    g.move(90, 860)
    g.key("KP_1", "Home")
    yield 1.0


def rest(g):
    """Takes the mouse off the button: Blender draws one under the mouse as it was when it was pressed."""
    g.move(90, 860)
    yield 0.3


def in_japanese(g, name):
    """A screenshot of what is shown now, in Japanese."""
    view = bpy.context.preferences.view
    before = view.language
    view.language = "ja_JP"
    view.use_translate_interface = view.use_translate_tooltips = True
    yield 1.0
    yield g.shot(name)
    view.language = before
    yield 1.0


def when(stages, act):
    """Calls `act` as soon as the task is in one of the stages; the tool itself looks too seldom. Returns a list: the
    stage it was.

    Name the later stages as well: on a busy machine a short one is over between two looks of the task's own timer.
    """
    seen = []

    def look():
        if not state().running or seen:
            return None if seen else 0.005
        if state().stage in stages:
            seen.append(state().stage)
            act()
        return 0.005

    bpy.app.timers.register(look)
    return seen


def escape():
    """The Esc key, at once, and again after a second in which nothing has heard it."""
    subprocess.Popen(["xdotool", "key", "Escape"])

    def again():
        if state().running and state().message != "Cancelling":
            escape()

    bpy.app.timers.register(again, first_interval=1.0)


def until(g, condition, seconds):
    """Waits longer than the tool's own half minute."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            g.fail(f"not after {seconds} s: {state().title} {state().stage} {state().message} {state().error}")
        yield 0.1


def until_idle(g, seconds):
    """Waits for the task's end."""
    yield from until(g, idle, seconds)


def finish(g, seconds):
    """Waits until the task has ended, and fails if it did not succeed."""
    yield from until_idle(g, seconds)
    if state().error:
        g.fail(state().error)


class Heartbeat:
    """Counts timer ticks and redraws of the sidebar, by the task's stage, and the longest pause between two ticks."""

    INTERVAL = 0.02

    def __init__(self):
        self.ticks = self.redraws = 0
        self.longest = {}  # stage -> seconds
        self.drawn = {}  # stage -> redraws
        self.fractions = []
        self._last = time.monotonic()
        self._timer = self._tick  # a bound method is a new object every time
        self._handle = bpy.types.SpaceView3D.draw_handler_add(self._draw, (), "UI", "POST_PIXEL")
        bpy.app.timers.register(self._timer)

    def _tick(self):
        now = time.monotonic()
        self.ticks += 1
        stage = state().stage or state().message
        self.longest[stage] = max(self.longest.get(stage, 0.0), now - self._last)
        self._last = now
        return self.INTERVAL

    def _draw(self):
        self.redraws += 1
        if state().running:
            stage = state().stage or state().message
            self.drawn[stage] = self.drawn.get(stage, 0) + 1
            self.fractions.append(state().fraction)

    def stop(self, g):
        bpy.app.timers.unregister(self._timer)
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "UI")
        g.log(f"{self.ticks} timer ticks, {self.redraws} redraws")
        for stage, seconds in self.longest.items():
            g.log(f"  {stage or 'idle'}: longest pause {seconds:.2f} s, drawn {self.drawn.get(stage, 0)} times")

    def expect_life(self, g, stages):
        """Fails where fewer than so many stages were drawn, or the bar went back."""
        if len(self.drawn) < stages:
            g.fail(f"the window was only drawn during {list(self.drawn)}")
        if self.fractions != sorted(self.fractions):
            g.fail(f"the progress bar went back: {self.fractions}")
