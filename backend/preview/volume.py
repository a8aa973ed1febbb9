# SPDX-License-Identifier: GPL-3.0-or-later
"""From depth to one closed skin."""

from __future__ import annotations

import numpy as np
import trimesh
from scipy import ndimage
from skimage.measure import marching_cubes

from .thickness import Depth, Frame

SMOOTHING = 4  # Taubin steps: enough to hide the grid, too few to shrink


def build_skin(depth: Depth, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) in metres, glTF axes, and triangles (T, 3) of the zero set of thickness^2 - (depth - centre)^2,
    one closed piece.
    """
    thick = np.sqrt(np.maximum(depth.square, 0))
    near = int(np.ceil((depth.centre + thick * depth.front).max())) + 3
    far = int(np.ceil((thick * depth.back - depth.centre).max())) + 3
    levels = np.arange(-far, near + 1, dtype=np.float32)
    offset = levels[:, None, None] - depth.centre[None].astype(np.float32)
    scaled = np.where(offset > 0, offset / depth.front, offset / depth.back)
    field = depth.square.astype(np.float32) - scaled * scaled
    # Values of exactly zero would give triangles without area.
    field[np.abs(field) < 1e-4] = -1e-4
    vertices, triangles, _, _ = marching_cubes(field, 0.0, allow_degenerate=False)
    flat = frame.to_metres(vertices[:, [2, 1]])
    points = np.column_stack([flat, (vertices[:, 0] - far) * frame.cell])
    mesh = trimesh.Trimesh(points, triangles, process=False)
    mesh = _largest(mesh)
    if mesh.volume < 0:
        mesh.invert()
    trimesh.smoothing.filter_taubin(mesh, lamb=0.5, nu=0.52, iterations=SMOOTHING)
    vertices = np.array(mesh.vertices)
    vertices[:, 1] -= vertices[:, 1].min()
    return vertices, np.array(mesh.faces)


def _largest(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    pieces = mesh.split(only_watertight=False)
    return mesh if len(pieces) < 2 else max(pieces, key=lambda piece: len(piece.faces))


def surface_depth(depth: Depth, frame: Frame, cells: np.ndarray) -> np.ndarray:
    """Depth in metres of the front surface at (column, row) points."""
    at = np.asarray(cells, float).reshape(-1, 2)[:, ::-1].T
    front = depth.centre + np.sqrt(np.maximum(depth.square, 0)) * depth.front
    return ndimage.map_coordinates(front, at, order=1, mode="nearest") * frame.cell


def middle_depth(depth: Depth, frame: Frame, cells: np.ndarray) -> np.ndarray:
    """Depth in metres of the middle of the body at (column, row) points."""
    thick = np.sqrt(np.maximum(depth.square, 0))
    middle = depth.centre + thick * (depth.front - depth.back) / 2
    at = np.asarray(cells, float).reshape(-1, 2)[:, ::-1].T
    return ndimage.map_coordinates(middle, at, order=1, mode="nearest") * frame.cell
