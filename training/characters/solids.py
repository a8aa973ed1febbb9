# SPDX-License-Identifier: GPL-3.0-or-later
"""What things and animals are put together from: painted pieces, wheels, legs, eyes."""

from __future__ import annotations

import numpy as np

from .shapes import Mesh, ellipsoid, lathe, rotation, tube, turned

Pieces = list[tuple[Mesh, np.ndarray]]
INK, WHITE = np.array([25.0, 22, 24]), np.array([245.0, 245, 240])


def wheel(x: float, y: float, z: float, radius: float) -> Pieces:
    """A tyre with a hub, its axle along Z."""
    turn = rotation([1, 0, 0], 90)
    tyre = lathe([(0, -0.08), (radius, -0.08), (radius, 0.08), (0, 0.08)])
    hub = lathe([(0, -0.09), (0.5 * radius, -0.09), (0.5 * radius, 0.09), (0, 0.09)])
    at = np.array([x, y, z])
    return [(turned(tyre, turn, at), INK + 15), (turned(hub, turn, at), np.full(3, 185.0))]


def legs(places: list[tuple[float, float]], top: float, radius: float, paint: np.ndarray) -> Pieces:
    """Straight legs from y = top to the ground at (x, z)."""
    return [(tube(np.array([[x, top, z], [x, 0, z]]), [radius, 0.8 * radius]), paint) for x, z in places]


def eyes(at: np.ndarray, apart: float, size: float, forward: np.ndarray) -> Pieces:
    """A pair beside a head's middle, apart along Z, looking forward."""
    out: Pieces = []
    for side in (1, -1):
        centre = at + [0, 0, side * apart]
        out.append((ellipsoid(centre, (size, size, size), 6, 8), WHITE))
        out.append((ellipsoid(centre + 0.6 * size * forward + [0, 0, 0.3 * side * size], [0.6 * size] * 3, 6, 8), INK))
    return out
