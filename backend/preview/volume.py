# SPDX-License-Identifier: GPL-3.0-or-later
"""From depth to closed skins: the body's, and a cape's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from scipy import ndimage
from skimage.measure import marching_cubes

from ..mesh.glb import vertex_normals
from .cape import Cape
from .sides import Views, hull
from .solid import Depth
from .thickness import Frame

SMOOTHING = 4  # Taubin steps: enough to hide the grid, too few to shrink
OUTLINE = 1.2  # cells: so near to the outline lies what smoothing took from it


@dataclass
class Skin:
    """vertices (V, 3) in metres, glTF axes, lowest at y = 0; triangles (T, 3). Those from `cape` on are the cape's,
    a closed piece of its own.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    cape: int


def build_skin(depth: Depth, frame: Frame, views: Views) -> Skin:
    """The zero set of thickness^2 - (z - centre)^2 within the views' silhouettes, one closed piece for the body and
    one for a cape.
    """
    body = _surface(depth.square, depth.centre, frame, views)
    _to_outline(body, depth.inside, frame)
    pieces = [body] if depth.cape is None else [body, _sheet(depth.cape, depth, frame)]
    offsets = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    vertices = np.concatenate([piece.vertices for piece in pieces])
    vertices[:, 1] -= vertices[:, 1].min()
    triangles = np.concatenate([piece.faces + at for piece, at in zip(pieces, offsets, strict=False)])
    return Skin(vertices, triangles, len(body.faces))


def _sheet(cape: Cape, depth: Depth, frame: Frame) -> trimesh.Trimesh:
    inside = ndimage.distance_transform_edt(cape.region) - ndimage.distance_transform_edt(~cape.region)
    inside = np.minimum(inside - 0.5 * np.sign(inside), depth.body.inside + 0.2)
    square = np.minimum(cape.thick**2, 2 * cape.thick * inside)
    return _surface(square, cape.centre, frame, Views())


def _surface(square: np.ndarray, centre: np.ndarray, frame: Frame, views: Views) -> trimesh.Trimesh:
    thick = np.sqrt(np.maximum(square, 0))
    near = int(np.ceil((centre + thick).max())) + 3
    far = int(np.ceil((thick - centre).max())) + 3
    levels = np.arange(-far, near + 1, dtype=np.float32)
    offset = levels[:, None, None] - centre[None].astype(np.float32)
    field = square.astype(np.float32) - offset * offset
    limit = hull(views, levels, len(square))
    if limit is not None:
        field = np.minimum(field, limit[..., None].astype(np.float32))
    # Values of exactly zero would give triangles without area.
    field[np.abs(field) < 1e-4] = -1e-4
    vertices, triangles, _, _ = marching_cubes(field, 0.0, allow_degenerate=False)
    flat = frame.to_metres(vertices[:, [2, 1]])
    points = np.column_stack([flat, (vertices[:, 0] - far) * frame.cell])
    mesh = _largest(trimesh.Trimesh(points, triangles, process=False))
    if mesh.volume < 0:
        mesh.invert()
    trimesh.smoothing.filter_taubin(mesh, lamb=0.5, nu=0.52, iterations=SMOOTHING)
    return mesh


def _to_outline(mesh: trimesh.Trimesh, inside: np.ndarray, frame: Frame) -> None:
    """Moves the vertices whose normals look aside onto the picture's outline: smoothing rounds off fingers and hair
    tips, and the grid is coarser than the picture.
    """
    flat = np.array(mesh.vertices[:, :2])
    at = np.column_stack([frame.ground - flat[:, 1] / frame.cell, flat[:, 0] / frame.cell + frame.middle]).T
    distance = ndimage.map_coordinates(inside, at, order=1, mode="nearest")
    down, right = (ndimage.map_coordinates(slope, at, order=1, mode="nearest") for slope in np.gradient(inside))
    steep = np.maximum(np.hypot(down, right), 0.5)
    aside = 1 - np.clip(np.abs(vertex_normals(mesh.vertices, mesh.faces)[:, 2]) / 0.6, 0, 1)
    near = np.clip(2 * (1 - np.abs(distance) / OUTLINE), 0, 1)
    step = distance * aside * near / steep * frame.cell
    mesh.vertices[:, :2] = flat + np.column_stack([-right, down]) * (step / steep)[:, None]


def _largest(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    pieces = mesh.split(only_watertight=False)
    return mesh if len(pieces) < 2 else max(pieces, key=lambda piece: len(piece.faces))


def surface_depth(depth: Depth, frame: Frame, cells: np.ndarray) -> np.ndarray:
    """Depth in metres of the front surface at (column, row) points."""
    return _at(depth.centre + depth.thick, cells) * frame.cell


def middle_depth(depth: Depth, frame: Frame, cells: np.ndarray) -> np.ndarray:
    """Depth in metres of the middle of the body at (column, row) points."""
    return _at(depth.middle, cells) * frame.cell


def _at(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    at = np.asarray(cells, float).reshape(-1, 2)[:, ::-1].T
    return np.asarray(ndimage.map_coordinates(values, at, order=1, mode="nearest"))
