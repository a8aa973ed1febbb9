# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the sidebar and the preferences take to draw: `.venv/bpy-4.5.15/bin/python -m benchmarks.panels`.

Draws the sample avatar with 300 bones (two humanoid ones wrong, all groups of their panel open), 60 shape keys, a
failed report card and 200 other objects in the scene, into a layout that does what Blender does beside painting: it
polls each button's operator and reads each property. One row a panel: milliseconds, median and slowest of 200
redraws; with `--profile` also what takes the time. Blender redraws the sidebar at every movement of the mouse over
it.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib
import os
import pstats
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import MethodType, SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
EXTENSION = "bl_ext.user_default.avatar_forge"
BONES, SHAPE_KEYS, OBJECTS, REDRAWS = 300, 60, 200, 200


class Layout:
    """A UILayout that paints nothing."""

    def __init__(self, ops):
        self._ops = ops

    def __getattr__(self, name):
        return lambda *_args, **_options: self

    def panel(self, *_args, **_options):
        return self, self

    panel_prop = panel

    def operator(self, name, **_options):
        group, _, which = name.partition(".")
        getattr(getattr(self._ops, group), which).poll()
        return SimpleNamespace()

    def prop(self, data, name, *_args, **_options):
        getattr(data, name)

    prop_search = prop


class Drawn:
    """Stands for an instance of a panel or of the preferences, of which scripts can make none; `layout` is ours."""

    def __init__(self, cls, layout, real=None):
        self._cls, self._real, self.layout = cls, real, layout

    def __getattr__(self, name):
        if self._real is None or name.startswith("_draw"):
            return MethodType(getattr(self._cls, name), self)
        return getattr(self._real, name)


def make_scene(bpy, addon) -> None:
    """The avatar as described above, and a backend that looks installed."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    workflow, tasks, session, scene = (addon(name) for name in ("workflow", "tasks", "session", "scene"))
    request = workflow.Request(ROOT / "examples/companion.png", record=False)
    tasks.Task("Make", workflow.make_avatar(bpy.context, request), session.worker).wait()
    avatar = scene.find_avatar(bpy.context)
    scene.select(bpy.context, avatar.armature)  # the slower of the two, and the one after a run
    bpy.ops.object.mode_set(mode="EDIT")
    bones = avatar.armature.data.edit_bones
    for number in range(BONES - len(bones)):
        bone = bones.new(f"hair.{number:03}")
        bone.head, bone.tail = (0, 0, 1), (0, 0.1, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.avatar_forge.find_bones()  # what the matcher says is drawn as well
    addon("humanoid.bones").change(avatar.armature, {"leftHand": "rightFoot", "rightHand": ""})
    for number in range(SHAPE_KEYS - len(avatar.mesh.data.shape_keys.key_blocks)):
        avatar.mesh.shape_key_add(name=f"detail.{number:02}", from_mix=False)
    for number in range(OBJECTS):
        bpy.context.scene.collection.objects.link(
            bpy.data.objects.new(f"prop.{number:03}", bpy.data.meshes.new("prop"))
        )
    for check in list(avatar.record.checks)[::3]:
        check.status = "FAIL"
    avatar.record.promoted_key, avatar.record.promoted_url = (
        "avatars/companion-v1.vrm",
        "https://cdn.example.org/companion-v1.vrm",
    )
    session.close()
    del os.environ["AVATAR_FORGE_BACKEND_PYTHON"]
    environment = session.environment()
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)
    environment.write_record({"environment": "1", "packages": environment._digest("base.txt"), "check": "1"})
    assert environment.state().ready
    session.preferences().bucket, session.preferences().endpoint = "avatars", "http://127.0.0.1:8333"


def drawings(bpy, addon):
    """(name, function that draws it once) of every panel that shows itself, and of the preferences."""
    layout, context = Layout(bpy.ops), bpy.context
    for cls in sorted(
        (c for c in bpy.types.Panel.__subclasses__() if c.__name__.startswith("AVATARFORGE_PT_")),
        key=lambda c: c.__name__,
    ):

        def draw(cls=cls):
            panel = Drawn(cls, layout)
            if not hasattr(cls, "poll") or cls.poll(context):
                if "draw_header" in vars(cls):
                    panel.draw_header(context)
                panel.draw(context)

        yield cls.__name__, draw
    preferences = addon("client.session").preferences()
    cls = addon("preferences.preferences").AvatarForgePreferences
    yield "preferences", lambda: cls.draw(Drawn(cls, layout, preferences), context)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    resources = Path(os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="avatar-forge-")))
    os.environ.setdefault("AVATAR_FORGE_BACKEND_PYTHON", str(ROOT / ".venv/backend/bin/python"))
    folder = resources / "extensions/user_default"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "avatar_forge").symlink_to(ROOT, target_is_directory=True)
    import bpy

    bpy.ops.preferences.addon_enable(module=EXTENSION)

    def addon(name):
        return importlib.import_module(f"{EXTENSION}.avatar_addon.{name}")

    make_scene(bpy, addon)
    print(f"{'panel':26} {'median':>8} {'slowest':>8}  milliseconds")
    for name, draw in drawings(bpy, addon):
        seconds = []
        for _ in range(REDRAWS):
            start = time.perf_counter()
            draw()
            seconds.append(time.perf_counter() - start)
        print(f"{name:26} {1000 * statistics.median(seconds):8.2f} {1000 * max(seconds):8.2f}")
        if options.profile:
            profile = cProfile.Profile()
            profile.runcall(lambda draw=draw: [draw() for _ in range(REDRAWS)])
            pstats.Stats(profile).sort_stats("cumulative").print_stats(16)


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)  # bpy can hang or crash while the interpreter shuts down
