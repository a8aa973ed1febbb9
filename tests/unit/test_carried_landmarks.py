"""Joints and face of the picture on the mesh that was made of it, and nothing where the two do not show the same."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.engines import GenerateRequest
from backend.geometric.carried import carried_landmarks
from backend.geometric.landmarks import turn
from backend.preview.engine import PreviewGenerator

PICTURE = Path(__file__).resolve().parents[2] / "examples" / "companion.png"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A mesh that is known to show the picture, and the landmarks it was made with."""
    folder = tmp_path_factory.mktemp("mesh")
    result = PreviewGenerator().generate(
        GenerateRequest(PICTURE, folder, options={"triangles": 8000, "texture_size": 256}), lambda *_: None
    )
    (mesh,) = trimesh.load(result.mesh, process=False).geometry.values()
    return np.array(mesh.vertices), np.array(mesh.faces), result.landmarks


def test_joints_and_face_arrive_where_the_mesh_has_them(made):
    vertices, triangles, wanted = made
    carried = carried_landmarks(PICTURE, None, vertices, triangles)
    assert carried["joints"].keys() == wanted["joints"].keys()
    for name, point in wanted["joints"].items():
        assert np.abs(np.subtract(carried["joints"][name], point))[:2].max() < 0.016, name  # 1 % of the height
        assert abs(carried["joints"][name][2] - point[2]) < 0.08, name
    for part in ("leftEye", "rightEye", "mouth"):
        assert np.abs(np.subtract(carried["face"][part]["center"], wanted["face"][part]["center"])).max() < 0.02, part
    assert carried["face"]["leftEye"]["half_width"] == pytest.approx(wanted["face"]["leftEye"]["half_width"], rel=0.05)
    assert carried["face"]["confidence"] == pytest.approx(wanted["face"]["confidence"])


def test_a_mesh_seen_from_another_side_gets_nothing(made):
    vertices, triangles, _ = made
    assert carried_landmarks(PICTURE, None, turn(vertices, 90), triangles) == {}


def test_a_picture_without_a_character_gives_nothing(made, tmp_path):
    Image.new("RGBA", (64, 64), (200, 20, 20, 255)).save(tmp_path / "square.png")
    assert carried_landmarks(tmp_path / "square.png", None, *made[:2]) == {}
