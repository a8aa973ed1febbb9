# SPDX-License-Identifier: GPL-3.0-or-later
"""The characters of others: downloaded from a server of our own, checked by digest, read as they were published."""

import base64
import functools
import hashlib
import http.server
import json
import threading

import numpy as np
import pytest

from training.characters.character import PART
from training.characters.fetch import CATALOGUE, fetch
from training.characters.glb import load_glb, load_index
from training.characters.shapes import box

NODES = ["Armature", "Hips", "Arm", "Lower", "Finger", "Foot", "Body"]
PLACES = {"Hips": (0, 10, 0), "Arm": (2, 15, 0), "Lower": (5, 15, 0), "Finger": (9, 15, 0), "Foot": (1, 1, 0)}


def gltf_file(pose: float) -> bytes:
    """A box on each joint, ten times too large, on an armature that doubles; its nodes stand in another pose than the
    bind pose by `pose`.
    """
    meshes, parts = [box(place, (1, 1, 1)) for place in PLACES.values()], list(PLACES)
    vertices = np.concatenate([m[0] for m in meshes]).astype(np.float32)
    triangles = np.concatenate([m[1] + 36 * k for k, m in enumerate(meshes)]).astype(np.uint16)
    joints = np.zeros((len(vertices), 4), np.uint8)
    joints[:, 0] = np.repeat(np.arange(5), 36)
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (len(vertices), 1))
    inverse = np.tile(np.eye(4, dtype=np.float32), (5, 1, 1))
    inverse[:, :3, 3] = -np.array(list(PLACES.values()))
    blocks = [vertices, joints, weights, triangles, np.ascontiguousarray(inverse.transpose(0, 2, 1))]
    views, data = [], b""
    for block in blocks:
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": block.nbytes})
        data += block.tobytes()
    at = {name: np.array(place, float) for name, place in PLACES.items()}
    kinds = [(5126, "VEC3", 180), (5121, "VEC4", 180), (5126, "VEC4", 180), (5123, "SCALAR", 180), (5126, "MAT4", 5)]
    local = {"Hips": at["Hips"], "Arm": at["Arm"] - at["Hips"], "Lower": at["Lower"] - at["Arm"] + [0, pose, 0]}
    local |= {"Finger": at["Finger"] - at["Lower"], "Foot": at["Foot"]}
    children = {"Armature": ["Hips", "Foot"], "Hips": ["Arm"], "Arm": ["Lower"], "Lower": ["Finger"]}
    nodes: list[dict] = [{"name": name} for name in NODES]
    for node in nodes:
        if node["name"] in children:
            node["children"] = [NODES.index(child) for child in children[node["name"]]]
        if node["name"] in local:
            node["translation"] = local[node["name"]].tolist()
    nodes[0]["scale"] = [2, 2, 2]
    nodes[6] |= {"mesh": 0, "skin": 0}
    document = {
        "asset": {"version": "2.0"},
        "nodes": nodes,
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "JOINTS_0": 1, "WEIGHTS_0": 2}, "indices": 3}]}],
        "skins": [{"joints": [NODES.index(name) for name in parts], "inverseBindMatrices": 4}],
        "accessors": [
            {"bufferView": k, "componentType": c, "type": t, "count": n} for k, (c, t, n) in enumerate(kinds)
        ],
        "bufferViews": views,
        "buffers": [
            {
                "byteLength": len(data),
                "uri": "data:application/octet-stream;base64," + base64.b64encode(data).decode(),
            }
        ],
        "materials": [{"name": "Skin", "pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}],
    }
    return json.dumps(document).encode()


@pytest.fixture
def published(tmp_path):
    """A server that counts what it is asked for, and a catalogue of two characters on it; the second one's file is
    not what the catalogue lists.
    """
    folder = tmp_path / "public"
    path = folder / "someone" / "pack" / "abc" / "models" / "A figure.gltf"
    path.parent.mkdir(parents=True)
    path.write_bytes(gltf_file(pose=3.0))
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = {
        "name": "figure", "author": "someone", "licence": "CC0-1.0", "style": "test", "sex": "", "tags": [],
        "rest_pose": "T", "height_m": 1.6, "facing": "+Z", "file": "figure/A figure.gltf",
        "humanoid": {
            "hips": "Hips", "leftUpperArm": "Arm", "leftLowerArm": "Lower", "leftHand": "Hand", "leftFoot": "Foot",
        },
        "face": {
            "eyes": "absent", "mouth": "absent", "left_eye": None, "right_eye": None, "mouth_centre": None,
            "mouth_estimate": None,
        },
        "source": {"repo": "someone/pack", "commit": "abc", "path": "models/A figure.gltf"},
        "files": [{"path": "models/A figure.gltf", "sha256": digest, "bytes": 1}],
        "scale": 0.05, "reparent": {"Foot": "Hips"}, "colours": {"Skin": [1, 2, 3]},
        "hands": {"Hand": {"parent": "Lower", "position": [0.8, 1.5, 0]}},
    }  # fmt: skip
    other = entry | {"name": "other", "files": [{"path": "models/A figure.gltf", "sha256": "0" * 64, "bytes": 1}]}
    catalogue = {"note": "", "sources": {}, "characters": [entry, other]}
    yield catalogue, f"http://127.0.0.1:{server.server_address[1]}/{{repo}}/{{commit}}/{{path}}", asked
    server.shutdown()
    server.server_close()


def test_what_is_published_is_downloaded_once_and_only_with_its_digest(published, tmp_path):
    catalogue, source, asked = published
    failures = fetch(tmp_path / "cc0", catalogue, source, pause=0)
    assert len(failures) == 1 and failures[0].startswith("other: ") and "not what the catalogue lists" in failures[0]
    assert [entry["name"] for entry in load_index(tmp_path / "cc0")] == ["figure"]
    assert not list((tmp_path / "cc0").rglob("*.part"))
    catalogue["characters"].pop()
    asked.clear()
    assert fetch(tmp_path / "cc0", catalogue, source, pause=0) == [] and asked == []
    (tmp_path / "cc0" / "figure" / "A figure.gltf").write_bytes(b"cut")
    assert fetch(tmp_path / "cc0", catalogue, source, pause=0) == []
    assert asked == ["/someone/pack/abc/models/A%20figure.gltf"]


def test_a_server_that_is_gone_is_named(published, tmp_path):
    catalogue, _, _ = published
    failures = fetch(tmp_path / "cc0", catalogue, "http://127.0.0.1:9/{repo}/{commit}/{path}", pause=0)
    assert len(failures) == 2 and "cannot be downloaded" in failures[0]


def test_an_original_becomes_the_character_that_the_catalogue_describes(published, tmp_path):
    catalogue, source, _ = published
    fetch(tmp_path / "cc0", catalogue, source, pause=0)
    found = load_glb(tmp_path / "cc0", load_index(tmp_path / "cc0")[0])
    # Armature times scale is a tenth; the pose that the nodes stand in is not the bind pose.
    np.testing.assert_allclose(found.joints[found.joint("leftLowerArm")], [0.5, 1.5, 0], atol=1e-6)
    np.testing.assert_allclose(found.vertices.max(0), [0.95, 1.55, 0.05], atol=1e-6)
    assert found.joint_names[found.parents[found.joint("leftFoot")]] == "hips"
    assert found.textures[0][0, 0].tolist() == [1, 2, 3, 255]
    finger = found.vertices[found.triangles].mean(1)[:, 0] > 0.8
    assert (found.parts[finger] == PART["leftHand"]).all() and finger.sum() == 12
    np.testing.assert_allclose(found.joints[found.joint("leftHand")], [0.8, 1.5, 0], atol=1e-6)


def test_every_entry_of_the_catalogue_says_where_from_and_under_what_licence():
    catalogue = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    assert len(catalogue["characters"]) >= 70
    for entry in catalogue["characters"]:
        assert entry["licence"] == "CC0-1.0" and catalogue["sources"][entry["source_key"]]["evidence"]
        assert len(entry["source"]["commit"]) == 40 and all(len(file["sha256"]) == 64 for file in entry["files"])
        assert {"hips", "head", "leftUpperArm", "rightFoot"} <= set(entry["humanoid"])
