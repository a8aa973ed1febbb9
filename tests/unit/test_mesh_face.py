"""Face markers of a mesh: what the picture showed is found again on the mesh that was made of it."""

import numpy as np
import pytest
import trimesh

from backend.engines import GenerateRequest
from backend.errors import BackendError
from backend.geometric import face, looks
from backend.geometric.face import locate_face_on_mesh
from backend.geometric.face_views import weighed
from backend.mesh.files import MeshArrays, write_mesh
from backend.preview.engine import PreviewGenerator
from tests.unit.people import ADULT, picture

EYES = ("leftEye", "rightEye")


@pytest.fixture(scope="module")
def character(tmp_path_factory):
    """(mesh.npz, texture, the engine's landmarks, metres)"""
    folder = tmp_path_factory.mktemp("character")
    picture(ADULT)[0].save(folder / "picture.png")
    made = PreviewGenerator().generate(
        GenerateRequest(folder / "picture.png", folder, options={"triangles": 8000}), lambda *_: None
    )
    scene = trimesh.load(made.mesh, force="mesh", process=False)
    scene.visual.material.baseColorTexture.save(folder / "texture.png")
    mesh = MeshArrays(np.asarray(scene.vertices), np.asarray(scene.faces), np.asarray(scene.visual.uv)[scene.faces])
    write_mesh(folder / "mesh.npz", mesh)
    return folder, mesh, made.landmarks


def test_the_face_lies_on_the_mesh_where_the_picture_shows_it(character):
    folder, mesh, landmarks = character
    found = locate_face_on_mesh(folder / "mesh.npz", folder / "texture.png", None)
    head = landmarks["joints"]["headTop"][1] - landmarks["joints"]["neck"][1]
    for part in ("leftEye", "rightEye", "mouth"):
        centre = np.array(found["face"][part]["center"])
        assert np.linalg.norm(centre - landmarks["face"][part]["center"]) < 0.04 * head
        assert np.linalg.norm(mesh.vertices - centre, axis=1).min() < 0.06 * head
    assert found["face"]["leftEye"]["center"][0] > 0 > found["face"]["rightEye"]["center"][0]
    assert min(found["face"]["confidence"].values()) >= 0.5 and not found["warnings"]


def test_a_face_that_looks_aside_is_seen_from_where_it_looks_to(character, monkeypatch):
    """As that of a body whose shoulders and hips told another front."""
    _, mesh, landmarks = character
    head = {name: np.array(landmarks["joints"][name]) for name in ("neck", "head", "headTop")}
    looked = []

    def seen(turned, joints, texture):
        looked.append(turned.vertices)
        way = looks.about_y(25.0 if len(looked) == 1 else 0.0)
        places = {"leftEye": [0.03, 1.5, 0.1], "rightEye": [-0.03, 1.5, 0.1], "mouth": [0, 1.4, 0.1]}
        sure = {"eyes": 0.4 if len(looked) == 1 else 0.9, "mouth": 0.6}
        return {name: {"center": (way @ place).tolist()} for name, place in places.items()} | {"confidence": sure}

    monkeypatch.setattr(face, "_looked_at", seen)
    found = face.find_face(mesh, head, None)
    assert found["confidence"]["eyes"] == 0.9
    np.testing.assert_allclose(looked[1], mesh.vertices @ looks.about_y(-25.0).T, atol=1e-6)
    np.testing.assert_allclose(found["leftEye"]["center"], looks.about_y(25.0) @ [0.03, 1.5, 0.1], atol=1e-5)


def test_without_a_texture_nothing_is_claimed(character):
    folder, _, _ = character
    found = locate_face_on_mesh(folder / "mesh.npz", None, None)
    assert min(found["face"]["confidence"].values()) < 0.5
    assert [warning["code"] for warning in found["warnings"]] == ["face"]


def test_a_mesh_that_is_no_figure_needs_a_head_joint(character, tmp_path):
    _, mesh, landmarks = character
    above = mesh.vertices[mesh.triangles][:, :, 1].min(1) > landmarks["joints"]["leftUpperArm"][1] - 0.05
    bust = MeshArrays(mesh.vertices, mesh.triangles[above], mesh.corner_uvs[above])
    write_mesh(tmp_path / "bust.npz", bust)
    with pytest.raises(BackendError) as refused:
        locate_face_on_mesh(tmp_path / "bust.npz", character[0] / "texture.png", None)
    assert refused.value.code == "not_humanoid"
    given = {name: landmarks["joints"][name] for name in ("head", "neck")}
    found = locate_face_on_mesh(tmp_path / "bust.npz", character[0] / "texture.png", given)
    assert np.linalg.norm(np.subtract(found["face"]["mouth"]["center"], landmarks["face"]["mouth"]["center"])) < 0.03


def faces(apart, chance, own, higher=0.0):
    """Eyes and mouth by the rules, and as learned `apart` to the side, in a head 1 high; the left eye `higher`."""
    places = {"leftEye": [0.15, 0.5], "rightEye": [-0.15, 0.5], "mouth": [0.0, 0.2]}
    rules = {name: {"center": place} for name, place in places.items()}
    learned = {name: {"center": [x + apart, y + higher * (name == "leftEye")]} for name, (x, y) in places.items()}
    sure = {"confidence": {"eyes": own, "mouth": own}}, {"confidence": {"eyes": chance, "mouth": chance}}
    return weighed(rules | sure[0], learned | sure[1], 1.0)


def test_places_of_the_face_that_agree_confirm_each_other():
    assert faces(0.02, 0.4, 0.4)["confidence"]["mouth"] > 0.5
    assert faces(0.02, 0.1, 0.4)["confidence"]["mouth"] < 0.5  # hardly an opinion
    assert faces(0.2, 0.4, 0.4)["confidence"]["mouth"] < 0.5


def test_rules_decide_on_the_pixel_and_the_network_on_the_place():
    assert faces(0.02, 0.8, 0.8)["mouth"]["center"][0] == 0.0
    assert faces(0.05, 0.8, 0.8)["mouth"]["center"][0] == 0.05
    assert faces(0.05, 0.1, 0.8)["mouth"]["center"][0] == 0.0


def test_the_network_alone_has_to_be_surer_of_eyes_than_with_the_rules():
    """Brows and smears beside the true eyes have 0.68 at most."""
    assert faces(0.2, 0.68, 0.1)["confidence"]["eyes"] < 0.5 < faces(0.2, 0.68, 0.1)["confidence"]["mouth"]
    assert faces(0.04, 0.68, 0.1)["confidence"]["eyes"] < 0.5
    assert faces(0.2, 0.74, 0.1)["confidence"]["eyes"] > 0.5
    assert faces(0.04, 0.45, 0.5)["confidence"]["eyes"] > 0.5


def test_both_eyes_are_level_where_they_nearly_are():
    """What covers one of them moves it; eyes that lie farther apart are those of a tilted head."""
    heights = [[faces(0.05, 0.9, 0.4, by)[name]["center"][1] for name in EYES] for by in (0.06, 0.2)]
    assert heights[0] == pytest.approx([0.53, 0.53]) and heights[1] == pytest.approx([0.7, 0.5])
