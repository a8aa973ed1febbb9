# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines on a real Ray cluster: set up in the preferences, tested, no worker, one that joins, the avatar, Esc, another
file in the middle, asked again.
"""

import json
import os
import urllib.request
from pathlib import Path

import bpy
from window import (
    MODULE,
    PICTURE,
    Heartbeat,
    choose,
    escape,
    finish,
    fresh,
    front,
    open_blend,
    press,
    rest,
    settings,
    sidebar,
    state,
    until,
    until_idle,
    when,
)

ADDRESS, FOLDER = os.environ["AVATAR_FORGE_RAY"], Path(os.environ["AVATAR_FORGE_RAY_FOLDER"])
ROOT = os.environ["AVATAR_FORGE_ROOT"]
WORKING = ("mask", "inflate", "surface", "texture", "write")


def jobs():
    """id -> status of the cluster's jobs."""
    with urllib.request.urlopen(f"{ADDRESS}/api/jobs/", timeout=10) as answer:
        return {row["submission_id"]: row["status"] for row in json.load(answer)}


def preferences():
    return bpy.context.preferences.addons[MODULE].preferences


def tested(g, name):
    where = {"area_type": "PREFERENCES", "kind": "WINDOW", "across": 0.5, "top": 10}
    yield from press(g, "avatar_forge.test_cluster", **where)
    yield from until_idle(g, 60)
    for _ in range(12):
        g.xdo("click", 5)  # the wheel
    yield 0.5
    yield g.shot(name)
    for _ in range(12):
        g.xdo("click", 4)
    yield 0.5


def drive(g):
    chosen = preferences()
    yield from fresh(g)
    bpy.ops.preferences.addon_show(module=MODULE)
    yield 1.0
    chosen.show_backend, chosen.show_cluster = False, True
    chosen.cluster_address = "http://127.0.0.1:9"
    yield 0.5
    yield from tested(g, "no-head")
    if "There is no Ray cluster at http://127.0.0.1:9" not in state().error:
        g.fail(f"a head that is not there said {state().error!r}")
    chosen.cluster_address, chosen.cluster_shared = ADDRESS, str(FOLDER)
    chosen.cluster_python, chosen.cluster_root = f"{ROOT}/.venv/cluster/bin/python", ROOT
    chosen.executor = "ray"
    yield 0.5
    yield from tested(g, "head-without-worker")
    if "No worker offers 3d_gen" not in chosen.cluster_offer:
        g.fail(f"a cluster without a worker said {chosen.cluster_offer!r} {state().error!r}")
    for window in bpy.context.window_manager.windows[1:]:
        with bpy.context.temp_override(window=window):
            bpy.ops.wm.window_close()
    yield 0.5

    yield from choose(PICTURE)
    yield from sidebar(g)
    heartbeat = Heartbeat()
    yield from press(g, "avatar_forge.make_avatar")
    yield from until(g, lambda: "No worker offers" in state().message, 10)
    yield from rest(g)
    yield g.shot("waiting-for-worker")
    (FOLDER / "join").touch()
    yield from until(g, lambda: state().stage in WORKING or not state().running, 180)
    yield g.shot("working")
    yield from finish(g, 240)
    heartbeat.stop(g)
    yield from front(g)
    yield g.shot("made")
    if list(jobs().values()) != ["SUCCEEDED"] or not bpy.data.armatures:
        g.fail(f"the jobs are {jobs()}, the armatures {list(bpy.data.armatures)}")

    settings().seed = 1
    cancelled = when(WORKING, escape)
    yield from press(g, "avatar_forge.make_avatar")
    yield from until_idle(g, 120)
    yield from until(g, lambda: sorted(jobs().values()) == ["STOPPED", "SUCCEEDED"], 20)
    if not cancelled or state().error:
        g.fail(f"Esc did not stop it in {cancelled}: {state().error!r}")

    settings().seed = 2
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "seed2.blend"), check_existing=False)
    yield 0.5
    yield from press(g, "avatar_forge.make_avatar")
    yield from until(g, lambda: len(jobs()) == 3, 60)
    yield from open_blend(g, str(FOLDER / "seed2.blend"))  # the job goes on
    if state().running:
        g.fail("the task went on in another file")
    yield from sidebar(g)
    yield from press(g, "avatar_forge.make_avatar")
    yield from finish(g, 240)
    yield from rest(g)
    yield g.shot("attached")
    if sorted(jobs().values()) != ["STOPPED", "SUCCEEDED", "SUCCEEDED"]:
        g.fail(f"asked again after another file was opened, the jobs are {jobs()}")
    chosen.executor = "local"
