# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar's surface as one picture: the base colours of all its materials one above the other, for whoever looks
at renders of the mesh.
"""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from ..mesh import blender_mesh
from ..vrm.base_colour import base_colour, base_image
from .scene import Avatar, image_pixels, to_gltf, write_pixels

SIDE = 1024  # a texture's longer side on the picture, at most
PLAIN = 8  # rows of a material of one colour


def write_painted(avatar: Avatar, mesh_path: Path, texture_path: Path) -> tuple[Path, Path | None]:
    """mesh.npz (docs/architecture.md) whose corner_uvs lie on the picture, and the picture as a PNG; None in its place
    where no material has a colour.
    """
    data = blender_mesh.read_mesh(avatar.mesh)
    tiles = [_tile(slot.material) for slot in avatar.mesh.material_slots]
    uvs, picture = on_one(tiles, data.corner_uvs, data.material_index)
    vertices = to_gltf(data.vertices).astype(np.float32)
    np.savez(mesh_path, vertices=vertices, triangles=data.triangles, corner_uvs=uvs)
    if picture is None or not any(tile is not None for tile in tiles):
        return mesh_path, None
    rgba = np.ones((*picture.shape[:2], 4), np.float32)
    rgba[..., :3] = picture
    return mesh_path, write_pixels(rgba, texture_path)


def on_one(tiles: list[np.ndarray | None], uvs: np.ndarray, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """tiles: per slot (h, w, 3) float32, bottom row first; None: grey. uvs (T, 3, 2), slots (T,) -> UVs on the picture
    (T, 3, 2) and the picture (H, W, 3), bottom row first.
    """
    grey = np.full((PLAIN, PLAIN, 3), 0.6, np.float32)
    filled = [grey if tile is None else tile for tile in tiles] or [grey]
    width, heights = max(tile.shape[1] for tile in filled), [tile.shape[0] for tile in filled]
    picture = np.zeros((sum(heights), width, 3), np.float32)
    place = uvs - np.floor(uvs.mean(1, keepdims=True))
    out = np.clip(place, 0.0, 1.0).astype(np.float32)
    bottom = 0
    for number, tile in enumerate(filled):
        height, own = tile.shape[:2]
        picture[bottom : bottom + height, :own] = tile
        some = slots == number
        # Half a texel from its edge, so that nothing of the next material is sampled.
        out[some, :, 0] = (0.5 + out[some, :, 0] * (own - 1)) / width
        out[some, :, 1] = (bottom + 0.5 + out[some, :, 1] * (height - 1)) / len(picture)
        bottom += height
    return out, picture


def _tile(material: bpy.types.Material | None) -> np.ndarray | None:
    if material is None:
        return None
    red, green, blue, _ = base_colour(material)
    factor = np.clip([red, green, blue], 0, 1) ** (1 / 2.2)
    image = base_image(material)
    if image is None or not image.size[0]:
        return np.broadcast_to(factor.astype(np.float32), (PLAIN, PLAIN, 3))
    shown = _smaller(image_pixels(image))
    return (shown[..., :3] if shown.shape[2] >= 3 else np.repeat(shown[..., :1], 3, 2)) * factor.astype(np.float32)


def _smaller(pixels: np.ndarray) -> np.ndarray:
    """(h, w, c), neither side longer than SIDE, of the nearest pixels."""
    share = min(1.0, SIDE / max(pixels.shape[:2]))
    sizes = [(n, max(1, round(n * share))) for n in pixels.shape[:2]]
    rows, columns = (np.arange(fewer) * n // fewer for n, fewer in sizes)
    return pixels[rows[:, None], columns]
