"""Mouth cards: drawn mouths that wait behind the lips, on faces that are drawn flat."""

import numpy as np
import pytest
from scipy.interpolate import LinearNDInterpolator

from avatar_addon.face.synthesis import build
from avatar_addon.face.synthesis.cards import DRAWN, INSIDE, SLOT
from avatar_addon.face.synthesis.style import Style, Viseme
from avatar_addon.vrm.spec.perfect_sync import SYNC_SHAPES
from avatar_addon.vrm.spec.presets import VISEMES
from tests.unit.test_face import FACE, WIDTH, build_face, head, part

SKIN = (0.9, 0.7, 0.6)


def texture(noise=0.0):
    """Skin of one colour, or of many."""
    plain = np.broadcast_to(np.float32(SKIN), (200, 200, 3))
    return plain + noise * np.random.default_rng(3).uniform(-1, 1, plain.shape).astype(np.float32)


@pytest.fixture(scope="module")
def carded():
    return build_face(head(), FACE, "head", texture=texture(), style=Style(cards=True), perfect_sync=True)


def test_a_flat_face_has_cards_by_style_and_a_painted_one_is_cut():
    for noise, cards in ((0.0, True), (0.3, False)):
        mesh = build_face(head(), FACE, "head", texture=texture(noise), style=Style(cards=None)).mesh
        assert (SLOT in mesh.materials) == cards and (len(mesh.materials) == 2) == cards
    assert SLOT not in build_face(head(), FACE, "head", style=Style(cards=None)).mesh.materials


def test_where_no_mouth_can_be_cut_there_are_cards_or_they_are_offered(monkeypatch):
    monkeypatch.setattr(build, "cut_mouth", lambda *_: None)
    instead = build_face(head(), FACE, "head", texture=texture(0.3), style=Style(cards_if_uncut=True))
    assert [warning["code"] for warning in instead.warnings] == ["cards_instead"]
    assert set(VISEMES) <= set(instead.mesh.shape_keys) and SLOT in instead.mesh.materials
    for picture, offered in ((texture(0.3), True), (None, False)):
        without = build_face(head(), FACE, "head", texture=picture, style=Style(cards_if_uncut=picture is None))
        assert [warning["code"] for warning in without.warnings] == ["no_mouth"]
        assert ("Drawn Cards" in without.warnings[0]["message"]) == offered and SLOT not in without.mesh.materials


def test_cards_wait_behind_the_skin_and_come_out_before_it_one_a_viseme(carded):
    mesh, on_cards = carded.mesh, part(carded.mesh, SLOT)
    moved = {name: np.flatnonzero(np.abs(mesh.shape_keys[name]).max(1) > 0) for name in VISEMES}
    assert sum(len(found) for found in moved.values()) == len(on_cards) == len(set().union(*moved.values()))
    for name, found in moved.items():
        assert np.isin(found, on_cards).all()
        rest, out = mesh.vertices[found], mesh.vertices[found] + mesh.shape_keys[name][found]

        def before(points):  # metres in front of the head, which is an ellipsoid
            x, z = points[:, 0] / 0.08, (points[:, 2] - 1.5) / 0.12
            return -points[:, 1] - 0.1 * np.sqrt(np.clip(1 - x * x - z * z, 0, 1))

        assert before(rest).max() < 0 and before(out).min() > 0, name
        for share in (0.4, 0.7):  # halfway out all of it is before the skin
            assert before(rest + share * (out - rest)).min() > 0, name
        assert before(out).max() < 0.01 and np.ptp(out[:, 2]) > 1.1 * np.ptp(rest[:, 2])


def test_cards_are_closed_and_follow_the_head(carded):
    mesh = carded.mesh
    some = mesh.triangles[mesh.material_index == mesh.materials.index(SLOT)]
    edges = np.sort(some[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert (mesh.weights[np.unique(some), mesh.groups.index("head")] == 1).all()


def test_each_card_shows_its_own_mouth_on_skin_as_it_is_around(carded):
    picture, mesh = carded.cards, carded.mesh
    assert np.allclose(picture[0, :, :3], SKIN, atol=0.01)  # the rim of the cells
    on_cards = mesh.material_index == mesh.materials.index(SLOT)
    height, width = picture.shape[:2]
    widths = {}
    for name in VISEMES:
        of_card = on_cards & (np.abs(mesh.shape_keys[name][mesh.triangles]).max((1, 2)) > 0)
        u, v = mesh.corner_uvs[of_card].reshape(-1, 2).T
        cell = picture[
            int((1 - v.max()) * height) : int((1 - v.min()) * height), int(u.min() * width) : int(u.max() * width), :3
        ]
        assert (np.abs(cell - INSIDE).max(2) < 0.02).any(), name
        widths[name] = np.ptp(np.flatnonzero((np.abs(cell - SKIN).max(2) > 0.1).any(0)))
    assert sorted(widths, key=widths.get) == sorted(DRAWN, key=lambda name: DRAWN[name].half)


def test_sliders_change_a_card_as_it_is_built(carded):
    style = Viseme(strength=0.6, width=0.2, corners=0.1)
    built = build_face(head(), FACE, "head", texture=texture(), style=Style({"aa": style}, cards=True))
    live = build_face(head(), FACE, "head", style=Style(cards=True)).reshape.in_blender("aa", style)
    np.testing.assert_array_equal(built.mesh.shape_keys["aa"], live)
    some = np.abs(live).max(1) > 0
    usual, made = (carded.mesh.vertices[some] + shape[some] for shape in (carded.mesh.shape_keys["aa"], live))
    assert np.ptp(made[:, 2]) == pytest.approx(0.6 * np.ptp(usual[:, 2]), abs=0.1 * WIDTH)
    weak, wide = (
        np.ptp((carded.mesh.vertices + carded.reshape.in_blender("aa", other))[some, 0])
        for other in (Viseme(strength=0.6), Viseme(strength=0.6, width=0.2))
    )
    assert wide == pytest.approx(1.2 * weak, rel=0.01) and np.ptp(usual[:, 0]) > weak


def test_perfect_sync_shows_cards_and_lists_what_a_painted_mouth_cannot_do(carded):
    shapes = carded.mesh.shape_keys
    np.testing.assert_allclose(shapes["jawOpen"], shapes["aa"], atol=1e-7)
    np.testing.assert_allclose(shapes["mouthClose"], -shapes["jawOpen"], atol=1e-7)
    lacking = set(SYNC_SHAPES) - set(shapes)
    assert "tongueOut" in lacking and "mouthSmileLeft" not in lacking
    warning = carded.warnings[0]
    assert warning["code"] == "perfect_sync" and all(name in warning["message"] for name in lacking)


@pytest.mark.parametrize("shape", ["", "happy", "sad", "angry"])
def test_a_waiting_card_stays_behind_skin_that_is_uneven_and_moves(shape):
    data = head(140, 160)
    x, y, z = data.vertices.T
    lips = np.exp(-(((z - 1.44) / 0.03) ** 2) - (x / 0.04) ** 2) * (y < 0)
    data.vertices[:, 1] += 0.0012 * lips * np.sin(2 * np.pi * z / 0.012)  # dents and ridges
    mesh = build_face(data, FACE, "head", texture=texture(), style=Style(cards=True)).mesh
    at = mesh.vertices + (mesh.shape_keys[shape] if shape else 0)
    skin, cards = (at[mesh.triangles[mesh.material_index == mesh.materials.index(name)]] for name in ("Skin", SLOT))
    near = skin[(skin[:, :, 1] < -0.05).all(1) & (np.abs(skin.mean(1) - [0, -0.1, 1.45]) < [0.06, 0.1, 0.06]).all(1)]
    front = LinearNDInterpolator(near.mean(1)[:, [0, 2]], near.mean(1)[:, 1])
    inside = cards.mean(1)
    assert (front(inside[:, [0, 2]]) - inside[:, 1]).max() < 0.0
