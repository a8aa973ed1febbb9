# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights: faults that are planted are found, shown in the viewport and fixed by button; undo brings them back, redo
fixes them.
"""

import importlib

import bmesh
import bpy
import numpy as np
from window import MODULE, PICTURE, choose, find, finish, fresh, front, open_panel, press, rest, tooltip


def avatar():
    return importlib.import_module(f"{MODULE}.avatar_addon.avatar.scene").find_avatar(bpy.context)


def kinds():
    return [place.kind for place in avatar().record.weights.places]


def view():
    """Where the 3D view looks: place, direction and distance."""
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    region = area.spaces.active.region_3d
    return (*(round(v, 3) for v in (*region.view_location, *region.view_rotation)), round(region.view_distance, 3))


def plant_stray():
    """The left hand hangs on the left leg's bone."""
    obj, bones = avatar().mesh, avatar().armature.data.bones
    points = np.empty(len(obj.data.vertices) * 3, np.float32)
    obj.data.vertices.foreach_get("co", points)
    rows = np.flatnonzero(points.reshape(-1, 3)[:, 0] > bones["leftHand"].head_local.x + 0.02).tolist()
    for group in obj.vertex_groups:
        group.remove(rows)
    obj.vertex_groups["leftUpperLeg"].add(rows, 1.0, "REPLACE")
    bpy.ops.ed.undo_push(message="Paint")


def plant_island():
    """A ball before the chest that follows no bone."""
    mesh, head = avatar().mesh.data, avatar().armature.data.bones["head"].head_local
    bm = bmesh.new()
    bm.from_mesh(mesh)
    before = len(bm.verts)
    made = bmesh.ops.create_uvsphere(bm, u_segments=16, v_segments=10, radius=0.05)["verts"]
    bmesh.ops.translate(bm, verts=made, vec=(0.0, -0.2, head.z - 0.22))
    bm.to_mesh(mesh)
    count = len(bm.verts) - before
    bm.free()
    bpy.ops.ed.undo_push(message="Ball")
    return count


def drive(g):
    yield from fresh(g)
    yield from choose(PICTURE)
    yield from press(g, "avatar_forge.make_avatar")
    yield from finish(g, 200)
    yield from front(g)
    yield from open_panel(g, "avatar_forge.find_places")
    yield from rest(g)
    yield g.shot("before")
    yield from press(g, "avatar_forge.find_places")
    yield from rest(g)
    yield g.shot("good")
    if kinds():
        g.fail(f"the sample has {[place.name for place in avatar().record.weights.places]}")

    plant_stray()
    count = plant_island()
    yield from press(g, "avatar_forge.find_places")
    yield from rest(g)
    yield g.shot("found")
    if kinds()[:2] != ["island", "stray"]:
        g.fail(f"found are {kinds()}")
    before = view()
    yield from press(g, "avatar_forge.show_weights_place", having="index=1")
    yield from rest(g)
    yield g.shot("stray")
    if view() == before or avatar().record.weights.shown != 1:
        g.fail("the view did not go to the hand")
    yield from tooltip(g, "avatar_forge.reweight_limb", "tooltip")
    yield from press(g, "avatar_forge.reweight_limb")
    yield from finish(g, 120)
    yield from rest(g)
    yield g.shot("weighted-again")
    if kinds() != ["island"]:
        g.fail(f"after the limb was weighted again there are {kinds()}")
    g.key("ctrl+z")
    yield 1.5
    yield g.shot("undone")
    if kinds()[:2] != ["island", "stray"]:
        g.fail(f"after undo there are {kinds()}")
    g.key("ctrl+shift+z")
    yield 1.5
    if kinds() != ["island"]:
        g.fail(f"after redo there are {kinds()}")

    if avatar().record.weights.shown != 0:
        yield from press(g, "avatar_forge.show_weights_place", having="index=0")
    yield from find(g, "avatar_forge.bind_island")
    yield from rest(g)
    yield g.shot("island")
    if avatar().record.weights.place.count != count:
        g.fail(f"the ball has {count} vertices, the place {avatar().record.weights.place.count}")
    yield from press(g, "avatar_forge.bind_island")
    yield from rest(g)
    yield g.shot("fixed")
    if kinds() or not avatar().record.card_outdated:
        g.fail(f"after the ball was bound there are {kinds()}")
