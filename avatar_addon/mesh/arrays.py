# SPDX-License-Identifier: GPL-3.0-or-later
"""A skinned, textured triangle mesh as plain arrays: what the pure parts of the add-on work on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class SkinnedMesh:
    """Triangles with UVs per corner, material slots and bone weights.

    Axes are Blender's: metres, Z up, the character faces -Y, its left side is +X.
    A vertex is one point of the skin: UV seams do not split it, so a closed skin is closed here.
    """

    vertices: np.ndarray  # (V, 3) float64
    triangles: np.ndarray  # (T, 3) int32, counter-clockwise seen from outside
    corner_uvs: np.ndarray  # (T, 3, 2) float32, origin bottom left as in Blender
    material_index: np.ndarray  # (T,) int32, slot in `materials`
    materials: list[str] = field(default_factory=list)  # material names, one per slot
    groups: list[str] = field(default_factory=list)  # vertex group (bone) names
    weights: np.ndarray | None = None  # (V, len(groups)) float32, rows sum to 1; None when unrigged
    # Other UV maps, (T, 3, 2), and vertex colours, (T, 3, 4), by name; float32.
    corner_layers: dict[str, np.ndarray] = field(default_factory=dict)
    shape_keys: dict[str, np.ndarray] = field(default_factory=dict)  # name -> (V, 3) float32 displacement
