# SPDX-License-Identifier: GPL-3.0-or-later
"""Results in the axes and layouts that files want."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from .decoders import Gaussians

# Z up to Y up for gaussian PLY files: (x, y, z) -> (x, -z, y). GLB files turn the other way, see `mesh.axes`.
PLY_AXES = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def gaussian_table(gaussians: Gaussians) -> np.ndarray:
    """(g, 17) a splat PLY's columns: position, normal 0, colour coefficients, opacity logit, log scale, rotation (w,
    x, y, z).
    """
    xyz, scaling, rotation, opacity, dc = (
        v.detach().cpu().double().numpy()
        for v in (gaussians.xyz, gaussians.scaling, gaussians.rotation, gaussians.opacity, gaussians.features_dc)
    )
    turned = Rotation.from_matrix(PLY_AXES @ Rotation.from_quat(rotation[:, [1, 2, 3, 0]]).as_matrix()).as_quat()[
        :, [3, 0, 1, 2]
    ]
    opacity = np.clip(opacity, 1e-7, 1 - 1e-7)
    return np.concatenate(
        [
            xyz @ PLY_AXES.T,
            np.zeros_like(xyz),
            dc.reshape(len(xyz), 3),
            np.log(opacity / (1 - opacity)),
            np.log(scaling),
            turned,
        ],
        1,
    )
