# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the 3D view to where something is to be seen."""

from __future__ import annotations

import math

import bpy
import numpy as np
from mathutils import Quaternion, Vector

LEAST_DISTANCE = 0.3  # metres; nearer, one sees skin and no body
FRONT = Quaternion((1, 0, 0), math.radians(90))


def show_points(context: bpy.types.Context, points: np.ndarray, towards: np.ndarray) -> None:
    """Brings points (n, 3) into every 3D view of the window, with enough around them to know where on the body they
    are.

    towards: (3,) where the skin looks there, and the viewer comes from; without length the view keeps its direction.
    """
    turn = Vector(towards).to_track_quat("Z", "Y") if np.linalg.norm(towards) > 1e-3 else None
    for area in context.window.screen.areas if context.window else ():
        if area.type == "VIEW_3D":
            view = area.spaces.active.region_3d
            frame(view, points, turn or view.view_rotation.copy(), 3.0)


def frame(view: bpy.types.RegionView3D, points: np.ndarray, rotation: Quaternion, wide: float) -> None:
    """Fits points (n, 3) into a 3D view, `wide` times their extent, in parallel projection."""
    low, high = points.min(0), points.max(0)
    view.view_perspective = "ORTHO"
    view.view_rotation = rotation
    view.view_location = Vector((low + high) / 2)
    view.view_distance = max(wide * float(np.linalg.norm(high - low)), LEAST_DISTANCE)
