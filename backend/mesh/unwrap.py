# SPDX-License-Identifier: GPL-3.0-or-later
"""UV coordinates for a mesh without any: charts and their packing are xatlas' (xatlas of Jonathan Young, from
thekla_atlas).
"""

from __future__ import annotations

import numpy as np
import xatlas

PADDING = 4  # texels between charts at 1024


def unwrap(vertices: np.ndarray, triangles: np.ndarray, resolution: int) -> np.ndarray:
    """corner_uvs (T, 3, 2) in 0..1, charts that do not overlap on a square texture of `resolution` texels.
    Deterministic.

    A triangle that no chart took (without any area as single precision sees it) lies in one point.
    """
    atlas = xatlas.Atlas()
    atlas.add_mesh(np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(triangles, np.uint32))
    pack = xatlas.PackOptions()
    pack.resolution, pack.padding, pack.bilinear = resolution, max(2, round(PADDING * resolution / 1024)), True
    atlas.generate(xatlas.ChartOptions(), pack)
    _, indices, uvs = atlas.get_mesh(0)
    # xatlas scales both axes to its own rectangle; one scale for both keeps the charts' shapes and their distances.
    size = np.array([atlas.width, atlas.height], np.float64)
    return (uvs.astype(np.float64) * size / max(size.max(), 1.0))[indices.astype(np.int64)].reshape(-1, 3, 2)
