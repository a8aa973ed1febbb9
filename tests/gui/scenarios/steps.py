# SPDX-License-Identifier: GPL-3.0-or-later
"""Each step's button alone, in order, then the face's markers and the export."""

import bpy
from window import PICTURE, SHARED, finish, fresh, front, open_panel, press, rest, settings

STEPS = ("generate", "rig", "pose", "face", "set_up_vrm")


def drive(g):
    yield from fresh(g)
    settings().picture = PICTURE
    settings().name = "Momo"
    yield 0.3
    for step in STEPS:
        yield from press(g, f"avatar_forge.{step}")
        yield from finish(g, 60)
        yield from front(g)
        yield g.shot(step)
    mesh = next(obj for obj in bpy.context.scene.objects if obj.avatar_forge.is_avatar)
    bpy.ops.wm.save_as_mainfile(filepath=str(SHARED / "files/momo.blend"))
    yield from press(g, "avatar_forge.export")
    yield 1.0
    yield g.shot("export")
    yield from press(g, "file.execute", kind="EXECUTE", area_type="FILE_BROWSER", across=0.85, top=5)
    yield from finish(g, 60)
    if not (SHARED / "files/Momo.vrm").exists():
        g.fail("no VRM file was written")
    yield from open_panel(g, "avatar_forge.show_face_markers", across=0.3)
    yield from press(g, "avatar_forge.show_face_markers", across=0.3)
    g.move(90, 860)
    g.key("KP_Decimal", *["KP_Subtract"] * 7)  # looks at the mouth's marker, then steps back
    yield 1.0
    yield g.shot("markers")
    yield from press(g, "avatar_forge.apply_face_markers", across=0.7)
    yield from finish(g, 60)
    yield from rest(g)
    mesh.data.shape_keys.key_blocks["aa"].value = 1.0
    yield g.shot("applied")
