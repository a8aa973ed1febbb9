# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of several sides: a model sheet is cut into cards, a side is swapped by mistake and put right, and the
avatar is made from all of them. The sheet shows a mesh of the sample.
"""

import math

import bpy
import numpy as np
from window import (
    PICTURE,
    SHARED,
    choose,
    finish,
    fresh,
    in_japanese,
    press,
    rest,
    settings,
)

SHEET = SHARED / "files/knight.png"
TURNS = {"front": 0, "left": 90, "back": 180}  # degrees that the camera goes around the mesh
WIDE, TALL = 640, 900
PAPER = np.array([0.4, 0.45, 0.5], np.float32)  # neither the hair nor the shoes are of this colour


def draw_sheet():
    """The mesh in the scene from three sides, in one picture."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.type, camera.data.ortho_scale = "ORTHO", 1.8
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.film_transparent = WIDE, TALL, True
    scene.display.shading.light, scene.display.shading.color_type = "FLAT", "TEXTURE"
    sheet = np.ones((TALL, WIDE * len(TURNS), 4), np.float32)
    for number, (side, turn) in enumerate(TURNS.items()):
        angle = math.radians(turn)
        camera.location = (5 * math.sin(angle), -5 * math.cos(angle), 0.8)
        camera.rotation_euler = (math.pi / 2, 0, angle)
        scene.render.filepath = str(SHEET.with_name(f"side-{side}.png"))
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        pixels = np.array(image.pixels[:], np.float32).reshape(TALL, WIDE, 4)
        place = sheet[:, number * WIDE : (number + 1) * WIDE]
        place[..., :3] = pixels[..., :3] * pixels[..., 3:] + PAPER * (1 - pixels[..., 3:])
    image = bpy.data.images.new("Sheet", WIDE * len(TURNS), TALL)
    image.pixels.foreach_set(sheet.ravel())
    image.file_format = "PNG"
    image.save(filepath=str(SHEET))


def kinds():
    return sorted(card.kind for card in settings().cards)


def drive(g):
    yield from fresh(g)
    yield from choose(PICTURE)
    yield from press(g, "avatar_forge.generate")
    yield from finish(g, 120)
    draw_sheet()

    yield from fresh(g)
    yield from choose(str(SHEET))
    yield g.shot("sheet")
    yield from press(g, "avatar_forge.cut_sheet", across=0.75)
    yield from finish(g, 120)
    yield from rest(g)
    yield 0.5
    yield g.shot("cards")
    if kinds() != ["back", "front", "left"]:
        g.fail(f"the cards are {kinds()}")
    yield from in_japanese(g, "cards-japanese")
    yield from press(g, "avatar_forge.swap_sides", across=0.75)
    yield lambda: kinds() == ["back", "front", "right"]
    yield from press(g, "avatar_forge.check_pictures", across=0.25)
    yield from finish(g, 60)
    yield from rest(g)
    yield g.shot("wrong-side")
    if not settings().cards_swap:
        g.fail(f"the left side is taken for the right one: {settings().cards_note!r}")
    yield from press(g, "avatar_forge.swap_sides", across=0.75)
    yield lambda: kinds() == ["back", "front", "left"]
    yield from press(g, "avatar_forge.check_pictures", across=0.25)
    yield from finish(g, 60)
    yield from rest(g)
    yield g.shot("right-side")
    if settings().cards_note:
        g.fail(f"the sides do not fit: {settings().cards_note}")
    yield from press(g, "avatar_forge.make_avatar")
    yield from finish(g, 200)
    yield from rest(g)
    yield g.shot("made")
    yield from press(g, "avatar_forge.remove_picture", having="index=1", across=0.81)
    yield from rest(g)
    yield g.shot("removed")
    if len(settings().cards) != 2:
        g.fail(f"{len(settings().cards)} cards are left")
