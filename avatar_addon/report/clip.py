# SPDX-License-Identifier: GPL-3.0-or-later
"""The report card of an animation clip (a VRMA file): what a model's card is for models.

Source: VRMC_vrm_animation-1.0: humanoid bones with rotations, a translation of the hips only, no scale.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..files import digest
from .limits import FAIL, PASS, WARN

SHORTEST, LONGEST = 0.2, 600.0  # seconds
MOST_BYTES = 20 << 20  # a clip that a web page loads beside the avatar
JUMP = 12.0  # degrees between the last frame and the first, from which a loop is seen to jump


def clip_report(path: Path) -> dict[str, Any]:
    """As `Report.to_dict`: {"report", "file", "sha256", "counts", "checks": [{id, title, status, figure}]}. Raises
    OSError.
    """
    try:
        checks = _checks(path.read_bytes())
    except (ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        checks = [_check("container", "Readable file", FAIL, str(error) or type(error).__name__)]
    counts = {status: sum(check["status"] == status for check in checks) for status in (PASS, WARN, FAIL)}
    return {"report": 1, "file": path.name, "sha256": digest(path), "counts": counts, "checks": checks}


def _checks(data: bytes) -> list[dict[str, str]]:
    content, binary = _chunks(data)
    extension = content["extensions"]["VRMC_vrm_animation"]
    bones = {entry["node"]: name for name, entry in extension["humanoid"]["humanBones"].items()}
    animation = content["animations"][0]
    seconds, jump, finite, wrong = 0.0, 0.0, True, []
    for channel in animation["channels"]:
        node, kind = channel["target"]["node"], channel["target"]["path"]
        sampler = animation["samplers"][channel["sampler"]]
        times, values = (_floats(content, binary, sampler[key]) for key in ("input", "output"))
        finite &= bool(np.isfinite(values).all() and np.isfinite(times).all())
        seconds = max(seconds, float(times[-1, 0]))
        if node in bones and (kind == "scale" or (kind == "translation" and bones[node] != "hips")):
            wrong.append(bones[node])
        if node in bones and kind == "rotation":
            first, last = values[0], values[-1]
            size = max(float(np.linalg.norm(first) * np.linalg.norm(last)), 1e-12)
            jump = max(jump, float(np.degrees(2 * np.arccos(min(abs(first @ last) / size, 1.0)))))
    length = PASS if SHORTEST <= seconds <= LONGEST else FAIL
    return [
        _check("container", "Readable file", PASS, f"VRMA {extension.get('specVersion', '1.0')}"),
        _check("hips", "Humanoid bones", PASS if "hips" in bones.values() else FAIL, f"{len(bones)}"),
        _check("length", "Length", length, f"{seconds:.1f} s"),
        _check("finite", "Numbers", PASS if finite else FAIL, "finite" if finite else "not finite"),
        _check("channels", "Bones only rotate", FAIL if wrong else PASS, ", ".join(wrong[:3]) or "yes"),
        _check("loop", "Ends as it begins", PASS if jump <= JUMP else WARN, f"{jump:.0f}°"),
        _check("size", "File size", PASS if len(data) <= MOST_BYTES else WARN, f"{len(data) / 1e6:.2f} MB"),
    ]


def _check(name: str, title: str, status: str, figure: str) -> dict[str, str]:
    return {"id": name, "title": title, "status": status, "figure": figure}


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    magic, _, total = struct.unpack_from("<4sII", data)
    if magic != b"glTF" or total != len(data):
        raise ValueError("it is no complete GLB file")
    (length,) = struct.unpack_from("<I", data, 12)
    content = json.loads(data[20 : 20 + length])
    return content, data[28 + length :]


def _floats(content: dict[str, Any], binary: bytes, index: int) -> np.ndarray:
    """(N, width) of an accessor of floats that are packed tightly."""
    accessor = content["accessors"][index]
    view = content["bufferViews"][accessor["bufferView"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    if accessor["componentType"] != 5126 or view.get("byteStride", 4 * width) != 4 * width:
        raise ValueError("its keys are no plain floats")
    return np.frombuffer(binary, "<f4", accessor["count"] * width, start).reshape(-1, width).astype(float)
