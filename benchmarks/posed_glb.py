# SPDX-License-Identifier: GPL-3.0-or-later
"""A rigged, textured GLB in any arm pose, seen from any side: the truth that a generator's mesh is measured against."""

from __future__ import annotations

import io
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from backend.mesh.raster import View, draw
from backend.rig_checks import rotation

from .skinned_glb import accessor, local_matrix

HELD = re.compile(r"axe|shield|mug|sword|knife|crossbow|throwable|spellbook|wand|staff|pistol|icosphere", re.IGNORECASE)
FACING = {"+Z": 0.0, "+X": -90.0, "-Z": 180.0, "-X": 90.0}
MARGIN = 0.04  # of the height, above and below


@dataclass
class Coloured:
    """A mesh 1 high, feet at y = 0, Y up, facing +Z, with colours. vertices (V, 3); triangles (T, 3); uvs (T, 3, 2);
    material (T,) into textures, each (h, w, 3) uint8. joints: VRM name -> (3,).
    """

    vertices: np.ndarray
    triangles: np.ndarray
    uvs: np.ndarray
    material: np.ndarray
    textures: list[np.ndarray]
    joints: dict[str, np.ndarray]

    def moved(self, scale: float, offset: np.ndarray) -> Coloured:
        return Coloured(
            self.vertices * scale + offset,
            self.triangles,
            self.uvs,
            self.material,
            self.textures,
            {name: point * scale + offset for name, point in self.joints.items()},
        )

    def picture(self, azimuth: float, size: int, half_width: float = 0.62, samples: int = 1) -> np.ndarray:
        """(size, W, 4) uint8 RGBA, unlit, orthographic. azimuth in degrees: 0 from the front, 90 from the character's
        left (+X). half_width: of the picture, in heights. samples: a side, per pixel.
        """
        view = self.view(azimuth, size * samples, half_width)
        seen = view.mask
        out = np.zeros((*seen.shape, 4), np.float32)
        owner = view.triangle[seen]
        uv = (view.bary[seen][..., None] * self.uvs[owner]).sum(1)
        colours = np.zeros((len(owner), 3), np.float32)
        for k, texture in enumerate(self.textures):
            here = self.material[owner] == k
            colours[here] = bilinear(texture, uv[here])
        out[seen, :3], out[seen, 3] = colours, 255
        if samples > 1:
            rows, columns = out.shape[0] // samples, out.shape[1] // samples
            boxes = out[: rows * samples, : columns * samples].reshape(rows, samples, columns, samples, 4)
            alpha = boxes[..., 3:].sum((1, 3))
            rgb = (boxes[..., :3] * boxes[..., 3:]).sum((1, 3)) / np.maximum(alpha, 1e-6)
            out = np.concatenate([rgb, alpha / samples**2], -1)
        return out.round().astype(np.uint8)

    def view(self, azimuth: float, size: int, half_width: float = 0.62) -> View:
        """What each pixel shows (backend.mesh.raster)."""
        scale = size / (1 + 2 * MARGIN)
        shape = size, round(2 * half_width * scale)
        view = View(np.full(shape, -1), np.zeros((*shape, 3)), np.full(shape, np.nan), scale, -half_width, 1 + MARGIN)
        draw(view, self.vertices @ rotation((0, -azimuth, 0)).T, self.triangles)
        return view


def bilinear(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N, 3) float32 colours of (h, w, 3) at (N, 2) UV, origin bottom left, repeated."""
    h, w = texture.shape[:2]
    x, y = uv[:, 0] % 1.0 * w - 0.5, (1 - uv[:, 1] % 1.0) * h - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    rows, columns = (y0 % h, (y0 + 1) % h), (x0 % w, (x0 + 1) % w)
    above = texture[rows[0], columns[0]] * (1 - fx) + texture[rows[0], columns[1]] * fx
    below = texture[rows[1], columns[0]] * (1 - fx) + texture[rows[1], columns[1]] * fx
    return (above * (1 - fy) + below * fy).astype(np.float32)


def load_posed(
    path: Path,
    humanoid: dict[str, str],
    facing: str,
    arms: float | dict[str, float],
    legs: dict[str, float] | None = None,
) -> Coloured:
    """The character with its arms straight, `arms` degrees below horizontal, and nothing in its hands; for each side
    its own where `arms` has left and right. legs: degrees outwards from straight down, from hip to foot, a side; None:
    as in the file. humanoid: VRM name -> node's name.
    """
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    gltf, blob = json.loads(data[20 : 20 + length]), data[28 + length :]
    pose = arms if isinstance(arms, dict) else {"left": arms, "right": arms}
    world = _world(gltf["nodes"], humanoid, facing, pose, legs or {})
    textures = [_texture(gltf, blob, material) for material in gltf["materials"]]
    vertices, triangles, uvs, owners = [], [], [], []
    for k, node in enumerate(gltf["nodes"]):
        if "mesh" not in node or HELD.search(gltf["meshes"][node["mesh"]].get("name", "") + node.get("name", "")):
            continue
        for primitive in gltf["meshes"][node["mesh"]]["primitives"]:
            v = _skinned(gltf, blob, primitive, node, world, k)
            t = accessor(gltf, blob, primitive["indices"]).reshape(-1, 3).astype(np.int64)
            names = primitive["attributes"]
            uv = accessor(gltf, blob, names["TEXCOORD_0"]) if "TEXCOORD_0" in names else np.zeros((len(v), 2))
            uv = np.column_stack([uv[:, 0], 1 - uv[:, 1]])
            triangles.append(t + sum(map(len, vertices)))
            vertices.append(v)
            uvs.append(uv[t])
            owners.append(np.full(len(t), primitive.get("material", 0)))
    index = {node.get("name"): k for k, node in enumerate(gltf["nodes"])}
    joints = {vrm: world[index[name]][:3, 3] for vrm, name in humanoid.items() if name in index}
    whole = Coloured(
        np.concatenate(vertices),
        np.concatenate(triangles),
        np.concatenate(uvs),
        np.concatenate(owners),
        textures,
        joints,
    )
    used = whole.vertices[np.unique(whole.triangles)]
    low, high = used.min(0), used.max(0)
    scale = 1 / (high[1] - low[1])
    return whole.moved(scale, -scale * np.array([(low[0] + high[0]) / 2, low[1], 0]))


def load_made(path: Path) -> Coloured:
    """A generator's GLB, one mesh with one texture, 1 high and on the ground."""
    import trimesh

    made = trimesh.load(path, process=False, force="mesh")
    triangles = np.asarray(made.faces)
    texture = np.asarray(made.visual.material.baseColorTexture.convert("RGB"))
    low, high = made.vertices.min(0), made.vertices.max(0)
    mesh = Coloured(
        np.asarray(made.vertices),
        triangles,
        np.asarray(made.visual.uv)[triangles],
        np.zeros(len(triangles), int),
        [texture],
        {},
    )
    scale = 1 / (high[1] - low[1])
    return mesh.moved(scale, -scale * np.array([(low[0] + high[0]) / 2, low[1], 0]))


def _world(
    nodes: list[dict], humanoid: dict[str, str], facing: str, arms: dict[str, float], legs: dict[str, float]
) -> dict[int, np.ndarray]:
    """Each node's matrix, the character turned to +Z, its arms straight in the picture's plane, its legs turned in
    it.
    """
    parent = {child: k for k, node in enumerate(nodes) for child in node.get("children", [])}
    index = {node.get("name"): k for k, node in enumerate(nodes)}
    turn = np.eye(4)
    turn[:3, :3] = rotation((0, FACING[facing], 0))
    moves: dict[int, np.ndarray] = {}

    def matrix(k: int) -> np.ndarray:
        own = (matrix(parent[k]) if k in parent else turn) @ local_matrix(nodes[k])
        return moves[k] @ own if k in moves else own

    def point(first: str, last: str, wanted: np.ndarray, planar: bool) -> None:
        """Turns a bone so that the way to another one is `wanted`; planar: about z, what is deep stays so."""
        bone, end = index[humanoid[first]], index[humanoid[last]]
        head = matrix(bone)[:3, 3]
        way = (matrix(end)[:3, 3] - head) * ([1, 1, 0] if planar else [1, 1, 1])
        move = np.eye(4)
        move[:3, :3] = Rotation.align_vectors(wanted, way)[0].as_matrix()
        move[:3, 3] = head - move[:3, :3] @ head
        moves[bone] = move

    for side, sign in (("left", 1.0), ("right", -1.0)):
        angle = np.radians(arms[side])
        wanted = np.array([sign * np.cos(angle), -np.sin(angle), 0])
        point(side + "UpperArm", side + "LowerArm", wanted, False)
        point(side + "LowerArm", side + "Hand", wanted, False)
        if side in legs:
            angle = np.radians(legs[side])
            point(side + "UpperLeg", side + "Foot", np.array([sign * np.sin(angle), -np.cos(angle), 0]), True)
    return {k: matrix(k) for k in range(len(nodes))}


def _skinned(gltf: dict, blob: bytes, primitive: dict, node: dict, world: dict, k: int) -> np.ndarray:
    names = primitive["attributes"]
    v = np.column_stack([accessor(gltf, blob, names["POSITION"]).astype(float), np.ones(_count(gltf, names))])
    if "skin" not in node:
        return (v @ world[k].T)[:, :3]
    skin = gltf["skins"][node["skin"]]
    inverse = accessor(gltf, blob, skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    bones = np.array([world[j] for j in skin["joints"]]) @ inverse
    joints = accessor(gltf, blob, names["JOINTS_0"]).astype(int)
    weights = accessor(gltf, blob, names["WEIGHTS_0"]).astype(float)
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
    return np.einsum("vk,vkij,vj->vi", weights, bones[joints], v)[:, :3]


def _count(gltf: dict, names: dict) -> int:
    return gltf["accessors"][names["POSITION"]]["count"]


def _texture(gltf: dict, blob: bytes, material: dict) -> np.ndarray:
    surface = material.get("pbrMetallicRoughness", {})
    factor = np.array(surface.get("baseColorFactor", (1, 1, 1, 1))[:3])
    srgb = np.where(factor <= 0.0031308, 12.92 * factor, 1.055 * np.maximum(factor, 1e-9) ** (1 / 2.4) - 0.055)
    if "baseColorTexture" not in surface:
        return np.broadcast_to((255 * srgb).round(), (1, 1, 3)).astype(np.uint8)
    image = gltf["images"][gltf["textures"][surface["baseColorTexture"]["index"]]["source"]]
    view = gltf["bufferViews"][image["bufferView"]]
    start = view.get("byteOffset", 0)
    return np.asarray(Image.open(io.BytesIO(blob[start : start + view["byteLength"]])).convert("RGB"))
