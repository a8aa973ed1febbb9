# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads glTF 2.0 files: GLB or JSON with buffers beside it or inside it, plain or compressed with Draco.

Sources: glTF 2.0, 3.6 (accessors), 4.4 (GLB); KHR_draco_mesh_compression.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from PIL import Image

COMPONENTS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
DRACO = "KHR_draco_mesh_compression"
TEXTURE_SIDE = 512


class Gltf:
    """A file's nodes in an order that puts parents first, their matrices in the bind pose, and its data as arrays.

    reparent: node name -> name of the node it hangs on instead; its place in the world stays.
    Raises ValueError for what is no glTF.
    """

    def __init__(self, path: Path, reparent: dict[str, str] | None = None) -> None:
        data = path.read_bytes()
        self.folder, self.binary = path.parent, b""
        try:
            if data[:4] == b"glTF" and data[16:20] == b"JSON":
                length = int.from_bytes(data[12:16], "little")
                self.document: dict[str, Any] = json.loads(data[20 : 20 + length])
                self.binary = data[28 + length :]
            else:
                self.document = json.loads(data)
            self.nodes = self.document["nodes"]
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path.name} is no glTF file") from error
        self._buffers: dict[int, bytes] = {}
        self._decoded: dict[int, Any] = {}
        self.parents = [-1] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            for child in node.get("children", []):
                self.parents[child] = index
        self.world = self._matrices({})
        # A file's nodes may stand in another pose than the bind pose, an animation's first.
        self.armatures, bound = self._bind_pose()
        self.world = self._matrices(bound)
        names = {node.get("name", ""): index for index, node in enumerate(self.nodes)}
        for child_name, parent_name in (reparent or {}).items():
            if child_name in names and parent_name in names:
                self.parents[names[child_name]] = names[parent_name]
        self.order = self._order()

    def _matrices(self, given: dict[int, np.ndarray]) -> np.ndarray:
        """(N, 4, 4) to the world, from each node's own transform where none is given."""
        world = np.tile(np.eye(4), (len(self.nodes), 1, 1))
        for index in self._order():
            above = world[self.parents[index]] if self.parents[index] >= 0 else np.eye(4)
            world[index] = given[index] if index in given else above @ _local(self.nodes[index])
        return world

    def _bind_pose(self) -> tuple[list[np.ndarray], dict[int, np.ndarray]]:
        """Per skin the matrix of the armature that it hangs on; per joint its matrix in the bind pose."""
        armatures: list[np.ndarray] = []
        bound: dict[int, np.ndarray] = {}
        for skin in self.document.get("skins", []):
            root = skin["joints"][0]
            while root in skin["joints"]:
                root = self.parents[root]
            armature = self.world[root] if root >= 0 else np.eye(4)
            inverse = self.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
            joints = armature @ np.linalg.inv(inverse.astype(float))
            bound |= dict(zip(skin["joints"], joints, strict=True))
            armatures.append(armature)
        return armatures, bound

    def _order(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for index, parent in enumerate(self.parents):
            children.setdefault(parent, []).append(index)
        order, stack = [], children.get(-1, [])[::-1]
        while stack:
            index = stack.pop()
            order.append(index)
            stack.extend(children.get(index, [])[::-1])
        return order

    def _bytes(self, uri: str) -> bytes:
        if uri.startswith("data:"):
            return base64.b64decode(uri.split(",", 1)[1])
        return (self.folder / Path(unquote(uri)).name).read_bytes()

    def view(self, index: int) -> bytes:
        found = self.document["bufferViews"][index]
        number = found.get("buffer", 0)
        if number not in self._buffers:
            uri = self.document["buffers"][number].get("uri")
            self._buffers[number] = self._bytes(uri) if uri else self.binary
        start = found.get("byteOffset", 0)
        return self._buffers[number][start : start + found["byteLength"]]

    def accessor(self, index: int) -> np.ndarray:
        """(count, width), normalised integers as shares of one."""
        found = self.document["accessors"][index]
        dtype: np.dtype = np.dtype(COMPONENTS[found["componentType"]])
        width, count = WIDTHS[found["type"]], found["count"]
        stride = self.document["bufferViews"][found["bufferView"]].get("byteStride", width * dtype.itemsize)
        data = self.view(found["bufferView"])
        rows: np.ndarray = np.ndarray((count, width), dtype, data, found.get("byteOffset", 0), (stride, dtype.itemsize))
        return self._shares(found, rows)

    def _shares(self, accessor: dict[str, Any], rows: np.ndarray) -> np.ndarray:
        return rows / float(np.iinfo(rows.dtype.type).max) if accessor.get("normalized") else rows.copy()

    def _draco(self, primitive: dict[str, Any]) -> tuple[Any, dict[str, int]] | None:
        packed = primitive.get("extensions", {}).get(DRACO)
        if packed is None:
            return None
        import DracoPy  # Only downloaded originals are compressed; what lies in a characters folder is not.

        view = packed["bufferView"]
        if view not in self._decoded:
            self._decoded[view] = DracoPy.decode(self.view(view))
        return self._decoded[view], packed["attributes"]

    def attribute(self, primitive: dict[str, Any], name: str) -> np.ndarray | None:
        """(vertices, width) or None where the primitive has no such attribute."""
        if name not in primitive["attributes"]:
            return None
        packed = self._draco(primitive)
        if packed is None or name not in packed[1]:
            return self.accessor(primitive["attributes"][name])
        rows = np.asarray(packed[0].get_attribute_by_unique_id(packed[1][name])["data"])
        return self._shares(self.document["accessors"][primitive["attributes"][name]], rows)

    def indices(self, primitive: dict[str, Any], count: int) -> np.ndarray:
        """Corner indices (3 T,) of a triangle list."""
        packed = self._draco(primitive)
        if packed is not None:
            return np.asarray(packed[0].faces, int).ravel()
        if "indices" in primitive:
            return self.accessor(primitive["indices"]).ravel().astype(int)
        return np.arange(count)

    def image(self, material: dict[str, Any]) -> np.ndarray:
        """(h, w, 4) uint8: the base colour, times its factor."""
        surface = material.get("pbrMetallicRoughness", {})
        linear = np.array(surface.get("baseColorFactor", [1, 1, 1, 1])[:3], float)
        factor = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
        if "baseColorTexture" not in surface:
            return np.array([[[*np.round(np.clip(factor, 0, 1) * 255), 255]]], np.uint8)
        texture = self.document["textures"][surface["baseColorTexture"]["index"]]
        # Web formats stand in an extension beside no plain source.
        sources = [texture, *texture.get("extensions", {}).values()]
        found = self.document["images"][next(where["source"] for where in sources if "source" in where)]
        data = self.view(found["bufferView"]) if "bufferView" in found else self._bytes(found["uri"])
        with Image.open(io.BytesIO(data)) as opened:
            image = opened.convert("RGBA")
        image.thumbnail((TEXTURE_SIDE, TEXTURE_SIDE), Image.Resampling.BOX)
        pixels = np.asarray(image).copy()
        pixels[..., :3] = np.round(pixels[..., :3] * np.clip(factor, 0, 1))
        if material.get("alphaMode", "OPAQUE") == "OPAQUE":
            pixels[..., 3] = 255
        return pixels


def _local(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", [0, 0, 0, 1])
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", [1, 1, 1]))
    matrix[:3, 3] = node.get("translation", [0, 0, 0])
    return matrix
