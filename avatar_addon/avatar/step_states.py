# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of an avatar's steps are done, which are outdated because something before them was done again, and which
comes next.

A step that is done takes a number that is higher than all before: a step with a lower number than one that it needs
is outdated. The numbers are in the avatar's record, so undo and the .blend have them.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy
from bpy.props import IntProperty
from bpy.types import PropertyGroup

from ..vrm.setup import VISEMES
from ..vrm.shape_key_names import recognise
from . import scene
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


@dataclass(frozen=True)
class StepState:
    """state: done, outdated, next or ""; since: the title of the step that was done again after an outdated one."""

    state: str
    since: str = ""


def done(avatar: Avatar, step: str) -> None:
    """Notes that a step was done, or that what it makes was changed; the report card then speaks of an avatar
    that was.
    """
    steps = avatar.record.steps
    setattr(steps, step, 1 + max(getattr(steps, name) for name in STEPS))
    if step != "export":
        avatar.record.card_outdated = True


def states(avatar: Avatar | None) -> dict[str, StepState]:
    """The state of every step, in order; cheap enough to draw."""
    if avatar is None:
        return {name: StepState(NEXT if name == "mesh" else TO_DO) for name in STEPS}
    steps, there = avatar.record.steps, _there(avatar)
    out: dict[str, StepState] = {}
    for name in STEPS:
        number = getattr(steps, name)
        newer = [need for need in NEEDS[name] if there[need] and getattr(steps, need) > number]
        if not there[name]:
            out[name] = StepState(TO_DO if NEXT in (entry.state for entry in out.values()) else NEXT)
        elif number and newer:
            out[name] = StepState(OUTDATED, STEPS[newer[-1]])
        else:
            out[name] = StepState(DONE)
    return out


def _there(avatar: Avatar) -> dict[str, bool]:
    """Which steps have left what they make."""
    rigged = avatar.armature is not None
    return {
        "mesh": True,
        "rig": rigged,
        "pose": rigged and scene.is_t_pose(avatar),
        "face": rigged and _has_visemes(avatar),
        "vrm": rigged and scene.is_set_up(avatar),
        "export": rigged and avatar.record.steps.export > 0,
    }


def _has_visemes(avatar: Avatar) -> bool:
    """Ours, or those that came with the mesh under a known name."""
    if avatar.record.faceless is not None:
        return True
    keys = avatar.mesh.data.shape_keys
    if keys is None:
        return False
    names = keys.key_blocks.keys()[1:]
    return set(VISEMES) <= set(names) or set(VISEMES) <= set(recognise(names).binds)


def register() -> None:
    bpy.utils.register_class(AvatarForgeSteps)


def unregister() -> None:
    bpy.utils.unregister_class(AvatarForgeSteps)
