# SPDX-License-Identifier: GPL-3.0-or-later
"""Springs that swing in the viewport: the VRM Add-on's simulation, while a test animation moves the body."""

from __future__ import annotations

import bpy

from ..avatar.scene import Avatar
from ..pose import preview
from ..vrm.addon import extension

KEY = (  # on the armature object: the VRM version that was chosen before; the simulation is VRM 1.0's
    "avatar_forge_springs"
)
MOTION = "Turn"


def is_playing(armature: bpy.types.Object | None) -> bool:
    return armature is not None and KEY in armature


def play(context: bpy.types.Context, avatar: Avatar, motion: str = MOTION) -> None:
    """Shows a test animation (pose_live) with springs. Raises AvatarError."""
    ext = extension(avatar.armature)
    preview.show_motion(context, avatar, motion)
    if KEY not in avatar.armature:
        avatar.armature[KEY] = ext.spec_version
    ext.spec_version = "1.0"
    ext.spring_bone1.enable_animation = True


def stop(context: bpy.types.Context, avatar: Avatar) -> None:
    """The pose and all else are as they were before."""
    armature = avatar.armature
    if not is_playing(armature):
        return
    extension(armature).spring_bone1.enable_animation = False
    preview.back(context, avatar)
    extension(armature).spec_version = armature[KEY]
    del armature[KEY]


def start_playback(context: bpy.types.Context) -> None:
    """Where there is a window."""
    preview.play(context)
