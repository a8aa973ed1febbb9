# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the 3D view to where something is to be seen."""

from __future__ import annotations

import math

import bpy
import numpy as np
from mathutils import Quaternion, Vector

from . import mesh_data
from .scene import Avatar, select
from .vrm.checks_behaviour import EMOTIONS
from .vrm.measured import LIMBS

FACE_CHECKS = ("viseme", "mouth", "blink", "emotions", "gaze", *EMOTIONS)
LEG_CHECKS = ("feet", "hips")
FRONT = Quaternion((1, 0, 0), math.radians(90))


def show_place(context: bpy.types.Context, avatar: Avatar, check: str) -> None:
    """Selects what a check of the report card is about and brings it into the view, from the front; without a 3D view only selects."""
    rigging = check.startswith("bones") or check in ("sides", "t_pose")
    select(context, avatar.armature if rigging and avatar.armature else avatar.mesh)
    view = getattr(context.space_data, "region_3d", None) if context.space_data else None
    if view is None:
        return
    points = _part(avatar, check)
    low, high = points.min(0), points.max(0)
    view.view_perspective = "ORTHO"
    view.view_rotation = FRONT
    view.view_location = Vector((low + high) / 2)
    view.view_distance = 1.6 * float(np.linalg.norm(high - low))


def _part(avatar: Avatar, check: str) -> np.ndarray:
    data = mesh_data.read_mesh(avatar.mesh)
    groups = ["head"] if check.startswith(FACE_CHECKS) else [b for bones in LIMBS.values() for b in bones if "Foot" in b]
    if not check.startswith((*FACE_CHECKS, *LEG_CHECKS)) or data.weights is None:
        return data.vertices
    columns = [data.groups.index(name) for name in groups if name in data.groups]
    inside = data.weights[:, columns].sum(1) > 0.5 if columns else np.zeros(len(data.vertices), bool)
    return data.vertices[inside] if inside.any() else data.vertices
