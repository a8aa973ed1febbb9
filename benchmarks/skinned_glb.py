# SPDX-License-Identifier: GPL-3.0-or-later
"""A rigged GLB as arrays, in any arm pose: meshes with an artist's weights to compare a rigger with."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from backend.geometric.skeleton import CHAINS
from backend.mesh.files import MeshArrays
from backend.mesh.voxels import solid_voxels
from backend.rig_checks import Rigged, pose, rotation

PARTS = [*CHAINS]
COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
VRM_NAMES = {
    "hips": "hips",
    "spine": "spine",
    "chest": "chest",
    "head": "head",
    "upperarm": "UpperArm",
    "lowerarm": "LowerArm",
    "hand": "Hand",
    "wrist": "Hand",
    "upperleg": "UpperLeg",
    "lowerleg": "LowerLeg",
    "foot": "Foot",
}


@dataclass
class Skinned:
    """The body's rig at rest (T-pose), bones by their own names, the body's vertices only (no weapons)."""

    rig: Rigged

    def at_arms(self, degrees: float) -> tuple[MeshArrays, dict[str, np.ndarray], np.ndarray]:
        """The mesh with the arms `degrees` below horizontal, its true joints, and (V, 6) the artist's weights
        per part.
        """
        by_name = {vrm_name(name): name for name in reversed(self.rig.names) if vrm_name(name)}
        turns = {
            by_name["leftUpperArm"]: rotation((0, 0, -degrees)),
            by_name["rightUpperArm"]: rotation((0, 0, degrees)),
        }
        vertices, joints, _ = pose(self.rig, turns)
        truth = {vrm: joints[self.rig.names.index(name)] for vrm, name in by_name.items()}
        parts = np.zeros((len(vertices), len(PARTS)))
        for k in range(len(self.rig.names)):
            parts[:, PARTS.index(self._part(k))] += self.rig.weights[:, k]
        return MeshArrays(vertices, self.rig.triangles), truth, parts

    def _part(self, bone: int) -> str:
        while bone >= 0:
            vrm = vrm_name(self.rig.names[bone])
            for part, chain in CHAINS.items():
                if vrm in chain:
                    return part
            bone = int(self.rig.parents[bone])
        return "torso"


def vrm_name(name: str) -> str:
    """`upperarm.l` -> `leftUpperArm`; "" for others."""
    bare, _, side = name.partition(".")
    vrm = VRM_NAMES.get(bare.lower(), "")
    return {"l": "left", "r": "right"}.get(side, "") + vrm if vrm else ""


def load_skinned(path: Path) -> Skinned:
    """Skinned meshes, and meshes that hang on `head` or `chest` (hats, capes); what the hands hold is left out."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    gltf, blob = json.loads(data[20 : 20 + length]), data[28 + length :]
    nodes = gltf["nodes"]
    parent = {child: k for k, node in enumerate(nodes) for child in node.get("children", [])}
    world: dict[int, np.ndarray] = {}

    def matrix(k: int) -> np.ndarray:
        if k not in world:
            world[k] = (matrix(parent[k]) if k in parent else np.eye(4)) @ local_matrix(nodes[k])
        return world[k]

    skin = gltf["skins"][0]["joints"]
    heads = np.array([matrix(k)[:3, 3] for k in skin])
    parents = np.array([skin.index(parent[k]) if parent.get(k) in skin else -1 for k in skin])
    order = _parents_first(parents)
    rank = np.argsort(order)
    vertices, triangles, weights = [], [], []
    for k, node in enumerate(nodes):
        if "mesh" not in node or _holder(k, parent, nodes) == "handslot":
            continue
        bone = rank[skin.index(parent[k])] if parent.get(k) in skin else 0
        for primitive in gltf["meshes"][node["mesh"]]["primitives"]:
            attributes = primitive["attributes"]
            v = accessor(gltf, blob, attributes["POSITION"]).astype(float)
            w = np.zeros((len(v), len(skin)))
            if "skin" in node:
                joints = rank[accessor(gltf, blob, attributes["JOINTS_0"]).astype(int)]
                np.add.at(w, (np.arange(len(v))[:, None], joints), accessor(gltf, blob, attributes["WEIGHTS_0"]))
            else:
                v = v @ matrix(k)[:3, :3].T + matrix(k)[:3, 3]
                w[:, bone] = 1
            triangles.append(
                accessor(gltf, blob, primitive["indices"]).reshape(-1, 3).astype(np.int64) + sum(map(len, vertices))
            )
            vertices.append(v)
            weights.append(w)
    w = np.concatenate(weights)
    w /= np.maximum(w.sum(1, keepdims=True), 1e-9)
    names = [nodes[skin[k]]["name"] for k in order]
    moved = np.array([rank[p] if p >= 0 else -1 for p in parents[order]])
    h = heads[order]
    return Skinned(Rigged(np.concatenate(vertices), np.concatenate(triangles), h, h.copy(), moved, names, w))


def remeshed(mesh: MeshArrays, rows: int = 190) -> tuple[MeshArrays, np.ndarray]:
    """One closed skin around everything, as a generative model would give it, and for each vertex the nearest one of
    `mesh`.
    """
    grid = solid_voxels(mesh.vertices, mesh.triangles, rows)
    field = ndimage.gaussian_filter(grid.solid.astype(np.float32), 0.8)
    vertices, triangles, _, _ = marching_cubes(field, 0.5)
    at = grid.centres(vertices)
    return MeshArrays(at, triangles[:, ::-1].astype(np.int64)), cKDTree(mesh.vertices).query(at)[1]


def local_matrix(node: dict) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    m = np.eye(4)
    m[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    m[:3, :3] = m[:3, :3] @ np.diag(node.get("scale", (1, 1, 1)))
    m[:3, 3] = node.get("translation", (0, 0, 0))
    return m


def accessor(gltf: dict, blob: bytes, number: int) -> np.ndarray:
    accessor = gltf["accessors"][number]
    view = gltf["bufferViews"][accessor["bufferView"]]
    dtype, width = np.dtype(TYPES[accessor["componentType"]]), COMPONENTS[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    stride = view.get("byteStride", dtype.itemsize * width)
    rows = np.lib.stride_tricks.as_strided(
        np.frombuffer(blob, np.uint8, offset=start), (accessor["count"], dtype.itemsize * width), (stride, 1)
    )
    values = np.ascontiguousarray(rows).view(dtype)
    return values / np.iinfo(dtype).max if accessor.get("normalized") else values


def _holder(k: int, parent: dict[int, int], nodes: list[dict]) -> str:
    """ "handslot" when the node hangs on a hand's slot."""
    while k in parent:
        k = parent[k]
        if nodes[k].get("name", "").startswith("handslot"):
            return "handslot"
    return ""


def _parents_first(parents: np.ndarray) -> np.ndarray:
    depth = []
    for k in range(len(parents)):
        d = 0
        while k >= 0:
            k, d = int(parents[k]), d + 1
        depth.append(d)
    return np.argsort(depth, kind="stable")
