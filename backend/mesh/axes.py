# SPDX-License-Identifier: GPL-3.0-or-later
"""From the axes of the picture-to-3D networks to those of files."""

from __future__ import annotations

import numpy as np


def to_gltf(points: np.ndarray) -> np.ndarray:
    """World axes (Z up, facing -Y) to glTF axes (Y up, facing +Z): (x, y, z) -> (x, z, -y)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)
