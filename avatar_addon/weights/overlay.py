# SPDX-License-Identifier: GPL-3.0-or-later
"""The chosen place over the 3D view: its vertices as dots in front of everything, a ring around them, and what is
wrong in words.
"""

from __future__ import annotations

import math

import blf
import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from ..avatar import scene
from ..ui.translation import tr
from . import live

DOT, LETTERS, WIDTH, MARGIN = 5.0, 12.0, 2.0, 14.0  # pixels at scale 1
MOST = 4000  # dots; more would only be one blot
RING = 48  # corners of the ring
DARK, LIGHT, WRONG = (0.0, 0.0, 0.0, 0.8), (1.0, 1.0, 1.0, 1.0), (1.0, 0.35, 0.2, 1.0)

_handles: list[object] = []


def _draw() -> None:
    context = bpy.context
    region, view = context.region, context.region_data
    avatar = scene.find_avatar(context) if view else None
    if avatar is None or not avatar.mesh.visible_get():
        return
    place = avatar.record.weights.place
    if place is None or not live.is_current(avatar):
        return
    points = live.points_of(avatar, place, context.view_layer.depsgraph)
    if not len(points):
        return
    at = _in_region(points, region, view)
    if not len(at):
        return
    scale = context.preferences.system.ui_scale
    gpu.state.blend_set("ALPHA")
    dots = [(x, y, 0.0) for x, y in at[:: len(at) // MOST + 1].tolist()]
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    for size, colour in ((DOT + 3, DARK), (DOT, WRONG)):
        gpu.state.point_size_set(size * scale)
        shader.uniform_float("color", colour)
        batch_for_shader(shader, "POINTS", {"pos": dots}).draw(shader)
    gpu.state.point_size_set(1.0)
    low, high = at.min(0), at.max(0)
    middle, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2 + MARGIN * scale
    turns = [2 * math.pi * k / RING for k in range(RING + 1)]
    ring = [(middle[0] + radius * math.cos(t), middle[1] + radius * math.sin(t), 0.0) for t in turns]
    line = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    line.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    for width, colour in ((WIDTH + 2, DARK), (WIDTH, LIGHT)):
        line.uniform_float("lineWidth", width * scale)
        line.uniform_float("color", colour)
        batch_for_shader(line, "LINE_STRIP", {"pos": ring}).draw(line)
    gpu.state.blend_set("NONE")
    _label(tr(place.name), middle, radius, region, scale)


def _in_region(points: np.ndarray, region: bpy.types.Region, view: bpy.types.RegionView3D) -> np.ndarray:
    """(n, 2) pixels of the points that lie before the viewer."""
    seen = np.c_[points, np.ones(len(points))] @ np.array(view.perspective_matrix).T
    seen = seen[seen[:, 3] > 1e-6]
    return (seen[:, :2] / seen[:, 3:] + 1) / 2 * (region.width, region.height)


def _label(text: str, middle: np.ndarray, radius: float, region: bpy.types.Region, scale: float) -> None:
    """Over the ring, within the region, light on dark."""
    blf.size(0, LETTERS * scale)
    wide, tall = blf.dimensions(0, text)
    x = min(max(middle[0] - wide / 2, 8 * scale), max(region.width - wide - 8 * scale, 0))
    y = min(middle[1] + radius + 8 * scale, region.height - tall - 60 * scale)
    for right, up in ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)):
        blf.color(0, *(DARK if right or up else LIGHT))
        blf.position(0, x + right * scale, y + up * scale, 0)
        blf.draw(0, text)


def register() -> None:
    if not bpy.app.background:
        _handles.append(bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    while _handles:
        bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")
