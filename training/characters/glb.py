# SPDX-License-Identifier: GPL-3.0-or-later
"""A rigged GLB and its entry in an index of characters become a Character.

Sources: glTF 2.0, 3.6 (accessors), 3.7.3 (skins), 4.4 (GLB); the index is described in README.md.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .character import Character, Face, Feature, State, nowhere
from .labels import label_parts
from .measure import measure_face

COMPONENTS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
TEXTURE_SIDE = 512
# Turns about Y that bring what a character looks along to +Z.
FACINGS = {"+Z": 0, "+X": -90, "-Z": 180, "-X": 90}


def load_index(folder: Path) -> list[dict[str, Any]]:
    """The entries of folder/index.json, in its order."""
    return json.loads((folder / "index.json").read_text(encoding="utf-8"))["characters"]


def load_glb(folder: Path, entry: dict[str, Any]) -> Character:
    """Raises ValueError or KeyError for a file that is no rigged GLB."""
    glb = _Glb((folder / entry["file"]).read_bytes())
    return _character(glb, entry)


class _Glb:
    def __init__(self, data: bytes) -> None:
        if len(data) < 20 or data[:4] != b"glTF" or data[16:20] != b"JSON":
            raise ValueError("no GLB file")
        length = int.from_bytes(data[12:16], "little")
        self.document: dict[str, Any] = json.loads(data[20 : 20 + length])
        self.binary = data[28 + length :]
        self.nodes = self.document["nodes"]
        self.parents = [-1] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            for child in node.get("children", []):
                self.parents[child] = index
        self.order: list[int] = []
        self.world = np.tile(np.eye(4), (len(self.nodes), 1, 1))
        stack = [k for k in range(len(self.nodes)) if self.parents[k] < 0][::-1]
        while stack:
            index = stack.pop()
            self.order.append(index)
            above = self.world[self.parents[index]] if self.parents[index] >= 0 else np.eye(4)
            self.world[index] = above @ _local(self.nodes[index])
            stack.extend(self.nodes[index].get("children", [])[::-1])

    def accessor(self, index: int) -> np.ndarray:
        """(count, width), normalised integers as shares of one."""
        found = self.document["accessors"][index]
        view = self.document["bufferViews"][found["bufferView"]]
        dtype: np.dtype = np.dtype(COMPONENTS[found["componentType"]])
        width, count = WIDTHS[found["type"]], found["count"]
        start = view.get("byteOffset", 0) + found.get("byteOffset", 0)
        stride = view.get("byteStride", width * dtype.itemsize)
        rows: np.ndarray = np.ndarray((count, width), dtype, self.binary, start, (stride, dtype.itemsize))
        return rows / float(np.iinfo(dtype.type).max) if found.get("normalized") else rows.copy()

    def image(self, material: dict[str, Any]) -> np.ndarray:
        """(h, w, 4) uint8: the base colour, times its factor."""
        surface = material.get("pbrMetallicRoughness", {})
        linear = np.array(surface.get("baseColorFactor", [1, 1, 1, 1])[:3], float)
        factor = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
        if "baseColorTexture" not in surface:
            return np.array([[[*np.round(np.clip(factor, 0, 1) * 255), 255]]], np.uint8)
        texture = self.document["textures"][surface["baseColorTexture"]["index"]]
        view = self.document["bufferViews"][self.document["images"][texture["source"]]["bufferView"]]
        start = view.get("byteOffset", 0)
        with Image.open(io.BytesIO(self.binary[start : start + view["byteLength"]])) as opened:
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


def _primitives(glb: _Glb) -> dict[str, list[np.ndarray]]:
    """Vertices in the bind pose, joints as node indices, per triangle the material and the mesh's node."""
    out: dict[str, list[np.ndarray]] = {
        key: [] for key in ("vertices", "joints", "weights", "triangles", "uvs", "materials", "nodes")
    }
    offset = 0
    for index, node in enumerate(glb.nodes):
        for primitive in glb.document["meshes"][node["mesh"]]["primitives"] if "mesh" in node else []:
            attributes = primitive["attributes"]
            local = glb.accessor(attributes["POSITION"]).astype(float)
            local = np.column_stack([local, np.ones(len(local))])
            if "skin" in node and "JOINTS_0" in attributes:
                skin = glb.document["skins"][node["skin"]]
                nodes = np.array(skin["joints"])
                inverse = glb.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
                moves = glb.world[nodes] @ inverse
                chosen = glb.accessor(attributes["JOINTS_0"]).astype(int)
                weights = glb.accessor(attributes["WEIGHTS_0"]).astype(float)
                weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
                placed = np.einsum("nk,nkij,nj->ni", weights, moves[chosen], local)[:, :3]
                out["joints"].append(nodes[chosen])
            else:
                placed = (local @ glb.world[index].T)[:, :3]
                weights = np.tile([1.0, 0, 0, 0], (len(local), 1))
                out["joints"].append(np.full((len(local), 4), index))
            indices = np.arange(len(local))
            if "indices" in primitive:
                indices = glb.accessor(primitive["indices"]).ravel().astype(int)
            count = len(indices) // 3
            uvs = glb.accessor(attributes["TEXCOORD_0"]).astype(float) if "TEXCOORD_0" in attributes else None
            out["uvs"].append(np.zeros((count, 3, 2)) if uvs is None else uvs[indices].reshape(-1, 3, 2))
            out["vertices"].append(placed)
            out["weights"].append(weights)
            out["triangles"].append(indices.reshape(-1, 3) + offset)
            out["materials"].append(np.full(count, primitive.get("material", 0)))
            out["nodes"].append(np.full(count, index))
            offset += len(local)
    if not out["vertices"]:
        raise ValueError("the GLB has no mesh")
    return out


def _character(glb: _Glb, entry: dict[str, Any]) -> Character:
    found = {key: np.concatenate(rows) for key, rows in _primitives(glb).items()}
    turn = np.radians(FACINGS[entry["facing"]])
    facing = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    vrm = {node: bone for bone, node in entry["humanoid"].items()}
    rank = np.argsort(glb.order)
    nodes = [glb.nodes[index].get("name", f"node{index}") for index in glb.order]
    materials = glb.document.get("materials", [{}])
    character = Character(
        vertices=(found["vertices"] @ facing.T).astype(np.float32),
        triangles=found["triangles"].astype(np.int32),
        corner_uvs=found["uvs"].astype(np.float32),
        materials=found["materials"].astype(np.int16),
        textures=tuple(glb.image(material) for material in materials),
        material_names=tuple(material.get("name", "") for material in materials),
        parts=np.zeros(len(found["triangles"]), np.uint8),
        joint_indices=rank[found["joints"]].astype(np.int16),
        joint_weights=found["weights"].astype(np.float32),
        joints=(glb.world[glb.order][:, :3, 3] @ facing.T).astype(np.float32),
        parents=np.array([rank[glb.parents[k]] if glb.parents[k] >= 0 else -1 for k in glb.order], np.int16),
        joint_names=tuple(vrm.get(name, name) for name in nodes),
        face=_face(entry, facing),
        meta={
            key: entry[key]
            for key in ("name", "source", "author", "licence", "style", "sex", "tags", "rest_pose", "height_m")
        },
    )
    meshes = [glb.nodes[node].get("name", "") for node in np.unique(found["nodes"])]
    groups = np.unique(found["nodes"], return_inverse=True)[1].reshape(-1)
    character = character.replace(parts=label_parts(character, meshes, groups))
    return character.replace(face=measure_face(character))


def _face(entry: dict[str, Any], facing: np.ndarray) -> Face:
    face = entry["face"]

    def feature(centre: list[float] | None, state: State) -> Feature:
        return Feature(nowhere() if centre is None else facing @ np.array(centre), state=state)

    def eye(name: str) -> Feature:
        return feature(face[name], "none" if face["eyes"] == "absent" or face[name] is None else "drawn")

    drawn = face["mouth"] != "absent" and face["mouth_centre"] is not None
    return Face(
        eye("left_eye"),
        eye("right_eye"),
        feature(face["mouth_centre"] or face["mouth_estimate"], "drawn" if drawn else "none"),
    )
