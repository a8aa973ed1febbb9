# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of an avatar's steps are done, which are outdated because something before them was done again, and which
comes next.

A step that is done takes a number that is higher than all before: a step with a lower number than one that it needs
is outdated. The numbers are in the avatar's record, so undo and the .blend have them.
"""

from __future__ import annotations

import bpy
from bpy.props import IntProperty
from bpy.types import PropertyGroup

from .scene import Avatar

# What each step is made from: the steps whose repetition outdates it. The T-pose carries the face along.
STEPS = {"mesh": "Mesh", "rig": "Rig", "pose": "T-Pose", "face": "Face", "vrm": "VRM Settings", "export": "Export"}
NEEDS = {
    "mesh": (),
    "rig": ("mesh",),
    "pose": ("mesh", "rig"),
    "face": ("mesh", "rig"),
    "vrm": ("mesh", "rig", "pose", "face"),
    "export": ("mesh", "rig", "pose", "face", "vrm"),
}
DONE, OUTDATED, NEXT, TO_DO = "done", "outdated", "next", ""


class AvatarForgeSteps(PropertyGroup):
    """When each step was last done, by number; 0: never, or before the numbers were kept."""

    mesh: IntProperty()
    rig: IntProperty()
    pose: IntProperty()
    face: IntProperty()
    vrm: IntProperty()
    export: IntProperty()


def done(avatar: Avatar, step: str) -> None:
    """Notes that a step was done, or that what it makes was changed; the report card then speaks of an avatar
    that was.
    """
    steps = avatar.record.steps
    setattr(steps, step, 1 + max(getattr(steps, name) for name in STEPS))
    if step != "export":
        avatar.record.card_outdated = True


def register() -> None:
    bpy.utils.register_class(AvatarForgeSteps)


def unregister() -> None:
    bpy.utils.unregister_class(AvatarForgeSteps)
