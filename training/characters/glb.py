# SPDX-License-Identifier: GPL-3.0-or-later
"""A rigged glTF file and its entry in an index of characters become a Character.

An entry may say how the original differs from what is wanted: scale and shift (of positions), drop (names of nodes
whose meshes go), reparent (node to new parent), hands (joints that the original has not got) and colours.
Sources: glTF 2.0, 3.7.3 (skins); the index is described in README.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .character import Character, Face, Feature, State, nowhere
from .gltf import Gltf
from .labels import label_parts
from .measure import measure_face

# Turns about Y that bring what a character looks along to +Z.
FACINGS = {"+Z": 0, "+X": -90, "-Z": 180, "-X": 90}


def load_index(folder: Path) -> list[dict[str, Any]]:
    """The entries of folder/index.json, in its order."""
    return json.loads((folder / "index.json").read_text(encoding="utf-8"))["characters"]


def load_glb(folder: Path, entry: dict[str, Any]) -> Character:
    """Raises ValueError, KeyError or OSError for a file that is no rigged glTF."""
    return _character(Gltf(folder / entry["file"], entry.get("reparent")), entry)


def _primitives(glb: Gltf, drop: list[str]) -> dict[str, list[np.ndarray]]:
    """Vertices in the bind pose, joints as node indices, per triangle the material and the mesh's node."""
    out: dict[str, list[np.ndarray]] = {
        key: [] for key in ("vertices", "joints", "weights", "triangles", "uvs", "materials", "nodes")
    }
    offset = 0
    for index, node in enumerate(glb.nodes):
        if "mesh" not in node or node.get("name") in drop:
            continue
        for primitive in glb.document["meshes"][node["mesh"]]["primitives"]:
            placed, joints, weights = _placed(glb, index, primitive)
            indices = glb.indices(primitive, len(placed))
            uvs = glb.attribute(primitive, "TEXCOORD_0")
            count = len(indices) // 3
            out["uvs"].append(np.zeros((count, 3, 2)) if uvs is None else uvs[indices].reshape(-1, 3, 2))
            out["vertices"].append(placed)
            out["joints"].append(joints)
            out["weights"].append(weights)
            out["triangles"].append(indices.reshape(-1, 3) + offset)
            out["materials"].append(np.full(count, primitive.get("material", 0)))
            out["nodes"].append(np.full(count, index))
            offset += len(placed)
    if not out["vertices"]:
        raise ValueError("the GLB has no mesh")
    return out


def _placed(glb: Gltf, index: int, primitive: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3) in the bind pose, the nodes (V, 4) that move them and their weights (V, 4)."""
    node = glb.nodes[index]
    local = glb.attribute(primitive, "POSITION")
    if local is None:
        raise ValueError("a mesh of the glTF has no positions")
    local = np.column_stack([local.astype(float), np.ones(len(local))])
    chosen, weights = glb.attribute(primitive, "JOINTS_0"), glb.attribute(primitive, "WEIGHTS_0")
    if "skin" not in node or chosen is None or weights is None:
        return (
            (local @ glb.world[index].T)[:, :3],
            np.full((len(local), 4), index),
            np.tile([1.0, 0, 0, 0], (len(local), 1)),
        )
    skin = glb.document["skins"][node["skin"]]
    # In the bind pose a skinned mesh stands where its armature has it, whatever its own node says.
    shares = weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)
    return (local @ glb.armatures[node["skin"]].T)[:, :3], np.array(skin["joints"])[chosen.astype(int)], shares


def _character(glb: Gltf, entry: dict[str, Any]) -> Character:
    found = {key: np.concatenate(rows) for key, rows in _primitives(glb, entry.get("drop", [])).items()}
    turn = np.radians(FACINGS[entry["facing"]])
    facing = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    vrm = {node: bone for bone, node in entry["humanoid"].items()}
    rank = np.argsort(glb.order)
    nodes = [glb.nodes[index].get("name", f"node{index}") for index in glb.order]
    materials = glb.document.get("materials", [{}])

    def placed(points: np.ndarray) -> np.ndarray:
        return points * entry.get("scale", 1.0) + np.array(entry.get("shift", (0, 0, 0)))

    character = Character(
        vertices=(placed(found["vertices"]) @ facing.T).astype(np.float32),
        triangles=found["triangles"].astype(np.int32),
        corner_uvs=found["uvs"].astype(np.float32),
        materials=found["materials"].astype(np.int16),
        textures=tuple(_texture(glb, material, entry) for material in materials),
        material_names=tuple(material.get("name", "") for material in materials),
        parts=np.zeros(len(found["triangles"]), np.uint8),
        joint_indices=rank[found["joints"]].astype(np.int16),
        joint_weights=found["weights"].astype(np.float32),
        joints=(placed(glb.world[glb.order][:, :3, 3]) @ facing.T).astype(np.float32),
        parents=np.array([rank[glb.parents[k]] if glb.parents[k] >= 0 else -1 for k in glb.order], np.int16),
        joint_names=tuple(vrm.get(name, name) for name in nodes),
        face=_face(entry, facing),
        meta={
            key: entry[key]
            for key in ("name", "source", "author", "licence", "style", "sex", "tags", "rest_pose", "height_m")
        },
    )
    for name, hand in entry.get("hands", {}).items():
        character = _with_hand(
            character, vrm.get(name, name), vrm.get(hand["parent"], hand["parent"]), facing @ hand["position"]
        )
    meshes = [glb.nodes[node].get("name", "") for node in np.unique(found["nodes"])]
    groups = np.unique(found["nodes"], return_inverse=True)[1].reshape(-1)
    character = character.replace(parts=label_parts(character, meshes, groups))
    return character.replace(face=measure_face(character))


def _texture(glb: Gltf, material: dict[str, Any], entry: dict[str, Any]) -> np.ndarray:
    """The material's own, or a plain colour that the entry gives for its name."""
    found = entry.get("colours", {}).get(material.get("name", ""))
    return glb.image(material) if found is None else np.array([[[*found, 255]]], np.uint8)


def _with_hand(character: Character, name: str, parent: str, position: np.ndarray) -> Character:
    """One more joint: it takes the weights of the fingers, and those of the forearm that lie beyond it."""
    forearm, hand = character.joint_names.index(parent), len(character.joints)
    below = np.zeros(hand + 1, bool)
    for k, above in enumerate(character.parents):
        below[k] = above >= 0 and (above == forearm or below[above])
    along = position - character.joints[forearm]
    beyond = (character.vertices - position) @ along > 0
    chosen = character.joint_indices
    moves = below[chosen] | ((chosen == forearm) & beyond[:, None])
    return character.replace(
        joint_indices=np.where(moves, hand, chosen).astype(np.int16),
        joints=np.concatenate([character.joints, np.asarray(position, np.float32)[None]]),
        parents=np.append(character.parents, np.int16(forearm)),
        joint_names=(*character.joint_names, name),
    )


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
