"""What the user can set of the face: the visemes' strength, width and corners, the mouth's inside, brow and jaw."""

import numpy as np
import pytest

from avatar_addon.face.synthesis.build import PARTS
from avatar_addon.face.synthesis.measures import usual_places
from avatar_addon.face.synthesis.style import Style, Viseme
from avatar_addon.landmarks import FaceLandmarks
from tests.unit.test_face import FACE, NAMES, WIDTH, build_face, head, part


def test_a_viseme_made_stronger_wider_and_smiling():
    data = head()
    usual, plain = build_face(data, FACE, "head"), build_face(data, FACE, "head", style=Style({"aa": Viseme()}))
    np.testing.assert_array_equal(plain.mesh.shape_keys["aa"], usual.mesh.shape_keys["aa"])
    rest, before = usual.mesh.vertices, usual.mesh.shape_keys["aa"]
    middle = np.argsort(before[:, 2])[0]  # of the lower lip
    upper = np.flatnonzero((rest == rest[middle]).all(1) & (np.arange(len(rest)) != middle))[0]

    def shape(**values):
        built = build_face(data, FACE, "head", style=Style({"aa": Viseme(**values)}))
        np.testing.assert_array_equal(built.mesh.vertices, rest)
        for name in set(NAMES) - {"aa"}:
            np.testing.assert_array_equal(built.mesh.shape_keys[name], usual.mesh.shape_keys[name])
        np.testing.assert_array_equal(
            usual.reshape.in_blender("aa", Viseme(**values)), built.mesh.shape_keys["aa"]
        )  # live as built
        return built.mesh.shape_keys["aa"]

    half = shape(strength=0.5)
    assert half[upper, 2] - half[middle, 2] == pytest.approx(0.5 * (before[upper, 2] - before[middle, 2]), rel=0.1)
    corner = np.argmin(
        np.linalg.norm(rest - [0.5 * WIDTH, FACE["mouth"]["center"][1], FACE["mouth"]["center"][2]], axis=1)
    )
    assert shape(width=0.3)[corner, 0] > before[corner, 0] + 0.05 * WIDTH
    assert shape(corners=0.2)[corner, 2] > before[corner, 2] + 0.1 * WIDTH


def test_a_mouth_without_interior_is_closed_too():
    plain = build_face(head(), FACE, "head", style=Style(interior=False)).mesh
    assert plain.materials == ["Skin", PARTS["Mouth"]] and len(part(plain, PARTS["Mouth"]))
    edges = np.sort(plain.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    mouth = np.isin(edges, part(plain, PARTS["Mouth"])).all(1)
    assert (np.unique(edges[mouth], axis=0, return_counts=True)[1] >= 2).all()


def test_brow_and_jaw_markers_move_what_follows_them():
    usual = usual_places(FaceLandmarks.from_dict(FACE))
    same = build_face(head(), FACE | {name: {"center": list(place)} for name, place in usual.items()}, "head").mesh
    base = build_face(head(), FACE, "head").mesh
    for name in ("angry", "aa"):
        np.testing.assert_allclose(same.shape_keys[name], base.shape_keys[name], atol=1e-6)
    raised = {f"{side}Brow": {"center": list(usual[f"{side}Brow"] + [0, 0, 0.012])} for side in ("left", "right")}
    chin = {"jaw": {"center": list(usual["jaw"] + [0, 0, 0.012])}}
    other = build_face(head(), FACE | raised | chin, "head").mesh

    def middle(mesh, name, region):
        weight = np.abs(mesh.shape_keys[name][:, 2]) * region(mesh.vertices[:, 2])
        return (weight @ mesh.vertices[:, 2]) / weight.sum()

    assert middle(other, "angry", lambda z: z > 1.545) > middle(base, "angry", lambda z: z > 1.545) + 0.002
    assert middle(other, "aa", lambda z: z < 1.455) > middle(base, "aa", lambda z: z < 1.455) + 0.001
