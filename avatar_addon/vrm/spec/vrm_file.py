# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a .vrm file into arrays: nodes, skins, morph targets, humanoid bones, expressions. Needs numpy only.

Axes are the file's own (glTF: Y up, metres; VRM 1.0 faces +Z, VRM 0.x faces -Z).
Sources: glTF 2.0 specification 3.6 (accessors, sparse), 4.4 (GLB); VRMC_vrm 1.0; VRM 0.0.
"""

from __future__ import annotations

import json
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .presets import name_of_vrm0

COMPONENTS: dict[int, type] = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class VrmFileError(ValueError):
    """The file is no readable GLB or VRM; `str()` says what is wrong with it."""


MOST_ELEMENTS = 50_000_000  # of one accessor; what says more is damaged and would only fill the memory
# See `missing_values`; a hundred shape keys of 300,000 vertices with normals have 60 million.
MOST_MISSING = 100_000_000


@dataclass
class Primitive:
    """One draw call: vertices with weights and morph targets, in the mesh's own space (which skinning ignores node
    transforms for).
    """

    node: int
    mesh: int
    skin: int | None
    positions: np.ndarray  # (V, 3) float64
    triangles: np.ndarray  # (T, 3) int64
    joints: np.ndarray  # (V, 4) int64, indices into the skin's joints; zeros when unskinned
    weights: np.ndarray  # (V, 4) float64; zeros when unskinned
    influence_sets: int  # number of JOINTS_n attributes: above 1 means more than 4 influences
    morphs: np.ndarray  # (M, V, 3) float64
    uvs: np.ndarray  # (V, 2) float64, origin top left; zeros without
    material: int | None = None


class VrmFile:
    """A parsed .vrm. Raises VrmFileError on anything that is not a complete GLB with a VRM extension."""

    def __init__(self, path: Path) -> None:
        there = path.stat()
        if not stat.S_ISREG(there.st_mode):  # a pipe would be waited for for ever
            raise VrmFileError("it is not a regular file")
        self.size = there.st_size
        self.json, self.binary = _read_chunks(path.read_bytes())
        extensions = self.json.get("extensions", {})
        if "VRMC_vrm" in extensions:
            self.version, self.vrm = "1.0", extensions["VRMC_vrm"]
        elif "VRM" in extensions:
            self.version, self.vrm = "0.0", extensions["VRM"]
        else:
            raise VrmFileError("the file has no VRM extension")
        self.parents = self._parents()
        self.world = self._world_matrices()

    def accessor(self, index: int) -> np.ndarray:
        """Accessor `index` as (count, width), normalised integers as floats, sparse values put in."""
        a = self.json["accessors"][index]
        dtype, width, count = np.dtype(COMPONENTS[a["componentType"]]), WIDTHS[a["type"]], a["count"]
        if not isinstance(count, int) or not 0 <= count <= MOST_ELEMENTS:
            raise VrmFileError(f"an accessor says that it has {str(count)[:20]} elements")
        if "bufferView" in a:
            out = self._strided(a["bufferView"], a.get("byteOffset", 0), dtype, width, count)
        else:
            out = np.zeros((count, width), dtype)
        if "sparse" in a:
            s, out = a["sparse"], out.copy()
            where = self._strided(
                s["indices"]["bufferView"],
                s["indices"].get("byteOffset", 0),
                np.dtype(COMPONENTS[s["indices"]["componentType"]]),
                1,
                s["count"],
            )
            out[where[:, 0]] = self._strided(
                s["values"]["bufferView"], s["values"].get("byteOffset", 0), dtype, width, s["count"]
            )
        if a.get("normalized"):
            return np.maximum(out.astype(np.float64) / np.iinfo(COMPONENTS[a["componentType"]]).max, -1.0)
        return out

    def primitives(self) -> list[Primitive]:
        """Every triangle primitive of every node that has a mesh."""
        found: list[Primitive] = []
        for node_index, node in enumerate(self.json.get("nodes", [])):
            if "mesh" not in node:
                continue
            primitives = self.json["meshes"][node["mesh"]]["primitives"]
            found.extend(self._primitive(node_index, node, primitive) for primitive in primitives)
        return found

    def skin_matrices(self, skin: int, world: np.ndarray | None = None) -> np.ndarray:
        """(J, 4, 4) matrices from bind space to the scene, for the rest pose or the node matrices given (N, 4, 4)."""
        world = self.world if world is None else world
        s = self.json["skins"][skin]
        inverse = np.tile(np.eye(4), (len(s["joints"]), 1, 1))
        if "inverseBindMatrices" in s:
            inverse = self.accessor(s["inverseBindMatrices"]).astype(np.float64).reshape(-1, 4, 4).transpose(0, 2, 1)
        return world[s["joints"]] @ inverse

    def skinned(
        self, primitive: Primitive, positions: np.ndarray | None = None, world: np.ndarray | None = None
    ) -> np.ndarray:
        """(V, 3) scene positions of a primitive by linear blend skinning, for the rest pose or the node
        matrices given.
        """
        points = primitive.positions if positions is None else positions
        homogeneous = np.c_[points, np.ones(len(points))]
        world = self.world if world is None else world
        if primitive.skin is None:
            return (homogeneous @ world[primitive.node].T)[:, :3]
        matrices = self.skin_matrices(primitive.skin, world)
        moved = np.einsum("vkij,vj->vki", matrices[primitive.joints], homogeneous)
        return np.einsum("vk,vki->vi", primitive.weights, moved)[:, :3]

    def posed(self, rotations: dict[int, np.ndarray]) -> np.ndarray:
        """(N, 4, 4) world matrices with nodes turned by 3x3 rotations given in scene axes about each node's
        own origin.
        """
        return self._world_matrices(rotations)

    def humanoid(self) -> dict[str, int]:
        """VRM 1.0 bone name -> node index (0.x thumb names are translated)."""
        bones = self.vrm.get("humanoid", {}).get("humanBones", {})
        if self.version == "1.0":
            return {name: entry["node"] for name, entry in bones.items() if "node" in entry}
        thumbs = {"ThumbProximal": "ThumbMetacarpal", "ThumbIntermediate": "ThumbProximal"}
        out = {}
        for entry in bones:
            name = entry["bone"]
            for old, new in thumbs.items():
                if name.endswith(old):
                    name = name.removesuffix(old) + new
                    break
            out[name] = entry["node"]
        return out

    def expressions(self) -> dict[str, list[tuple[int, int, float]]]:
        """Expression (VRM 1.0 preset or a custom name) -> [(mesh index, morph index, weight)]."""
        if self.version == "1.0":
            known = self.vrm.get("expressions", {})
            nodes = self.json["nodes"]
            return {
                name: [
                    (nodes[b["node"]]["mesh"], b["index"], b.get("weight", 1.0))
                    for b in entry.get("morphTargetBinds", [])
                ]
                for name, entry in {**known.get("custom", {}), **known.get("preset", {})}.items()
            }
        groups = self.vrm.get("blendShapeMaster", {}).get("blendShapeGroups", [])
        return {
            name_of_vrm0(g.get("presetName", ""), g.get("name", "")) or g.get("name", ""): [
                (b["mesh"], b["index"], b["weight"] / 100) for b in g.get("binds", [])
            ]
            for g in groups
        }

    def expression_field(self, primitive: Primitive, name: str) -> np.ndarray:
        """(V, 3) displacement of a primitive by one expression at full weight."""
        field = np.zeros_like(primitive.positions)
        for mesh, index, weight in self.expressions().get(name, []):
            if mesh == primitive.mesh and index < len(primitive.morphs):
                field += weight * primitive.morphs[index]
        return field

    def thumbnail(self) -> bytes | None:
        """The picture of the meta block as it is stored, PNG or JPEG; None where there is none."""
        meta = self.vrm.get("meta", {})
        try:
            if self.version == "1.0":
                image = self.json["images"][meta["thumbnailImage"]]
            else:
                image = self.json["images"][self.json["textures"][meta["texture"]]["source"]]
            view = self.json["bufferViews"][image["bufferView"]]
            start = view.get("byteOffset", 0)
            return bytes(self.binary[start : start + view["byteLength"]]) or None
        except (LookupError, TypeError):
            return None

    def base_colour(self, material: int) -> tuple[list[float], int | None]:
        """(sRGB factor 0..1 of three channels, index of its image or None) of a material; white for none."""
        materials = self.json.get("materials", [])
        if not 0 <= material < len(materials):
            return [1.0, 1.0, 1.0], None
        look = materials[material].get("pbrMetallicRoughness", {})
        factor = [max(float(v), 0.0) ** (1 / 2.2) for v in look.get("baseColorFactor", [1, 1, 1])[:3]]
        texture = look.get("baseColorTexture")
        return factor, None if texture is None else self.json["textures"][texture["index"]].get("source")

    def image(self, index: int) -> bytes:
        """An image as it is stored, PNG or JPEG; empty where it does not lie in the file."""
        image = self.json["images"][index]
        if "bufferView" not in image:
            return b""
        view = self.json["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        return bytes(self.binary[start : start + view["byteLength"]])

    def _strided(self, view_index: int, offset: int, dtype: np.dtype, width: int, count: int) -> np.ndarray:
        view = self.json["bufferViews"][view_index]
        start = view.get("byteOffset", 0) + offset
        step = view.get("byteStride") or dtype.itemsize * width
        if count and start + (count - 1) * step + dtype.itemsize * width > len(self.binary):
            raise VrmFileError("a buffer view ends behind the end of the file")
        return np.ndarray((count, width), dtype, self.binary, start, (step, dtype.itemsize))

    def _primitive(self, node_index: int, node: dict[str, Any], primitive: dict[str, Any]) -> Primitive:
        attributes = primitive["attributes"]
        positions = self.accessor(attributes["POSITION"]).astype(np.float64)
        skinned = "JOINTS_0" in attributes and "WEIGHTS_0" in attributes and "skin" in node
        joints = (
            self.accessor(attributes["JOINTS_0"]).astype(np.int64)
            if skinned
            else np.zeros((len(positions), 4), np.int64)
        )
        weights = (
            self.accessor(attributes["WEIGHTS_0"]).astype(np.float64) if skinned else np.zeros((len(positions), 4))
        )
        indices = self.accessor(primitive["indices"])[:, 0] if "indices" in primitive else np.arange(len(positions))
        morphs = [
            self.accessor(t["POSITION"]) if "POSITION" in t else np.zeros_like(positions)
            for t in primitive.get("targets", [])
        ]
        return Primitive(
            node=node_index,
            mesh=node["mesh"],
            skin=node["skin"] if skinned else None,
            positions=positions,
            triangles=indices.astype(np.int64).reshape(-1, 3),
            joints=joints,
            weights=weights,
            influence_sets=sum(name.startswith("JOINTS_") for name in attributes),
            morphs=np.asarray(morphs, np.float64).reshape(-1, len(positions), 3),
            uvs=(
                self.accessor(attributes["TEXCOORD_0"]).astype(np.float64)
                if "TEXCOORD_0" in attributes
                else np.zeros((len(positions), 2))
            ),
            material=primitive.get("material"),
        )

    def _parents(self) -> list[int]:
        parents = [-1] * len(self.json.get("nodes", []))
        for index, node in enumerate(self.json.get("nodes", [])):
            for child in node.get("children", []):
                parents[child] = index
        return parents

    def _world_matrices(self, rotations: dict[int, np.ndarray] | None = None) -> np.ndarray:
        world = np.tile(np.eye(4), (len(self.parents), 1, 1))
        for index in self._top_down():
            parent = self.parents[index]
            world[index] = (world[parent] if parent >= 0 else np.eye(4)) @ _local_matrix(self.json["nodes"][index])
            if rotations and index in rotations:
                world[index, :3, :3] = rotations[index] @ world[index, :3, :3]
        return world

    def _top_down(self) -> list[int]:
        order = [i for i, parent in enumerate(self.parents) if parent < 0]
        for index in order:
            order.extend(self.json["nodes"][index].get("children", []))
            if len(order) > len(self.parents):
                break
        if sorted(order) != list(range(len(self.parents))):
            raise VrmFileError("the file's nodes are no tree")
        return order


def missing_values(path: Path) -> int:
    """How many elements a .glb, .gltf or .vrm file has by name only: accessors without a buffer view, which are zeros
    (glTF 2.0 specification, 3.6.2). They take no space in the file, but in the memory. 0 for what is no glTF.
    """
    with path.open("rb") as file:
        head = file.read(20)
        if head[:4] == b"glTF" and len(head) < 20:
            return 0
        text = file.read(struct.unpack_from("<I", head, 12)[0]) if head[:4] == b"glTF" else head + file.read()
    try:
        return sum(max(a["count"], 0) for a in json.loads(text)["accessors"] if "bufferView" not in a)
    except (ValueError, LookupError, TypeError, RecursionError):
        return 0


def _read_chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < 20 or data[:4] != b"glTF":
        raise VrmFileError("the file is not a GLB")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise VrmFileError(f"GLB version {version} is not supported")
    if length > len(data):
        raise VrmFileError(f"the file is cut short: {len(data)} of {length} bytes")
    at, document, binary = 12, None, b""
    while at + 8 <= length:
        size, kind = struct.unpack_from("<II", data, at)
        chunk = data[at + 8 : at + 8 + size]
        if kind == 0x4E4F534A:
            try:
                document = json.loads(chunk)
            except (ValueError, RecursionError) as error:
                raise VrmFileError("the file's JSON chunk is not JSON") from error
        elif kind == 0x004E4942:
            binary = chunk
        at += 8 + size
    if not isinstance(document, dict):
        raise VrmFileError("the file has no JSON chunk")
    return document, binary


def _local_matrix(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.asarray(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    out = np.eye(4)
    out[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    out[:3, :3] *= np.asarray(node.get("scale", (1, 1, 1)))
    out[:3, 3] = node.get("translation", (0, 0, 0))
    return out
