# SPDX-License-Identifier: GPL-3.0-or-later
"""The markers on a mesh: shown before it is rigged, a wrist corrected and mirrored, seen from the side, rigged by key;
afterwards again, on the mesh as it was, and discarded.
"""

import bpy
from window import PICTURE, choose, find, finish, fresh, idle, press, rest, settings, until


def root():
    return next((obj for obj in bpy.context.scene.objects if "avatar_forge_mesh_markers" in obj), None)


def marker(name):
    return next(obj for obj in bpy.context.scene.objects if obj.get("avatar_forge_mesh_marker") == name)


def avatar():
    return next(obj for obj in bpy.context.scene.objects if obj.type == "MESH" and obj.avatar_forge.is_avatar)


def choose_marker(name):
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == marker(name))
    bpy.context.view_layer.objects.active = marker(name)


def drag(g, name, right, down):
    """As with G, the mouse and a click."""
    choose_marker(name)
    g.move(600, 500)
    g.key("g")
    yield 0.3
    g.move(600 + right, 500 + down)
    yield 0.3
    g.key("Return")
    yield 0.5


def drive(g):
    yield from fresh(g)
    yield from choose(PICTURE)
    yield from press(g, "avatar_forge.generate")
    yield from finish(g, 60)
    yield from press(g, "avatar_forge.check_mesh_markers")
    yield from finish(g, 60)
    yield from rest(g)
    yield g.shot("shown")
    if root() is None or not avatar().hide_get():
        g.fail("the markers are not shown in place of the avatar")
    settings().mirror_markers = True
    left, right = marker("leftHand").location.copy(), marker("rightHand").location.copy()
    yield from drag(g, "leftHand", -12, -10)
    if root() is None:
        g.fail("the Enter of the transform has accepted the markers")
    if (marker("leftHand").location - left).length < 0.005:
        g.fail("the wrist was not moved")
    if (marker("rightHand").location - right).length < 0.005:
        g.fail("the right wrist has not followed")
    yield from press(g, "avatar_forge.view_mesh_markers", having="SIDE", across=0.75)
    yield 0.5
    yield from rest(g)
    yield g.shot("side")
    yield from press(g, "avatar_forge.view_mesh_markers", having="FRONT", across=0.25)
    yield 0.3
    goal = marker("leftHand").location.copy()
    g.move(500, 500)
    g.key("Return")
    yield from until(g, lambda: not idle(), 20)
    yield from finish(g, 120)
    yield from rest(g)
    yield g.shot("rigged")
    if root() or avatar().hide_get() or avatar().find_armature() is None:
        g.fail("the markers have not become a rig")
    yield from press(g, "avatar_forge.check_mesh_markers")
    yield from finish(g, 60)
    yield from rest(g)
    yield g.shot("again")
    if (marker("leftHand").location - goal).length > 0.02:
        g.fail(f"the corrected wrist is not where it was put: {goal} {marker('leftHand').location}")
    g.move(500, 500)
    g.key("Escape")
    yield 0.6
    if root() or avatar().hide_get():
        g.fail("Esc has not brought the avatar back")
    yield from find(g, "avatar_forge.check_mesh_markers")
