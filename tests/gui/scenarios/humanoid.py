# SPDX-License-Identifier: GPL-3.0-or-later
"""Humanoid bones: a wrong one seen in the panel and corrected with the mouse in the viewport, undone, mirrored; an
unsure one confirmed.
"""

import importlib

import bpy
from bpy_extras.view3d_utils import location_3d_to_region_2d
from window import MODULE, PICTURE, SCREEN_HEIGHT, choose, finish, fresh, front, open_panel, press, rest, tooltip


def bones():
    return importlib.import_module(f"{MODULE}.avatar_addon.humanoid.bones")


def armature():
    return bones().find_armature(bpy.context)


def state(name):
    return bones().snapshot(armature()).states[name]


def show(*groups):
    """Opens these groups of the panel and closes the others."""
    view = bpy.context.window_manager.avatar_forge.bones
    for group, attribute in bones().SHOWN.items():
        setattr(view, attribute, group in groups)


def on_screen(g, bone):
    """Where the middle of a posed bone is on the screen."""
    window, area = g.area()
    region = g.region("WINDOW")
    pose = armature().pose.bones[bone]
    middle = armature().matrix_world @ ((pose.head + pose.tail) / 2)
    at = location_3d_to_region_2d(region, area.spaces.active.region_3d, middle)
    return int(region.x + at.x), int(SCREEN_HEIGHT - window.y - region.y - at.y)


def set_by_hand(name, bone):
    """As the field in the panel does, undo step included."""
    setattr(armature().data.avatar_forge, bones().ATTRIBUTES[name], bone)
    bpy.ops.ed.undo_push(message="Bone")


def expect(g, name, kind, bone=None):
    if state(name).kind != kind or (bone is not None and state(name).bone != bone):
        g.fail(f"{name} is {state(name)}, expected {kind} {bone}")


def drive(g):
    yield from fresh(g)
    yield from choose(PICTURE)
    yield from press(g, "avatar_forge.make_avatar")
    yield from finish(g, 120)
    yield from open_panel(g, "avatar_forge.find_bones")
    yield from press(g, "avatar_forge.find_bones", across=0.3)
    yield from front(g)
    yield g.shot("found")
    if bones().snapshot(armature()).summary[1]:
        g.fail(f"a finished avatar's bones are not in order: {bones().snapshot(armature()).summary}")

    # One bone is wrong: the panel says which
    right = state("leftHand").bone
    wrong = state("rightFoot").bone
    set_by_hand("leftLowerArm", state("leftUpperLeg").bone)
    set_by_hand("leftHand", wrong)
    show("Arms", "Legs")
    yield from rest(g)
    yield g.shot("wrong")
    expect(g, "leftHand", "twice", wrong)
    yield from tooltip(g, "avatar_forge.select_bone", "why", having="leftHand", across=0.2)

    # Esc leaves it as it is; the bone under the mouse takes its place
    x, y = on_screen(g, right)
    yield from press(g, "avatar_forge.pick_bone", having="leftHand", across=0.83)
    g.move(x, y)
    yield 0.3
    g.key("Escape")
    yield 0.4
    expect(g, "leftHand", "twice", wrong)
    yield from press(g, "avatar_forge.pick_bone", having="leftHand", across=0.83)
    g.move(x - 30, y - 30)
    g.move(x, y)
    yield 0.5
    yield g.shot("picking")
    g.click_at(x, y)
    yield 0.5
    expect(g, "leftHand", "assigned", right)
    g.move(500, 500)
    g.key("ctrl+z")
    yield 1.0
    expect(g, "leftHand", "twice", wrong)
    g.key("ctrl+shift+z")
    yield 1.0
    expect(g, "leftHand", "assigned", right)
    yield from press(g, "avatar_forge.assign_bone", having="leftLowerArm", across=0.75)
    expect(g, "leftLowerArm", "assigned")
    yield from press(g, "avatar_forge.select_bone", having="leftLowerArm", across=0.2)
    yield from rest(g)
    yield g.shot("corrected")
    if armature().data.bones.active.name != state("leftLowerArm").bone:
        g.fail("the row has not selected its bone")

    # The right side from the left
    before = state("rightLowerArm").bone
    set_by_hand("rightLowerArm", "")
    set_by_hand("rightHand", "")
    yield from rest(g)
    yield g.shot("missing")
    yield from press(g, "avatar_forge.mirror_bones", having="left", across=0.3)
    expect(g, "rightLowerArm", "assigned", before)
    yield 0.3
    yield g.shot("mirrored")

    # A name that says otherwise than the place: a person has the last word
    armature().data.bones[right].name = "sleeve"
    bpy.ops.ed.undo_push(message="Rename")
    yield from press(g, "avatar_forge.find_bones", across=0.3)
    yield from press(g, "avatar_forge.select_bone", having="leftHand", across=0.2)
    yield from rest(g)
    yield g.shot("unsure")
    expect(g, "leftHand", "unsure", "sleeve")
    yield from press(g, "avatar_forge.confirm_bones", having="leftHand", across=0.6)
    yield from rest(g)
    yield g.shot("confirmed")
    expect(g, "leftHand", "assigned", "sleeve")
    bpy.context.window_manager.avatar_forge.bones.overlay = False
    yield 0.5
    yield g.shot("overlay-off")
