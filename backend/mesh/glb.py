# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes one textured mesh as GLB: Y up, metres, normals, one opaque material."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals weighted by area; a vertex without area gets +Z."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    out = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(out, triangles[:, i], face)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(length > 1e-12, out / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])


def split_seams(triangles: np.ndarray, corner_uvs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A file has one UV per vertex: returns which vertex each file vertex copies (n,), its UV (n, 2), and the
    triangles between them.
    """
    corners = np.column_stack([triangles.reshape(-1), np.round(corner_uvs.reshape(-1, 2) * (1 << 20)).astype(np.int64)])
    _, first, inverse = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    return triangles.reshape(-1)[first], corner_uvs.reshape(-1, 2)[first], inverse.reshape(-1, 3)


def write_glb(
    path: Path,
    vertices: np.ndarray,
    triangles: np.ndarray,
    normals: np.ndarray,
    corner_uvs: np.ndarray,
    texture: np.ndarray,
    metallic_roughness: np.ndarray | None = None,
    normal_map: np.ndarray | None = None,
) -> Path:
    """vertices (V, 3), triangles (T, 3), normals (V, 3), corner_uvs (T, 3, 2) with the origin bottom left, texture
    (H, W, 3) or with alpha (H, W, 4) uint8; metallic_roughness (green roughness, blue metallic) and normal_map
    (tangent space) (H, W, 3) uint8.

    Without metallic_roughness the material is not metallic and fully rough. Alpha is kept, the material is opaque.
    Appears at `path` complete or not at all. Raises OSError.
    """
    source, uvs, faces = split_seams(triangles, corner_uvs)
    material = PBRMaterial(
        baseColorTexture=Image.fromarray(texture),
        metallicRoughnessTexture=None if metallic_roughness is None else Image.fromarray(metallic_roughness),
        normalTexture=None if normal_map is None else Image.fromarray(normal_map),
        metallicFactor=0.0 if metallic_roughness is None else 1.0,
        roughnessFactor=1.0,
        alphaMode="OPAQUE" if texture.shape[2] == 4 else None,
        name="Skin",
    )
    mesh = trimesh.Trimesh(
        vertices[source],
        faces,
        vertex_normals=normals[source],
        visual=TextureVisuals(uv=uvs, material=material),
        process=False,
    )
    data = mesh.export(file_type="glb", include_normals=True)
    temporary = path.with_name(path.name + ".part")
    assert isinstance(data, bytes)
    temporary.write_bytes(data)
    temporary.replace(path)
    return path
