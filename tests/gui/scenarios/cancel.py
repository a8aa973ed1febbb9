# SPDX-License-Identifier: GPL-3.0-or-later
"""Esc, early, in the middle and late: nothing is left, and the next run works. (The Cancel button: see install.)"""

import bpy
from window import (
    PICTURE,
    choose,
    escape,
    finish,
    fresh,
    press,
    rest,
    run_folders,
    state,
    until_idle,
    what_exists,
    when,
)

STAGES = ("mask", "inflate", "write", "weights", "face", "vrm")
LATER = ("export", "report")  # on a busy machine, a stage may be over before it is seen


def drive(g):
    yield from fresh(g)
    yield from choose(PICTURE)
    yield from press(g, "avatar_forge.generate")  # starts the backend and wakes the VRM Add-on, both of which stay
    yield from finish(g, 60)
    g.key("ctrl+z")
    yield 1.0
    before, folders = what_exists(), run_folders()
    for number, stage in enumerate(STAGES):
        cancelled = when((*STAGES[number:], *LATER), escape)
        yield from press(g, "avatar_forge.make_avatar")
        yield from until_idle(g, 60)
        if not cancelled or bpy.context.scene.objects:
            g.fail(
                f"Esc in {cancelled or f'{stage}, which was not seen,'} did not stop it: {state().stage}"
                f" {state().error}"
            )
        if state().error:
            g.fail(f"a cancelled task said {state().error!r}")
        if what_exists() != before:
            g.fail(f"cancelled in {stage}, it left {what_exists()}")
        if run_folders() != folders:
            g.fail(f"cancelled in {stage}, it left the folders {run_folders() - folders}")
    yield from rest(g)
    yield g.shot("cancelled")
    yield from press(g, "avatar_forge.make_avatar")
    yield from finish(g, 120)
    if not bpy.data.armatures:
        g.fail("after cancelling, no avatar could be made")
