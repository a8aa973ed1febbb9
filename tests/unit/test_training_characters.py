# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters for training: what is put on keeps the truth true, and the same seed gives the same arrays."""

import dataclasses
import importlib.util
import json

import numpy as np
import pytest

from tests.unit.doll import BONES, make_doll
from training.characters import accessories, facepaint
from training.characters.build import attach, rigid
from training.characters.character import PART, Character, load, save
from training.characters.measure import hide_covered, measure_face
from training.characters.raster import colours, rasterise
from training.characters.repaint import default_layout, repaint
from training.characters.reshape import Proportions, reshape
from training.characters.shapes import ellipsoid

needs_anny = pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="training/requirements.txt")


@pytest.fixture(scope="module")
def doll() -> Character:
    return make_doll()


@pytest.fixture(scope="module")
def painted(doll: Character) -> Character:
    return repaint(doll, facepaint.Style(eyes="dot", width=0.2, height=0.25), default_layout(doll))


def test_a_saved_character_is_the_same_and_a_damaged_one_is_refused(painted, tmp_path):
    digest = save(painted, tmp_path / "a.npz")
    assert load(tmp_path / "a.npz").digest() == digest == painted.digest()
    vertices = painted.vertices.copy()
    vertices[0, 0] += 0.01
    assert painted.replace(vertices=vertices).digest() != digest
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file) | {"vertices": vertices}
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(ValueError, match="damaged"):
        load(tmp_path / "b.npz")


DRAWN_MOUTHS = [mouth for mouth in facepaint.MOUTHS if mouth not in ("none", "small")]


@pytest.mark.parametrize(("eyes", "mouth"), [(e, DRAWN_MOUTHS[k % 10]) for k, e in enumerate(facepaint.EYES)])
def test_a_painted_face_lies_where_its_truth_says(doll, eyes, mouth):
    style = facepaint.Style(eyes=eyes, mouth=mouth, width=0.25, height=0.25, brows="none", skin=(240, 205, 180))
    face = repaint(doll, style, default_layout(doll))
    scale = 1200
    ids, _, weights = rasterise(face.vertices, face.triangles, (0, 1.57), scale, (360, 300))
    seen = np.abs(colours(face, ids, weights).astype(int) - [240, 205, 180]).max(-1) > 40
    seen &= face.parts[ids] == PART["face"]
    for feature in (face.face.left_eye, face.face.mouth):
        x = feature.centre[0] * scale + 150
        y = (1.57 - feature.centre[1]) * scale + 180
        near = seen[int(y) - 36 : int(y) + 37, int(x) - 50 : int(x) + 51]
        rows, columns = np.nonzero(near)
        # Half a millimetre is 0.6 pixels; shadow about an almond eye counts as skin.
        assert (columns.min() + columns.max()) / 2 - 50 == pytest.approx(x - int(x), abs=2.5)
        assert np.ptp(columns) / 2 == pytest.approx(feature.half_width * scale, abs=3)
        assert np.ptp(rows) / 2 == pytest.approx(feature.half_height * scale, abs=3.5)


def test_every_accessory_fits_a_plain_body_and_the_seed_decides(painted):
    for name, put in accessories.ACCESSORIES.items():
        out = put(painted, np.random.default_rng(5))
        assert out.digest() == put(painted, np.random.default_rng(5)).digest(), name
        assert out.digest() != painted.digest(), name
        assert np.isfinite(out.vertices).all() and out.triangles.max() < len(out.vertices), name
        np.testing.assert_allclose(out.joint_weights.sum(1), 1, atol=1e-4)
        assert len(out.parts) == len(out.triangles) == len(out.corner_uvs) == len(out.materials), name


def test_a_mask_hides_the_mouth_and_glasses_do_not_hide_the_eyes(painted):
    states = set()
    for seed in range(6):
        out = accessories.put_on(painted, np.random.default_rng(seed), ["mask"])
        states.add(out.face.mouth.state)
    assert states == {"hidden"}
    clear = [accessories.put_on(painted, np.random.default_rng(s), ["glasses"]) for s in range(8)]
    assert {c.face.left_eye.state for c in clear} == {"drawn", "hidden"}
    for c in clear:
        assert (c.face.left_eye.state == "hidden") == ("Lenses" in c.material_names)


def test_held_things_move_with_the_hand_and_are_props(painted):
    from training.characters.props import HELD, held

    for kind in HELD:
        out = held(painted, np.random.default_rng(1), kind, "left")
        added = out.parts[len(painted.parts) :]
        assert (added == PART["prop"]).all()
        hand = out.joint("leftHand")
        assert (out.joint_indices[len(painted.vertices) :, 0] == hand).all()
        corners = out.vertices[out.triangles[len(painted.triangles) :]]
        start, along = corners, np.roll(corners, -1, axis=1) - corners
        share = ((out.joints[hand] - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)
        nearest = start + np.clip(share, 0, 1)[..., None] * along
        assert np.linalg.norm(nearest - out.joints[hand], axis=-1).min() < 0.2, kind


def test_a_chibi_has_a_big_head_and_its_face_goes_along(painted):
    small = reshape(painted, Proportions(head=2, leg_length=0.5))
    grown = small.face.head_top[1] - small.face.chin[1]
    assert grown == pytest.approx(2 * (painted.face.head_top[1] - painted.face.chin[1]), rel=1e-3)
    assert small.face.left_eye.half_width == pytest.approx(2 * painted.face.left_eye.half_width)
    assert small.vertices[:, 1].min() == pytest.approx(0, abs=1e-5)
    assert np.ptp(small.vertices[:, 1]) < np.ptp(painted.vertices[:, 1])
    at = small.parts == PART["face"]
    head = small.vertices[small.triangles[at]].reshape(-1, 3)
    assert np.linalg.norm(head - small.face.left_eye.centre, axis=1).min() < 0.03


def test_the_measured_size_of_a_drawn_eye_is_its_true_size(painted):
    bare = dataclasses.replace(
        painted.face,
        left_eye=dataclasses.replace(painted.face.left_eye, half_width=np.nan, half_height=np.nan),
        right_eye=dataclasses.replace(painted.face.right_eye, half_width=np.nan, half_height=np.nan),
    )
    measured = measure_face(painted.replace(face=bare))
    assert measured.left_eye.half_width == pytest.approx(painted.face.left_eye.half_width, rel=0.15)
    assert measured.left_eye.half_height == pytest.approx(painted.face.left_eye.half_height, rel=0.15)
    assert measured.head_top[1] == pytest.approx(1.75, abs=0.01)


def test_what_is_not_covered_stays_drawn_and_a_held_thing_covers_nothing(painted):
    assert hide_covered(painted).face == painted.face
    front = painted.face.mouth.centre + [0, 0, 0.2]
    mesh = ellipsoid(front, (0.2, 0.2, 0.01))
    for part, state in (("prop", "drawn"), ("headgear", "hidden")):
        before = attach(painted, mesh, part, rigid(len(mesh[0]), 0), np.array([0.0, 0, 0]), "Disc")
        assert hide_covered(before).face.mouth.state == state


def test_clothes_end_in_a_straight_line(painted):
    from training.characters.cut import cut

    field = painted.vertices[:, 1].astype(float)
    out = cut(painted, field, 1.1, painted.parts == PART["torso"])
    torso = out.vertices[out.triangles[out.parts == PART["torso"]]][..., 1]
    assert not ((torso.min(1) < 1.1 - 1e-5) & (torso.max(1) > 1.1 + 1e-5)).any()
    assert len(out.triangles) > len(painted.triangles)
    np.testing.assert_allclose(out.joint_weights.sum(1), 1, atol=1e-5)

    def area(character):
        a, b, c = (character.vertices[character.triangles[:, k]].astype(float) for k in range(3))
        return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()

    assert area(out) == pytest.approx(area(painted), rel=1e-5)


def test_things_are_of_many_kinds_and_none_is_a_humanoid():
    from training.characters.things import KINDS, make_thing, picture

    assert len(KINDS) >= 36
    seen = set()
    for kind in KINDS:
        thing = make_thing(kind, 1)
        assert thing.joint_names == ("root",) and set(thing.parts) == {PART["prop"]}, kind
        assert 0.3 < np.ptp(thing.vertices, axis=0).max() < 6, kind
        seen.add(thing.digest())
    assert len(seen) == len(KINDS)
    image = np.asarray(picture(make_thing("teapot", 1), 3, 64))
    assert image.std((0, 1)).max() > 15
    assert np.array_equal(image, np.asarray(picture(make_thing("teapot", 1), 3, 64)))


def test_a_drawn_figure_mirrored_keeps_its_left_on_its_left():
    from training.characters.drawn import make_drawing

    for seed in (2, 3):
        found = make_drawing(seed)
        assert found.points["leftUpperArm"][0] > found.points["rightUpperArm"][0]
        assert found.features["left_eye"][0] > found.features["right_eye"][0]
        assert found.points["headTop"][1] < found.points["mouth"][1] < found.points["chin"][1]
        x, y = (round(v) for v in found.points["hips"])
        assert found.image[y, x, 3] == 255


@needs_anny
def test_a_formula_character_is_whole_and_its_seed_decides():
    from training.characters.formula import make_character

    one = make_character(3)
    assert one.digest() == make_character(3).digest()
    assert set(BONES) <= set(one.joint_names)
    assert len(one.triangles) < 80_000
    shown = set(np.unique(one.parts))
    assert {PART["torso"], PART["leftUpperArm"], PART["rightThigh"]} <= shown


def test_one_seed_dresses_every_character_differently(painted):
    from training.characters.make import dressed

    worn = [dressed(painted.replace(meta={"name": name}), 7).meta["worn"] for name in "abcdefgh"]
    assert len({tuple(names) for names in worn}) > 4


def test_an_interrupted_folder_goes_on_where_it_was(painted, tmp_path):
    from training.characters.make import make

    made = []

    def build(stem: str):
        def run() -> Character:
            made.append(stem)
            return painted.replace(meta={"name": stem})

        return run

    wanted = {stem: build(stem) for stem in ("a", "b")}
    make(tmp_path, wanted, say=lambda _: None)
    (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:500])
    make(tmp_path, wanted, say=lambda _: None)
    assert made == ["a", "b", "b"]
    entries = json.loads((tmp_path / "index.json").read_text())["characters"]
    assert [entry["digest"] for entry in entries] == [painted.digest()] * 2
