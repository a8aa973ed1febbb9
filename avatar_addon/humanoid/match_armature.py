# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid bones of an armature object."""

from __future__ import annotations

import bpy

from ..mesh.armature import read_bones
from .matching.matcher import Match, match


def match_armature(obj: bpy.types.Object, faces: tuple[float, float] | None = (0.0, -1.0)) -> Match:
    """The humanoid bones of any armature object in the rest pose; indices are places in `obj.data.bones`. See
    `matcher.match`.
    """
    bones = read_bones(obj)
    return match(bones.heads, bones.parents, bones.names, faces)
