# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings what a check of the report card is about into the view."""

from __future__ import annotations

import bpy
import numpy as np

from ..avatar.scene import Avatar, select
from ..mesh import blender_mesh
from ..report.measured import LIMBS
from ..ui import viewport
from ..vrm.spec.presets import EMOTIONS

FACE_CHECKS = ("viseme", "mouth", "blink", "emotions", "gaze", *EMOTIONS)
LEG_CHECKS = ("feet", "hips")


def show_place(context: bpy.types.Context, avatar: Avatar, check: str) -> None:
    """Selects what a check of the report card is about and brings it into the view, from the front; without a 3D view
    only selects.
    """
    rigging = check.startswith("bones") or check in ("sides", "t_pose")
    select(context, avatar.armature if rigging and avatar.armature else avatar.mesh)
    view = getattr(context.space_data, "region_3d", None) if context.space_data else None
    if view is None:
        return
    viewport.frame(view, _part(avatar, check), viewport.FRONT, 1.6)


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
