# SPDX-License-Identifier: GPL-3.0-or-later
"""A rigged character as plain arrays, with the truth about its face and the parts of its body.

Axes everywhere: metres, Y up, the character looks along +Z, so its left is +X; feet near y = 0; bind pose.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

SIDED = ("UpperArm", "Forearm", "Hand", "Thigh", "Shin", "Foot")
# The label of a triangle is its index here; 0 is what a picture shows beside the figure.
PARTS = (
    "background",
    "face",
    "hair",
    "headgear",
    "neck",
    "torso",
    *(side + part for part in SIDED for side in ("left", "right")),
    "cloth",
    "prop",
)
PART = {name: index for index, name in enumerate(PARTS)}

# "closed" is an eye that is drawn shut; "hidden" is something in front of it (a visor, a beard, a mask); "none" is a
# face without that feature. Where a feature is hidden or missing its centre is an estimate or NaN.
State = Literal["drawn", "closed", "hidden", "none"]


def nowhere() -> np.ndarray:
    return np.full(3, np.nan)


@dataclass(frozen=True)
class Feature:
    """An eye or the mouth: the centre (3,) on the front surface, half its width and height in metres along the
    head's X and Y (NaN where nothing is drawn).
    """

    centre: np.ndarray = field(default_factory=nowhere)
    half_width: float = float("nan")
    half_height: float = float("nan")
    state: State = "none"


@dataclass(frozen=True)
class Face:
    """The face in bind pose. All of it moves with the joint `head`. head_top: skull and hair without hat or ears."""

    left_eye: Feature = Feature()
    right_eye: Feature = Feature()
    mouth: Feature = Feature()
    head_top: np.ndarray = field(default_factory=nowhere)
    chin: np.ndarray = field(default_factory=nowhere)


@dataclass(frozen=True)
class Character:
    """vertices (V, 3) float32; triangles (T, 3) int32; corner_uvs (T, 3, 2) float32, glTF's (v runs down);
    materials (T,) int16, index of the triangle's texture; textures: per material (h, w, 4) uint8 sRGB, 1 x 1 for a
    plain colour; material_names; parts (T,) uint8, index into PARTS; joint_indices (V, 4) int16 and joint_weights
    (V, 4) float32, rows sum to 1; joints (J, 3) float32 positions; parents (J,) int16, -1 for a root, a parent stands
    before its children; joint_names: VRM 1.0 bone names where the joint is one, else the rig's own.

    The joints' frames are parallel to the axes at rest: a pose is one rotation per joint about its position.
    meta: name, source, author, licence, style, tags, whatever else is known; plain JSON.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    corner_uvs: np.ndarray
    materials: np.ndarray
    textures: tuple[np.ndarray, ...]
    material_names: tuple[str, ...]
    parts: np.ndarray
    joint_indices: np.ndarray
    joint_weights: np.ndarray
    joints: np.ndarray
    parents: np.ndarray
    joint_names: tuple[str, ...]
    face: Face
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.meta.get("name", ""))

    def joint(self, vrm_name: str) -> int | None:
        """The joint's index, or None where the rig has no such bone."""
        return self.joint_names.index(vrm_name) if vrm_name in self.joint_names else None

    def replace(self, **changes: Any) -> Character:
        return dataclasses.replace(self, **changes)

    def digest(self) -> str:
        """SHA-256 of all arrays and the face; the same for equal characters wherever they were made. meta does not
        count.
        """
        found = hashlib.sha256()
        for name, value in sorted(_pack(self).items()):
            if name != "meta":
                found.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
                found.update(np.ascontiguousarray(value).tobytes())
        return found.hexdigest()


def welded(vertices: np.ndarray) -> np.ndarray:
    """(V,) the number of each vertex's place; vertices within a twentieth of a millimetre share theirs."""
    steps = np.round(vertices * 20000).astype(np.int64) + (1 << 20)
    return np.unique(steps @ np.array([1 << 42, 1 << 21, 1]), return_inverse=True)[1].reshape(-1)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals, weighted by area; smooth over vertices that only their texture splits."""
    at = welded(vertices)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    areas = np.cross(b - a, c - a)
    total = np.zeros((at.max() + 1, 3))
    for k in range(3):
        np.add.at(total, at[triangles[:, k]], areas)
    normals = total[at]
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def save(character: Character, path: Path) -> str:
    """Writes one .npz and returns its digest."""
    digest = character.digest()
    with path.open("wb") as file:
        arrays: dict[str, Any] = {"digest": np.array(digest), **_pack(character)}
        np.savez_compressed(file, **arrays)
    return digest


def load(path: Path) -> Character:
    """Raises ValueError for a file that is no character or whose content does not match its digest."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    if "digest" not in arrays or "vertices" not in arrays:
        raise ValueError(f"{path.name} is no character")
    expected = str(arrays.pop("digest"))
    found = _unpack(arrays)
    if found.digest() != expected:
        raise ValueError(f"{path.name} is damaged: its content does not match its digest")
    return found


ARRAYS = (
    *("vertices", "triangles", "corner_uvs", "materials", "parts"),
    *("joint_indices", "joint_weights", "joints", "parents"),
)
FEATURES = ("left_eye", "right_eye", "mouth")


def _pack(character: Character) -> dict[str, np.ndarray]:
    out = {name: np.asarray(getattr(character, name)) for name in ARRAYS}
    for k, texture in enumerate(character.textures):
        out[f"texture_{k:03d}"] = texture
    for name in FEATURES:
        feature = getattr(character.face, name)
        out[f"face_{name}"] = np.array([*feature.centre, feature.half_width, feature.half_height])
        out[f"face_{name}_state"] = np.array(feature.state)
    out["face_head_top"] = np.asarray(character.face.head_top, np.float64)
    out["face_chin"] = np.asarray(character.face.chin, np.float64)
    out["names"] = np.array(json.dumps([character.joint_names, character.material_names]))
    out["meta"] = np.array(json.dumps(character.meta, sort_keys=True))
    return out


def _unpack(arrays: dict[str, np.ndarray]) -> Character:
    def feature(name: str) -> Feature:
        row = arrays[f"face_{name}"]
        state: Any = str(arrays[f"face_{name}_state"])
        return Feature(row[:3], float(row[3]), float(row[4]), state)

    joint_names, material_names = json.loads(str(arrays["names"]))
    return Character(
        textures=tuple(arrays[name] for name in sorted(arrays) if name.startswith("texture_")),
        material_names=tuple(material_names),
        joint_names=tuple(joint_names),
        face=Face(
            left_eye=feature("left_eye"),
            right_eye=feature("right_eye"),
            mouth=feature("mouth"),
            head_top=arrays["face_head_top"],
            chin=arrays["face_chin"],
        ),
        meta=json.loads(str(arrays["meta"])),
        **{name: arrays[name] for name in ARRAYS},
    )
