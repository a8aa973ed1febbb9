"""The card of an animation clip: what is no clip fails, what jumps is told."""

import json
import struct

import numpy as np

from avatar_addon.report.clip import clip_report


def clip(path, last=(0.0, 0.0, 0.0, 1.0), kind="rotation", bone="head"):
    """A VRMA file of one channel, half a second long."""
    times, values = np.array([0, 0.5], "<f4"), np.array([[0, 0, 0, 1], last], "<f4")
    if kind != "rotation":
        values = values[:, :3]
    binary = times.tobytes() + values.tobytes()
    content = {
        "extensions": {"VRMC_vrm_animation": {"humanoid": {"humanBones": {"hips": {"node": 0}, bone: {"node": 1}}}}},
        "animations": [
            {"channels": [{"sampler": 0, "target": {"node": 1, "path": kind}}], "samplers": [{"input": 0, "output": 1}]}
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 2, "type": "SCALAR"},
            {"bufferView": 1, "componentType": 5126, "count": 2, "type": "VEC4" if kind == "rotation" else "VEC3"},
        ],
        "bufferViews": [{"byteLength": 8}, {"byteOffset": 8, "byteLength": values.nbytes}],
    }
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return {check["id"]: check["status"] for check in clip_report(path)["checks"]}


def test_clips_pass_warn_and_fail_as_they_should(tmp_path):
    path = tmp_path / "wave.vrma"
    assert set(clip(path).values()) == {"PASS"}
    assert clip(path, last=(0.0, 0.7071, 0.0, 0.7071))["loop"] == "WARN"
    assert clip(path, last=(0.0, float("nan"), 0.0, 1.0))["finite"] == "FAIL"
    assert clip(path, kind="translation")["channels"] == "FAIL"
    for data in (b"", b"glTF", path.read_bytes()[:-1], b"glTF" + bytes(40)):
        path.write_bytes(data)
        assert clip_report(path)["counts"]["FAIL"] == 1
