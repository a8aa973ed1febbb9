# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture's markers: checked, a wrong mouth corrected in three actions, mirrored, accepted by key."""

import bpy
from window import PICTURE, choose, find, finish, fresh, press, rest, settings


def root():
    return next((obj for obj in bpy.context.scene.objects if "avatar_forge_picture" in obj), None)


def marker(name):
    return next(obj for obj in bpy.context.scene.objects if obj.get("avatar_forge_picture_marker") == name)


def drive(g):
    yield from fresh(g)
    yield from choose(PICTURE)
    yield from press(g, "avatar_forge.check_markers")
    yield from finish(g, 60)
    yield from rest(g)
    yield g.shot("shown")
    if root() is None:
        g.fail("no markers are shown")
    # Esc removes them, Ctrl-Z brings them back
    g.move(500, 500)
    g.key("Escape")
    yield 0.6
    if root():
        g.fail("Esc has not discarded the markers")
    g.key("ctrl+z")
    yield 1.0
    if root() is None:
        g.fail("undo has not brought the markers back")
    # A wrong mouth: select, move, accept
    bpy.context.view_layer.objects.active = marker("mouth")
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == marker("mouth"))
    before = marker("mouth").location.copy()
    g.move(500, 500)
    g.key("g")
    yield 0.3
    g.move(500, 530)
    yield 0.3
    yield g.shot("moving")
    g.key("Return")
    yield 0.5
    if root() is None:
        g.fail("the Enter of the transform has accepted the markers")
    if not marker("mouth").location.z < before.z - 0.005:
        g.fail(f"the mouth was not moved: {before} {marker('mouth').location}")
    g.key("ctrl+z")
    yield 0.5
    if (marker("mouth").location - before).length > 1e-5:
        g.fail("undo has not put the mouth back")
    g.key("ctrl+shift+z")
    yield 0.5
    settings().mirror_markers = True
    right = marker("rightHand").location.copy()
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == marker("leftHand"))
    bpy.context.view_layer.objects.active = marker("leftHand")
    g.move(800, 500)
    g.key("g")
    yield 0.3
    g.move(760, 560)
    yield 0.3
    g.key("Return")
    yield 0.5
    if (marker("rightHand").location - right).length < 0.01:
        g.fail("the right hand has not followed")
    yield g.shot("mirrored")
    g.key("Return")
    yield 0.6
    if root() or not settings().checked_markers:
        g.fail("Enter has not accepted the markers")
    yield from rest(g)
    yield g.shot("accepted")
    yield from find(g, "avatar_forge.forget_picture_markers", across=0.85)
