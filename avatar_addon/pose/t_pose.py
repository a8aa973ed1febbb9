# SPDX-License-Identifier: GPL-3.0-or-later
"""How far an avatar at rest is from the T-pose."""

from __future__ import annotations

import numpy as np

from ..avatar.scene import Avatar, has_vrm
from ..vrm import setup
from .kinematics import rest


def off_t_pose(avatar: Avatar) -> dict[str, float]:
    """VRM bone -> degrees it is off the T-pose at rest (rest.off_t_pose); cheap enough to draw."""
    bones, known = avatar.armature.data.bones, has_vrm(avatar)
    joints = {}
    for name in (*rest.LIMB_BONES, "hips", "head"):
        bone = bones.get((known and setup.get_bone(avatar.armature, name)) or name)
        if bone:
            joints[name] = np.array(bone.head_local)
    names, points = list(joints), np.array(list(joints.values())).reshape(-1, 3)
    return rest.off_t_pose(points @ rest.body_frame(points, names).T, names)


def is_t_pose(avatar: Avatar, tolerance: float = 2.0) -> bool:
    """Whether arms and legs lie as the T-pose has them at rest, within `tolerance` degrees."""
    off = off_t_pose(avatar)
    return {"leftUpperArm", "rightUpperArm"} <= off.keys() and max(off.values()) <= tolerance
