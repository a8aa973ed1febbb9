# SPDX-License-Identifier: GPL-3.0-or-later
"""The pose panel: a preview and back, applied, a walk that plays, Esc, and undo after each."""

import bpy
import numpy as np
from window import PICTURE, choose, finish, fresh, front, open_panel, press, rest, settings, undo


def armature():
    return next(obj for obj in bpy.context.scene.objects if obj.type == "ARMATURE")


def hand():
    """Where the left hand is shown."""
    bpy.context.view_layer.update()  # after an undo the pose is not worked out before the next redraw
    return np.array(armature().pose.bones["leftHand"].head)


def rest_hand():
    return np.array(armature().data.bones["leftHand"].head_local)


def expect(g, met, text):
    """Waits until the condition is met; a busy machine takes its time."""
    for _ in range(40):
        if met():
            return
        yield 0.25
    g.fail(f"{text}: hand {hand()}, at rest {rest_hand()}, shown {armature().get('avatar_forge_pose_shown')}")


def drive(g):
    yield from fresh(g)
    yield from choose(PICTURE)
    settings().export = False
    yield from press(g, "avatar_forge.make_avatar")
    yield from finish(g, 120)
    yield from rest(g)
    yield from front(g)
    yield from open_panel(g, "avatar_forge.preview_t_pose")
    yield 0.5
    yield g.shot("panel")
    at_t = rest_hand()

    # A test pose becomes the rest pose
    yield from press(g, "avatar_forge.show_pose", having="Elbows Bent", across=0.75)
    yield from expect(g, lambda: np.linalg.norm(hand() - at_t) > 0.1, "the test pose is not shown")
    yield g.shot("test-pose")
    bent = hand()
    yield from press(g, "avatar_forge.pose_to_rest")
    yield from expect(g, lambda: np.linalg.norm(rest_hand() - bent) < 1e-4, "the pose is not the rest pose")
    yield 0.5
    yield g.shot("bent-rest")

    # Preview, back, undo, apply, undo
    yield from press(g, "avatar_forge.preview_t_pose")
    yield from expect(
        g,
        lambda: abs(hand() - at_t).max() < 0.02 and np.linalg.norm(rest_hand() - bent) < 1e-4,
        "the preview is not shown",
    )
    previewed = hand()
    yield from rest(g)
    yield g.shot("preview")
    yield from press(g, "avatar_forge.pose_back", across=0.8)
    yield 0.6
    yield from expect(g, lambda: np.linalg.norm(hand() - bent) < 1e-4, "Back has not brought the pose back")
    yield from undo(g)
    yield from expect(g, lambda: np.linalg.norm(hand() - previewed) < 1e-4, "undo has not brought the preview back")
    yield from press(g, "avatar_forge.pose", across=0.2)
    yield from finish(g, 60)
    yield 0.6
    yield g.shot("applied")
    yield from expect(
        g,
        lambda: np.linalg.norm(rest_hand() - previewed) < 1e-4 and "avatar_forge_pose" not in armature(),
        "Apply has not applied",
    )
    yield from undo(g)
    yield from expect(g, lambda: np.linalg.norm(rest_hand() - bent) < 1e-4, "undo has not taken Apply back")
    g.move(500, 500)
    g.key("Escape")
    yield 0.8
    yield from expect(
        g,
        lambda: "avatar_forge_pose" not in armature() and np.linalg.norm(hand() - bent) < 1e-4,
        "Esc has not ended the preview",
    )

    # A walk plays, and leaves nothing
    frame, ranged = bpy.context.scene.frame_current, bpy.context.scene.use_preview_range
    yield from press(g, "avatar_forge.show_motion", having="Walk", across=0.34)
    yield 1.0
    yield from expect(g, lambda: bpy.context.screen.is_animation_playing, "the walk does not play")
    start = hand()
    yield lambda: np.linalg.norm(hand() - start) > 0.03  # a busy machine drops frames
    yield g.shot("walk")
    yield from press(g, "avatar_forge.pose_back")
    yield 0.8
    yield g.shot("back")
    yield from expect(
        g, lambda: not bpy.context.screen.is_animation_playing and not bpy.data.actions, "the walk is still there"
    )
    yield from expect(
        g,
        lambda: (bpy.context.scene.frame_current, bpy.context.scene.use_preview_range) == (frame, ranged),
        "the frames are others",
    )
    yield from undo(g)
    yield from expect(
        g, lambda: "avatar_forge_pose" in armature() and bpy.data.actions, "undo has not brought the walk back"
    )
