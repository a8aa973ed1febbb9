# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the 3D view to where something is to be seen."""

from __future__ import annotations

import math

import bpy
import numpy as np
from mathutils import Quaternion, Vector

from ..avatar.scene import Avatar, select
from ..mesh import blender_mesh
from ..report.behaviour import EMOTIONS
from ..report.measured import LIMBS

FACE_CHECKS = ("viseme", "mouth", "blink", "emotions", "gaze", *EMOTIONS)
LEG_CHECKS = ("feet", "hips")
LEAST_DISTANCE = 0.3  # metres; nearer, one sees skin and no body
FRONT = Quaternion((1, 0, 0), math.radians(90))


def show_place(context: bpy.types.Context, avatar: Avatar, check: str) -> None:
    """Selects what a check of the report card is about and brings it into the view, from the front; without a 3D view
    only selects.
    """
    rigging = check.startswith("bones") or check in ("sides", "t_pose")
    select(context, avatar.armature if rigging and avatar.armature else avatar.mesh)
    view = getattr(context.space_data, "region_3d", None) if context.space_data else None
    if view is None:
        return
    _frame(view, _part(avatar, check), FRONT, 1.6)


def show_points(context: bpy.types.Context, points: np.ndarray, towards: np.ndarray) -> None:
    """Brings points (n, 3) into every 3D view of the window, with enough around them to know where on the body they
    are.

    towards: (3,) where the skin looks there, and the viewer comes from; without length the view keeps its direction.
    """
    turn = Vector(towards).to_track_quat("Z", "Y") if np.linalg.norm(towards) > 1e-3 else None
    for area in context.window.screen.areas if context.window else ():
        if area.type == "VIEW_3D":
            view = area.spaces.active.region_3d
            _frame(view, points, turn or view.view_rotation.copy(), 3.0)


def _frame(view: bpy.types.RegionView3D, points: np.ndarray, rotation: Quaternion, wide: float) -> None:
    low, high = points.min(0), points.max(0)
    view.view_perspective = "ORTHO"
    view.view_rotation = rotation
    view.view_location = Vector((low + high) / 2)
    view.view_distance = max(wide * float(np.linalg.norm(high - low)), LEAST_DISTANCE)


def _part(avatar: Avatar, check: str) -> np.ndarray:
    data = blender_mesh.read_mesh(avatar.mesh)
    groups = (
        ["head"] if check.startswith(FACE_CHECKS) else [b for bones in LIMBS.values() for b in bones if "Foot" in b]
    )
    if not check.startswith((*FACE_CHECKS, *LEG_CHECKS)) or data.weights is None:
        return data.vertices
    columns = [data.groups.index(name) for name in groups if name in data.groups]
    inside = data.weights[:, columns].sum(1) > 0.5 if columns else np.zeros(len(data.vertices), bool)
    return data.vertices[inside] if inside.any() else data.vertices
