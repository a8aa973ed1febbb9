# SPDX-License-Identifier: GPL-3.0-or-later
"""ComfyUI's MESH as a GLB file (glTF 2.0), with its texture or the colours of its vertices."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

FLOAT, UNSIGNED = 5126, 5125  # glTF's component types
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


def write(mesh: Any, path: Path) -> Path:
    """The first mesh of a batch. mesh: vertices (B, N, 3), Y up; faces (B, M, 3); newer versions of ComfyUI also have
    uvs (B, N, 2), vertex_colors (B, N, 3 or 4), texture (B, H, W, 3), vertex_counts and face_counts (B,), or None.
    Raises ValueError for a mesh without faces.
    """
    points = _first(mesh, "vertices", "vertex_counts", "<f4")
    faces = _first(mesh, "faces", "face_counts", "<u4")
    if not len(points) or not len(faces):
        raise ValueError("The mesh has no faces.")
    file = _File()
    attributes = {"POSITION": file.accessor(points, FLOAT, limits=True)}
    uvs, colours, texture = (_first(mesh, name, count, "<f4") for name, count in (
        ("uvs", "vertex_counts"), ("vertex_colors", "vertex_counts"), ("texture", "")))  # fmt: skip
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    if uvs is not None:
        attributes["TEXCOORD_0"] = file.accessor(uvs, FLOAT)
    if uvs is not None and texture is not None:
        file.content |= {"textures": [{"source": 0}], "images": [file.image(texture)]}
        surface["baseColorTexture"] = {"index": 0}
    elif colours is not None:
        attributes["COLOR_0"] = file.accessor(colours, FLOAT)
    primitive = {"attributes": attributes, "indices": file.accessor(faces.reshape(-1, 1), UNSIGNED), "material": 0}
    file.content |= {"meshes": [{"primitives": [primitive]}], "materials": [{"pbrMetallicRoughness": surface}]}
    path.write_bytes(file.data())
    return path


def _first(mesh: Any, name: str, count: str, kind: str) -> Any:
    """The array of the batch's first mesh without what fills it up; None where the mesh has none."""
    value = getattr(mesh, name, None)
    if value is None:
        return None
    counts = getattr(mesh, count, None) if count else None
    array = value[0].detach().cpu().numpy()
    return (array if counts is None else array[: int(counts[0])]).astype(kind)


class _File:
    def __init__(self) -> None:
        self.content: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "Avatar Forge"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "bufferViews": [],
            "accessors": [],
        }
        self._bytes = bytearray()

    def view(self, data: bytes) -> int:
        """A buffer view of the data, which begins at a multiple of four bytes."""
        self._bytes += b"\0" * (-len(self._bytes) % 4)
        self.content["bufferViews"].append({"buffer": 0, "byteOffset": len(self._bytes), "byteLength": len(data)})
        self._bytes += data
        return len(self.content["bufferViews"]) - 1

    def accessor(self, array: Any, component: int, limits: bool = False) -> int:
        """array: (N, 1 to 4)."""
        entry = {"bufferView": self.view(array.tobytes()), "componentType": component, "count": len(array)}
        entry["type"] = KINDS[array.shape[1]]
        if limits:
            entry |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        self.content["accessors"].append(entry)
        return len(self.content["accessors"]) - 1

    def image(self, pixels: Any) -> dict[str, Any]:
        """pixels: (H, W, 3) from 0 to 1."""
        from PIL import Image

        made = io.BytesIO()
        Image.fromarray((pixels * 255.0 + 0.5).clip(0, 255).astype("uint8")).save(made, "PNG")
        return {"bufferView": self.view(made.getvalue()), "mimeType": "image/png"}

    def data(self) -> bytes:
        self._bytes += b"\0" * (-len(self._bytes) % 4)
        self.content["buffers"] = [{"byteLength": len(self._bytes)}]
        head = json.dumps(self.content, separators=(",", ":")).encode()
        head += b" " * (-len(head) % 4)
        size = 12 + 8 + len(head) + 8 + len(self._bytes)
        start = struct.pack("<4sIIII", b"glTF", 2, size, len(head), 0x4E4F534A) + head
        return start + struct.pack("<II", len(self._bytes), 0x004E4942) + bytes(self._bytes)
