# SPDX-License-Identifier: GPL-3.0-or-later
"""A model from elsewhere: brought in, rigged, each step undone and done again, saved, loaded, gone on with; and the
diagnostic.

The window's driver cannot drop a file, so the operators are called as Blender's file handlers call them.
"""

import shutil

import bpy
from window import (
    PICTURE,
    SHARED,
    choose,
    finish,
    fresh,
    front,
    open_blend,
    open_panel,
    press,
    rest,
    run_folders,
    sidebar,
    state,
    what_exists,
)

BLEND = str(SHARED / "files/brought-in.blend")
MODEL = SHARED / "files/elsewhere.glb"
BY_MOUSE = ("rig", "pose", "face")


def avatar():
    return next((obj for obj in bpy.context.scene.objects if obj.avatar_forge.is_avatar), None)


def drop(g, operator, path):
    """What Blender does when a file of a handler is dropped on the viewport."""
    window, area = next(x for x in g.areas() if x[1].type == "VIEW_3D")
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        group, name = operator.split(".")
        getattr(getattr(bpy.ops, group), name)("INVOKE_DEFAULT", filepath=str(path))


def drive(g):
    yield from fresh(g)
    yield from choose(PICTURE)
    known = run_folders()
    yield from press(g, "avatar_forge.generate")
    yield from finish(g, 60)
    made = next(iter(run_folders() - known)) if run_folders() - known else None
    meshes = sorted((made or SHARED / "user").rglob("mesh.glb"), key=lambda path: path.stat().st_mtime)
    shutil.copy(meshes[-1], MODEL)

    yield from fresh(g)
    yield from open_panel(g, "avatar_forge.bring_in")
    yield g.shot("bring-in-panel")
    before = what_exists()
    drop(g, "avatar_forge.bring_in", MODEL)
    yield from finish(g, 60)
    yield from front(g)
    yield g.shot("brought-in")
    if avatar() is None:
        g.fail("the dropped model is no avatar")
    g.key("ctrl+z")
    yield 1.0
    if left := {kind: names for kind, names in what_exists().items() if set(names) - set(before[kind])}:
        g.fail(f"undoing left {left}")
    g.key("ctrl+shift+z")
    yield 1.0
    if avatar() is None:
        g.fail("redo has not brought the model back")

    # The same with the file browser; before the VRM Add-on is on, whose timer does not bear that a script loads a file
    yield from fresh(g)
    yield from open_panel(g, "avatar_forge.bring_in")
    yield from press(g, "avatar_forge.bring_in")
    yield 1.5
    area = next(area for _window, area in g.areas() if area.type == "FILE_BROWSER")
    area.spaces.active.params.directory = str(MODEL.parent).encode()
    yield 0.8
    area.spaces.active.params.filename = MODEL.name
    yield 0.5
    yield g.shot("file-browser")
    yield from press(g, "file.execute", kind="EXECUTE", area_type="FILE_BROWSER", across=0.85, top=5)
    yield lambda: state().title == "Import as Avatar"
    yield from finish(g, 60)
    if avatar() is None:
        g.fail("the chosen file is no avatar")

    yield from fresh(g)
    drop(g, "avatar_forge.bring_in", MODEL)
    yield from finish(g, 60)

    for step in BY_MOUSE:
        earlier = what_exists()
        number = getattr(avatar().avatar_forge.steps, step)
        yield from press(g, f"avatar_forge.{step}")
        yield from finish(g, 60)
        later = what_exists()
        g.move(90, 860)
        g.key("ctrl+z")
        yield 1.2
        if avatar() is None or getattr(avatar().avatar_forge.steps, step) != number:
            g.fail(f"undo has not taken {step} back")
        if what_exists() != earlier:
            g.fail(f"undoing {step} left {what_exists()} instead of {earlier}")
        g.key("ctrl+shift+z")
        yield 1.2
        if what_exists() != later or getattr(avatar().avatar_forge.steps, step) == number:
            g.fail(f"redo has not brought {step} back")
        yield from rest(g)
        yield g.shot(f"after-{step}")

    bpy.ops.wm.save_as_mainfile(filepath=BLEND)
    yield 0.5
    yield from open_blend(g, BLEND)
    yield from sidebar(g)
    yield from press(g, "avatar_forge.set_up_vrm")
    yield from finish(g, 60)
    yield from press(g, "avatar_forge.rig")  # what comes after it is outdated now
    yield from finish(g, 60)
    yield from rest(g)
    yield g.shot("outdated")
    yield from press(g, "avatar_forge.pose")
    yield from finish(g, 60)
    yield from press(g, "avatar_forge.face")
    yield from finish(g, 60)
    yield from press(g, "avatar_forge.set_up_vrm")
    yield from finish(g, 60)
    if state().error:
        g.fail(state().error)
    yield from open_panel(g, "avatar_forge.copy_diagnostic")
    yield from press(g, "avatar_forge.copy_diagnostic")
    yield 0.3
    text = bpy.context.window_manager.clipboard
    if "## Backend" not in text or "Steps: Mesh done" not in text:
        g.fail(f"the clipboard has {text[:200]!r}")
    yield g.shot("diagnostic")
    drop(g, "avatar_forge.drop_picture", PICTURE)
    yield 1.0
    yield g.shot("dropped-picture")
    g.key("Escape")
    yield 0.5
    yield from open_panel(g, "avatar_forge.add_meta_preset", across=0.82)
    yield from rest(g)
    yield g.shot("licence")
    meta = bpy.context.object.data.vrm_addon_extension.vrm1.meta
    yield from press(g, "avatar_forge.edit_meta_list", having="references", across=0.75)
    if len(meta.references) != 1:
        g.fail("no reference was added")
    g.move(90, 860)
    g.key("ctrl+z")
    yield 1.0
    if len(bpy.context.object.data.vrm_addon_extension.vrm1.meta.references):
        g.fail("undo has not taken the reference back")
