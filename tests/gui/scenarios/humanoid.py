# SPDX-License-Identifier: GPL-3.0-or-later
"""Humanoid bones: a wrong one seen in the panel and corrected with the mouse in the viewport, undone, mirrored; a foreign skeleton."""

import importlib

import bpy
from bpy_extras.view3d_utils import location_3d_to_region_2d
from window import MODULE, PICTURE, SCREEN_HEIGHT, choose, finish, front, open_panel, press, rest, sidebar, tooltip


def bones():
    return importlib.import_module(f"{MODULE}.avatar_addon.humanoid_bones")


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


def foreign_skeleton():
    """Bones without names or toes, straight limbs: nothing tells where it faces."""
    places = {
        "a": (None, (0, 0, 0.95)),
        "b": ("a", (0, 0, 1.1)),
        "c": ("b", (0, 0, 1.3)),
        "d": ("c", (0, 0, 1.48)),
        "e": ("d", (0, 0, 1.56)),
    }
    for letter, s in (("L", 1), ("R", -1)):
        arm = [("c", (0.16 * s, 0, 1.42)), (f"0{letter}", (0.42 * s, 0, 1.42)), (f"1{letter}", (0.68 * s, 0, 1.42))]
        leg = [("a", (0.1 * s, 0, 0.9)), (f"3{letter}", (0.1 * s, 0, 0.5)), (f"4{letter}", (0.1 * s, 0, 0.08))]
        places |= {f"{k}{letter}": place for k, place in enumerate(arm + leg)}
    obj = bpy.data.objects.new("Foreign", bpy.data.armatures.new("Foreign"))
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    for k, (key, (parent, head)) in enumerate(places.items()):
        bone = obj.data.edit_bones.new(key)
        bone.head, bone.tail = head, (head[0], head[1], head[2] + 0.08)
        bone.parent = obj.data.edit_bones[parent] if parent else None
        places[key] = (parent, head, f"bone.{k:03}")
    for key, (_, _, name) in places.items():
        obj.data.edit_bones[key].name = name
    bpy.ops.object.mode_set(mode="OBJECT")
    return obj


def drive(g):
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    yield 0.5
    yield from sidebar(g)
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
    yield from press(g, "avatar_forge.pick_bone", having="leftHand", across=0.94)
    g.move(x, y)
    yield 0.3
    g.key("Escape")
    yield 0.4
    expect(g, "leftHand", "twice", wrong)
    yield from press(g, "avatar_forge.pick_bone", having="leftHand", across=0.94)
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

    # A skeleton from elsewhere
    for obj in list(bpy.context.scene.objects):
        obj.hide_set(True)
    foreign_skeleton()
    bpy.ops.ed.undo_push(message="Foreign")
    yield from press(g, "avatar_forge.find_bones", across=0.3)
    yield from front(g)
    yield g.shot("unsure")
    expect(g, "leftHand", "unsure")
    yield from press(g, "avatar_forge.confirm_bones", having="leftShoulder" if state("leftShoulder").bone else "leftUpperArm", across=0.8)
    expect(g, "leftUpperArm", "assigned")
    yield from press(g, "avatar_forge.confirm_bones", having='name=""', across=0.5)
    if bones().snapshot(armature()).unsure:
        g.fail("not all bones were confirmed")
    yield from rest(g)
    yield g.shot("confirmed")
