"""The learned reader finds joints and face in pictures that it was never trained on, whatever the picture."""

import dataclasses
import math

import numpy as np
import pytest

from backend.errors import BackendError
from backend.image.load import load_picture
from backend.reader import FACE, JOINTS, PARTS, read
from tools.characters.character import draw
from tools.characters.figure import Look
from tools.characters.make_sample import COMPANION

CHILD = Look("child", height=1200, head=0.275, hair="short", face="anime", outfit="shirt", arm_angle=38)
ADULT = Look(
    "adult", width=1250, head=0.20, hair="short", face="real", outfit="coat", arm_angle=36, background="#b9dcc0"
)


def drawn(look):
    image, truth = draw(look)
    return np.asarray(image), truth


@pytest.mark.parametrize("look", [COMPANION, CHILD, ADULT], ids=lambda look: look.name)
def test_joints_and_face_of_a_drawn_character(look):
    pixels, truth = drawn(look)
    found = read(pixels)
    assert set(found.joints) == {*JOINTS, "headTop", "chin"}
    assert set(found.face) == set(FACE)
    off = {name: math.dist(found.joints[name][:2], truth["joints2d"][name]) for name in JOINTS if name != "head"}
    near = [name for name, error in off.items() if error < 0.06 * truth["px_height"]]
    assert len(near) >= 12, {name: round(error / truth["px_height"], 3) for name, error in off.items()}
    for name in FACE:
        error = math.dist(found.face[name][:2], truth["face"][name]["center"])
        assert error < 0.08 * truth["head_height"], name
    assert found.humanoids["one"] > 0.5
    assert abs(found.yaw) < 25


def test_the_characters_left_is_on_the_right_of_a_front_picture():
    found = read(drawn(COMPANION)[0])
    for bone in ("UpperArm", "Hand", "UpperLeg", "Foot"):
        assert found.joints["left" + bone].x > found.joints["right" + bone].x
    labels = np.isin(found.parts, [PARTS.index("leftForearm"), PARTS.index("leftHand")])
    assert np.nonzero(labels)[1].mean() > found.joints["neck"].x


def test_a_mirrored_picture_swaps_the_sides():
    pixels, _ = drawn(COMPANION)
    found, other = read(pixels), read(np.ascontiguousarray(pixels[:, ::-1]))
    width = pixels.shape[1]
    for name, opposite in (("leftHand", "rightHand"), ("rightFoot", "leftFoot")):
        assert found.joints[name].x == pytest.approx(width - other.joints[opposite].x, abs=0.01 * width)


def test_the_figure_stands_out_from_a_busy_background():
    pixels, _ = drawn(dataclasses.replace(COMPANION, background="none"))
    random = np.random.default_rng(3)
    cells = random.integers(60, 200, (12, 9, 3))
    busy = np.kron(cells, np.ones((math.ceil(pixels.shape[0] / 12), math.ceil(pixels.shape[1] / 9), 1)))
    busy = busy[: pixels.shape[0], : pixels.shape[1]]
    alpha = pixels[..., 3:] / 255
    flat = np.round(pixels[..., :3] * alpha + busy * (1 - alpha)).astype(np.uint8)
    shown, truth = read(flat).mask > 0.5, pixels[..., 3] > 127
    assert (shown & truth).sum() / (shown | truth).sum() > 0.75


def test_the_same_picture_gives_the_same_reading():
    pixels, _ = drawn(CHILD)
    one, two = read(pixels), read(pixels.copy())
    assert one.joints == two.joints
    assert one.face == two.face
    assert np.array_equal(one.parts, two.parts)
    assert np.array_equal(one.front, two.front, equal_nan=True)


@pytest.mark.parametrize("shape", [(64, 64), (1, 5000), (5000, 1), (1, 1)], ids=str)
@pytest.mark.parametrize("channels", [3, 4])
def test_a_picture_of_nothing_is_read_as_nothing(shape, channels):
    found = read(np.zeros((*shape, channels), np.uint8))
    assert found.parts.shape == found.mask.shape == found.front.shape == shape
    assert all(math.isfinite(value) for joint in found.joints.values() for value in joint)
    assert found.humanoids["one"] < 0.5


def test_depth_is_given_for_the_figure_alone():
    found = read(drawn(ADULT)[0])
    shown = found.mask > 0.5
    assert np.isfinite(found.front[shown]).all()
    assert np.isnan(found.front[~shown]).all()
    assert (found.front[shown] >= found.back[shown]).mean() > 0.95


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_other_arrays_are_refused(array):
    with pytest.raises(ValueError, match="uint8"):
        read(array)


HOSTILE = {
    "empty.png": b"",
    "text.png": b"hello" * 50,
    "cut.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x06\x00\x00\x00",
    "huge.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x7f\xff\xff\xff" * 2 + b"\x08\x06" + bytes(7),
    "cut.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xdb",
    "cut.gif": b"GIF89a\xff\xff\xff\xff\x80\x00\x00",
    "cut.bmp": b"BM" + bytes(8) + b"\x36\x00\x00\x00\x28\x00\x00\x00" + b"\xff\xff\xff\x7f" * 2 + b"\x01\x00\x20\x00",
    "cut.webp": b"RIFF\x00\x01\x00\x00WEBPVP8L\xff\xff\xff\x7f\x2f",
    "zeros.tga": bytes(64),
    "cut.tif": b"II*\x00\xff\xff\xff\xff",
    "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(a) run\n",
    "page.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/hostname'/></svg>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_loader_keeps_hostile_files_from_the_reader(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(HOSTILE[name])
    with pytest.raises(BackendError) as error:
        load_picture(path)
    assert error.value.code in ("unreadable", "too_large")
