# SPDX-License-Identifier: GPL-3.0-or-later
"""What the picture says of a character, carried onto the mesh that was made of it: joints and face.

Picture-to-3D networks show their subject as the picture does: seen from the front, the mesh's outline is the
picture's. Where it is, a pixel is a place on the mesh; where it is not (another side, a turned camera), nothing is
carried.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError
from ..image.analysis import PictureAnalysis, analyse
from ..mesh.raster import View, front_view
from ..mesh.voxels import solid_voxels
from .landmarks import lift

OVERLAP = 0.75  # of the two outlines (intersection over union) from which on they are taken for the same view
STRETCH = 0.15  # by which the outlines' proportions may differ
VIEW_HEIGHT = 640
FACE_PARTS = ("leftEye", "rightEye", "mouth")


def carried_landmarks(
    picture: Path, markers: dict[str, Any] | None, vertices: np.ndarray, triangles: np.ndarray
) -> dict[str, Any]:
    """{"joints", "face"} as `backend.engines.GeneratedMesh` has them, for a mesh (V, 3), (T, 3) in glTF axes that faces
    +Z; {} where the picture shows no character, or not from the mesh's front.
    """
    try:
        seen = analyse(picture, markers)
    except BackendError:  # a crate has no joints
        return {}
    view = front_view(vertices, triangles, VIEW_HEIGHT)
    placed = _Placement.of(seen.mask, view)
    if placed is None or placed.overlap(seen.mask, view) < OVERLAP:
        return {}
    joints = lift(placed.to_view(seen.joints, view), view, solid_voxels(vertices, triangles))
    return {
        "joints": {name: [round(float(v), 6) for v in point] for name, point in joints.items()},
        "face": _face(seen, placed, view),
    }


class _Placement:
    """Pixels of the picture to metres in the front view: one scale, the outlines' boxes on each other."""

    def __init__(self, scale: float, picture_middle: np.ndarray, view_middle: np.ndarray) -> None:
        self.scale, self._picture, self._view = scale, picture_middle, view_middle

    @classmethod
    def of(cls, mask: np.ndarray, view: View) -> _Placement | None:
        """None where either shows nothing, or their proportions are not the same."""
        if not mask.any() or not view.mask.any():
            return None
        (low, high), (view_low, view_high) = _box(mask), _box(view.mask)
        corners = view.to_metres(np.array([view_low - 0.5, view_high + 0.5]))
        size, metres = high - low + 1.0, np.abs(corners[1] - corners[0])
        scale = metres / size
        if abs(np.log(scale[0] / scale[1])) > STRETCH:
            return None
        return cls(float(scale[1]), (low + high) / 2, corners.mean(0))

    def to_metres(self, pixels: np.ndarray) -> np.ndarray:
        """(..., 2) pixels, y down, to (..., 2) metres, y up."""
        return self._view + (np.asarray(pixels, float) - self._picture) * [self.scale, -self.scale]

    def to_view(self, joints: dict[str, tuple[float, float]], view: View) -> dict[str, tuple[float, float]]:
        found = view.to_pixels(self.to_metres(np.array(list(joints.values()))))
        return {name: (float(x), float(y)) for name, (x, y) in zip(joints, found, strict=True)}

    def overlap(self, mask: np.ndarray, view: View) -> float:
        """Intersection over union of the two outlines, on the view's pixels."""
        row, column = np.nonzero(np.ones(view.mask.shape, bool))
        metres = view.to_metres(np.column_stack([column, row]))
        pixels = np.round((metres - self._view) / [self.scale, -self.scale] + self._picture).astype(int)
        inside = (pixels >= 0).all(1) & (pixels < mask.shape[::-1]).all(1)
        wanted = np.zeros(len(pixels), bool)
        wanted[inside] = mask[pixels[inside, 1], pixels[inside, 0]]
        shown = view.mask.ravel()
        return float((shown & wanted).sum() / max((shown | wanted).sum(), 1))


def _box(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last (column, row) of a mask."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min()], float), np.array([columns.max(), rows.max()], float)


def _face(seen: PictureAnalysis, placed: _Placement, view: View) -> dict[str, Any]:
    face: dict[str, Any] = {"confidence": dict(seen.face.get("confidence", {}))}
    for name in (part for part in FACE_PARTS if part in seen.face):
        entry = seen.face[name]
        x, y = placed.to_metres(np.array(entry["center"]))
        z = _depth(view, view.to_pixels(np.array([x, y])))
        if z is None:
            continue
        sizes = {
            key: round(float(entry[key]) * placed.scale, 6)
            for key in ("half_width", "half_height", "width")
            if key in entry
        }
        face[name] = {"center": [round(float(v), 6) for v in (x, y, z)], **sizes}
    return face


def _depth(view: View, pixel: np.ndarray) -> float | None:
    """z of the front surface around a pixel, None where there is none."""
    column, row = np.round(pixel).astype(int)
    around = view.depth[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    return float(np.nanmedian(around)) if np.isfinite(around).any() else None
