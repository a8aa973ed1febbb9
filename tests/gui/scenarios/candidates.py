# SPDX-License-Identifier: GPL-3.0-or-later
"""Several avatars of one picture: one is chosen and kept, seen in the browser, moved by clips, and gets the shapes of
face trackers.
"""

import webbrowser
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import bpy
from window import (
    PICTURE,
    SHARED,
    choose,
    find,
    finish,
    fresh,
    front,
    in_japanese,
    open_panel,
    press,
    rest,
    settings,
    state,
    until,
    until_idle,
)

COUNT = 2
CLIPS = SHARED / "files/clips"


def meshes():
    return sorted((obj for obj in bpy.context.scene.objects if obj.avatar_forge.is_avatar), key=lambda obj: obj.name)


def shown():
    return [obj for obj in meshes() if not obj.hide_get()]


def drive(g):
    opened = []
    webbrowser.open = lambda address, *_args, **_kw: opened.append(address) or True
    yield from fresh(g)
    yield from choose(PICTURE)
    settings().name = "Mia"
    settings().candidates = COUNT
    yield 0.5
    yield g.shot("settings")
    yield from press(g, "avatar_forge.make_avatar")
    yield from until(g, lambda: state().fraction > 0.4 or not state().running, 300)
    yield g.shot("progress")
    yield from finish(g, 900)
    yield from front(g)
    yield g.shot("candidates")
    yield from open_panel(g, "avatar_forge.keep_candidate")
    yield from rest(g)
    yield g.shot("choose")
    yield from in_japanese(g, "choose-japanese")
    if len(meshes()) != COUNT or len(shown()) != 1:
        g.fail(f"{len(meshes())} candidates, of which {len(shown())} are shown")
    best = shown()[0].name
    other = next(obj.name for obj in meshes() if obj.name != best)
    yield from press(g, "avatar_forge.show_candidate", having=other, across=0.7)
    yield from rest(g)
    yield g.shot("another")
    if [obj.name for obj in shown()] != [other]:
        g.fail(f"shown are {[obj.name for obj in shown()]} instead of {other}")
    yield from press(g, "avatar_forge.keep_candidate")
    yield from rest(g)
    yield g.shot("kept")
    if [obj.name for obj in meshes()] != [other] or meshes()[0].find_armature().name != "Mia":
        g.fail(f"kept are {[obj.name for obj in meshes()]}, the skeleton is {meshes()[0].find_armature().name}")

    yield from open_panel(g, "avatar_forge.view", depth=400)
    yield from press(g, "avatar_forge.view")
    yield from finish(g, 120)
    page = Path(url2pathname(urlsplit(opened[0]).path)) if opened else Path()
    if len(opened) != 1 or page.suffix != ".html" or page.stat().st_size < 1_000_000:
        g.fail(f"View in Browser opened {opened}")
    (SHARED / "files/view.html").write_bytes(page.read_bytes())
    yield from clips(g)
    yield from perfect_sync(g)


def clips(g):
    yield from open_panel(g, "avatar_forge.preview_t_pose")
    yield from rest(g)
    yield g.shot("pose")
    yield from in_japanese(g, "pose-japanese")
    yield from press(g, "avatar_forge.export_clips")
    yield from until_idle(g, 60)
    yield from rest(g)
    yield g.shot("clips-nowhere")
    if "not saved" not in state().error:
        g.fail(f"clips beside a file that is not saved: {state().error!r}")
    settings().clips_dir = str(CLIPS)
    settings().sentence = "Hello! I am your companion."
    yield from press(g, "avatar_forge.export_clips")
    yield from finish(g, 200)
    written = sorted(path.name for path in CLIPS.glob("*.vrma"))
    if len(written) != 6:
        g.fail(f"the clips are {written}")
    yield from press(g, "avatar_forge.play_clip", across=0.25)
    yield 1.5
    browser = next(area for _window, area in g.areas() if area.type == "FILE_BROWSER")
    browser.spaces.active.params.directory = str(CLIPS).encode()
    yield 0.8
    browser.spaces.active.params.filename = "wave.vrma"
    yield 0.5
    yield from press(g, "file.execute", kind="EXECUTE", area_type="FILE_BROWSER", across=0.85, top=5)
    yield 0.5
    yield from finish(g, 60)
    yield 1.0
    yield from rest(g)
    yield g.shot("clip")
    if not bpy.context.screen.is_animation_playing:
        g.fail("the clip does not play")
    yield from press(g, "avatar_forge.pose_back")
    yield 0.5
    if bpy.context.screen.is_animation_playing or bpy.data.actions:
        g.fail("the clip is still there")


def perfect_sync(g):
    meshes()[0].avatar_forge.perfect_sync = True
    yield from open_panel(g, "avatar_forge.show_face_markers")
    yield from rest(g)
    yield g.shot("face")
    x, y = yield from find(g, "avatar_forge.show_face_markers")
    for step in range(4):  # the panels below the sliders come into view
        g.move(x, y + 300)
        for _ in range(8):
            g.xdo("click", 5)
        yield 0.6
        yield g.shot(f"face-below-{step + 1}")
    bpy.ops.avatar_forge.face("INVOKE_DEFAULT")
    yield from finish(g, 120)
    shapes = [block.name for block in meshes()[0].data.shape_keys.key_blocks]
    if not {"jawOpen", "mouthSmileLeft", "eyeBlinkRight"} <= set(shapes):
        g.fail(f"the shapes are {shapes}")
    yield from rest(g)
    yield g.shot("face-with-shapes")
