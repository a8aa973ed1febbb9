# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of an avatar's steps are done, which are outdated, and which comes next."""

from __future__ import annotations

from dataclasses import dataclass

from .avatar import scene
from .avatar.scene import Avatar
from .avatar.step_states import DONE, NEEDS, NEXT, OUTDATED, STEPS, TO_DO
from .pose import t_pose
from .vrm.spec.presets import VISEMES
from .vrm.spec.shape_key_names import recognise


@dataclass(frozen=True)
class StepState:
    """state: done, outdated, next or ""; since: the title of the step that was done again after an outdated one."""

    state: str
    since: str = ""


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
        "pose": rigged and t_pose.is_t_pose(avatar),
        "face": rigged and _has_visemes(avatar),
        "vrm": rigged and scene.is_set_up(avatar),
        "export": rigged and avatar.record.steps.export > 0,
    }


def _has_visemes(avatar: Avatar) -> bool:
    """Ours, or those that came with the mesh under a known name."""
    if avatar.record.mesh_without_face is not None:
        return True
    keys = avatar.mesh.data.shape_keys
    if keys is None:
        return False
    names = keys.key_blocks.keys()[1:]
    return set(VISEMES) <= set(names) or set(VISEMES) <= set(recognise(names).binds)
