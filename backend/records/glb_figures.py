# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a GLB or VRM file that a record keeps. Source: glTF 2.0, 3.6 (buffers and accessors), 3.7 (meshes,
skins), 4.4 (GLB).
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COMPONENTS = {5121: np.uint8, 5123: np.uint16, 5126: np.float32}


def glb_figures(path: Path) -> dict[str, float]:
    """vertex_count, face_count, texture_resolution (pixels, longest side), bone_count, skinning_weight_coverage
    (share of the vertices that some bone moves). What the file has not got is absent. Raises ValueError or OSError
    for a file that is no GLB.
    """
    document, binary = _chunks(path.read_bytes())
    try:
        return _figures(document, binary)
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path.name} is damaged ({error!r})") from error


def _figures(document: dict[str, Any], binary: bytes) -> dict[str, float]:
    primitives = [primitive for mesh in document.get("meshes", []) for primitive in mesh["primitives"]]
    accessors = document.get("accessors", [])
    # Primitives of one mesh may share their vertices.
    attributes = {primitive["attributes"]["POSITION"]: primitive["attributes"] for primitive in primitives}
    faces = [
        accessors[p["indices"] if "indices" in p else p["attributes"]["POSITION"]]["count"] // 3 for p in primitives
    ]
    figures = {
        "vertex_count": float(sum(accessors[position]["count"] for position in attributes)),
        "face_count": float(sum(faces)),
        "texture_resolution": float(
            max((_longest_side(document, binary, image) for image in document.get("images", [])), default=0)
        ),
        "bone_count": float(len({joint for skin in document.get("skins", []) for joint in skin["joints"]})),
    }
    if figures["bone_count"] and figures["vertex_count"]:
        moved = sum(
            _moved(document, binary, found["WEIGHTS_0"]) for found in attributes.values() if "WEIGHTS_0" in found
        )
        figures["skinning_weight_coverage"] = moved / figures["vertex_count"]
    return {name: value for name, value in figures.items() if value or name == "skinning_weight_coverage"}


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < 20 or data[:4] != b"glTF" or data[16:20] != b"JSON":
        raise ValueError("no GLB file")
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20 : 20 + length])
    return document, data[28 + length :]


def _view(document: dict[str, Any], binary: bytes, index: int) -> bytes:
    view = document["bufferViews"][index]
    start = view.get("byteOffset", 0)
    return binary[start : start + view["byteLength"]]


def _longest_side(document: dict[str, Any], binary: bytes, image: dict[str, Any]) -> int:
    if "bufferView" not in image:
        return 0
    with Image.open(io.BytesIO(_view(document, binary, image["bufferView"]))) as opened:
        return max(opened.size)


def _moved(document: dict[str, Any], binary: bytes, index: int) -> int:
    """How many vertices have a weight above zero."""
    accessor = document["accessors"][index]
    dtype = np.dtype(COMPONENTS[accessor["componentType"]])
    stride = document["bufferViews"][accessor["bufferView"]].get("byteStride", 4 * dtype.itemsize)
    data = _view(document, binary, accessor["bufferView"])
    rows = np.ndarray((accessor["count"], 4), dtype, data, accessor.get("byteOffset", 0), (stride, dtype.itemsize))
    return int(np.count_nonzero(rows.astype(np.float64).sum(axis=1) > 0))
