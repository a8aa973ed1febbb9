# SPDX-License-Identifier: GPL-3.0-or-later
"""The look panel: each style as it is seen, shadow and outline, the gaze by slider and target, a pony tail that
swings; undo after each.
"""

import math

import bpy
import numpy as np
from window import PICTURE, choose, find, finish, fresh, front, open_panel, press, rest, settings, sidebar, undo

GAZE, SPRINGS = 162, 188  # pixels from the styles' buttons down to the headers of closed panels


def avatar():
    return next(obj for obj in bpy.context.scene.objects if obj.type == "MESH" and obj.avatar_forge.is_avatar)


def armature():
    return avatar().find_armature()


def look():
    return avatar().avatar_forge.look


def toon():
    """Whether the skin's material is MToon."""
    return bool(avatar().material_slots[0].material.vrm_addon_extension.mtoon1.enabled)


def key(name):
    return avatar().data.shape_keys.key_blocks[name].value


def add_pony_tail():
    """Four bones behind the head and a skin around them, as an avatar from elsewhere has them."""
    rig = armature()
    head = np.array(rig.data.bones["head"].head_local)
    top = np.array(rig.data.bones["head"].tail_local)
    height = float(top[2])
    start = head + (top - head) * 0.7 + [0, 0.11 * height, 0]
    points = [start + np.array([0, 0.02 * k, -0.045 * k]) * height for k in range(5)]
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    parent = rig.data.edit_bones["head"]
    for k in range(4):
        bone = rig.data.edit_bones.new(f"hair_{k + 1}")
        bone.head, bone.tail, bone.parent = points[k], points[k + 1], parent
        parent = bone
    bpy.ops.object.mode_set(mode="OBJECT")
    rings, sides = 17, 12
    vertices, weights = [], []
    for r in range(rings):
        along = 4 * r / (rings - 1)
        at = points[0] + (points[4] - points[0]) * along / 4
        size = 0.032 * height * math.sin(math.pi * (0.12 + 0.82 * r / (rings - 1)))
        for s in range(sides):
            angle = 2 * math.pi * s / sides
            vertices.append(at + [size * math.cos(angle), size * math.sin(angle) * 0.9, size * math.sin(angle) * 0.4])
            weights.append(along)
    faces = [
        (r * sides + s, r * sides + (s + 1) % sides, (r + 1) * sides + (s + 1) % sides, (r + 1) * sides + s)
        for r in range(rings - 1)
        for s in range(sides)
    ]
    mesh = bpy.data.meshes.new("Pony Tail")
    mesh.from_pydata([tuple(v) for v in vertices], [], faces)
    mesh.shade_smooth()
    mesh.materials.append(avatar().material_slots[0].material)
    body = avatar().data
    crown = max(
        range(len(body.loops)),
        key=lambda k: (
            body.vertices[body.loops[k].vertex_index].co.z - abs(body.vertices[body.loops[k].vertex_index].co.x)
        ),
    )
    colour = body.uv_layers.active.uv[crown].vector
    mesh.uv_layers.new(name=body.uv_layers.active.name)
    for corner in mesh.uv_layers.active.uv:
        corner.vector = colour
    obj = bpy.data.objects.new("Pony Tail", mesh)
    bpy.context.scene.collection.objects.link(obj)
    obj.parent = rig
    for k in range(4):
        group = obj.vertex_groups.new(name=f"hair_{k + 1}")
        for index, along in enumerate(weights):
            amount = max(0.0, 1 - abs(along - 0.5 - k)) if 0.5 < along < 3.5 else float(k == (0 if along <= 0.5 else 3))
            if amount:
                group.add([index], amount, "REPLACE")
    obj.modifiers.new("Armature", "ARMATURE").object = rig
    bpy.context.view_layer.objects.active = rig
    bpy.ops.ed.undo_push(message="Pony Tail")


def drive(g):
    if any(
        obj.avatar_forge.is_avatar for obj in bpy.context.scene.objects
    ):  # the tool's --blend, to try the panel alone
        bpy.ops.preferences.addon_enable(module="io_scene_vrm")
        yield from sidebar(g)
    else:
        yield from fresh(g)
        yield from choose(PICTURE)
        settings().export = False
        yield from press(g, "avatar_forge.make_avatar")
        yield from finish(g, 240)
        yield from rest(g)
    yield from front(g)
    add_pony_tail()
    yield 1.0
    yield from front(g)
    yield from open_panel(g, "avatar_forge.set_style")
    yield 0.5
    yield g.shot("panel")

    # Styles
    yield from press(g, "avatar_forge.show_materials")
    yield 3.0
    yield from rest(g)
    yield g.shot("mtoon")
    for across, style in ((0.5, "UNLIT"), (0.8, "PBR")):
        yield from press(g, "avatar_forge.set_style", having=style, across=across)
        yield 3.0
        yield from rest(g)
        yield g.shot(style.lower())
        if toon():
            g.fail(f"the skin is still MToon after {style}")
    yield from undo(g)
    yield from undo(g)
    if not toon():
        g.fail("two undos have not brought MToon back")
    look().shadow, look().outline_width = 0.7, 0.003
    bpy.ops.ed.undo_push(message="Shading")
    yield from rest(g)
    yield 3.0
    yield g.shot("shaded")
    if not any(modifier.type == "NODES" for modifier in avatar().modifiers):
        g.fail("there is no outline")

    # Gaze
    x, y = yield from find(g, "avatar_forge.set_style", having="MTOON", across=0.15)
    g.click_at(x, y + GAZE)
    yield 1.0
    look().yaw, look().pitch = 40.0, 15.0
    bpy.ops.ed.undo_push(message="Gaze")
    yield 0.6
    yield g.shot("gaze")
    if not key("lookLeft") > 0.3:
        g.fail(f"the eyes have not moved: {key('lookLeft')}")
    yield from press(g, "avatar_forge.rest_gaze", across=0.83)
    if key("lookLeft") or look().yaw:
        g.fail("the eyes have not come back")
    yield from press(g, "avatar_forge.follow_gaze", across=0.3)
    target = bpy.context.view_layer.objects.active
    target.location.x += 0.8
    yield lambda: key("lookLeft") > 0.4  # the VRM Add-on's timer
    yield g.shot("following")
    yield from press(g, "avatar_forge.rest_gaze", across=0.83)
    if key("lookLeft") or any(obj.name.startswith("Gaze") for obj in bpy.data.objects):
        g.fail("the target has stayed")

    # Spring bones
    g.click_at(x, y + GAZE)
    yield 1.0
    g.click_at(x, y + SPRINGS)
    yield 1.0
    yield from press(g, "avatar_forge.find_chains", across=0.83)
    yield 0.6
    if [(chain.kind, chain.name) for chain in look().chains] != [("hair", "hair_1")]:
        g.fail(f"found {[(chain.kind, chain.name) for chain in look().chains]}")
    yield from rest(g)
    yield g.shot("springs")
    g.move(90, 860)
    g.key("KP_3")
    yield 0.6
    yield from press(g, "avatar_forge.play_springs", having="Turn", across=0.25)
    turned = []

    def swinging():
        turned.append(armature().pose.bones["hair_1"].matrix_basis.to_quaternion().angle)
        return max(turned) > math.radians(4)

    yield swinging
    yield 1.0
    yield g.shot("swinging")
    yield from press(g, "avatar_forge.stop_springs")
    yield 0.6
    if (
        armature().pose.bones["hair_1"].matrix_basis.to_quaternion().angle > 1e-4
        or bpy.context.screen.is_animation_playing
    ):
        g.fail("the hair has not come back")
    yield from undo(g)
    yield from undo(g)
    yield from undo(g)
    if len(look().chains):
        g.fail("three undos have not taken the chains away")
    if any(obj.type == "EMPTY" for obj in bpy.context.scene.objects):
        g.fail("undo has left colliders")
    yield g.shot("undone")
