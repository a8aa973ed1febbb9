"""One picture to a figure, its joints and plain sentences. All people are drawn here; their joints are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from backend.errors import BackendError
from backend.image import load
from backend.image.analysis import analyse
from backend.image.face import locate_face
from backend.image.silhouette import JOINTS
from tests.unit.people import ADULT, CAPE, CHIBI, SKIRT, T_POSE, TURNED, busy, picture

HANGING = replace(ADULT, arm=86.0)


def save(tmp_path, image, name="picture.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def mean_error(analysis, joints, person):
    """% of the height"""
    found = analysis.to_result()["joints"]
    return 100 * np.mean([np.hypot(*np.subtract(found[name], joints[name])) for name in JOINTS]) / person.height


def codes(analysis):
    return [warning["code"] for warning in analysis.warnings]


def is_one_sentence(text):
    return text[0].isupper() and text.endswith(".") and ". " not in text and "\n" not in text


@pytest.mark.parametrize(
    ("person", "most"),
    [(ADULT, 3), (T_POSE, 3), (replace(ADULT, arm=60.0), 3), (CHIBI, 3), (TURNED, 3), (SKIRT, 4), (CAPE, 4)],
    ids=["adult", "T-pose", "arms low", "chibi", "three-quarter", "skirt", "cape"],
)
def test_joints_of_people_of_all_kinds(tmp_path, person, most):
    image, (joints,) = picture(person)
    analysis = analyse(save(tmp_path, image))
    assert mean_error(analysis, joints, person) <= most
    assert analysis.joints["leftHand"][0] > analysis.joints["rightHand"][0]
    assert ("legs" in codes(analysis)) == (person.skirt or person.cape)


@pytest.mark.parametrize("background", ["#ffffff", "#b9dcc0", "#303848"])
def test_the_figure_stands_out_from_a_plain_background(tmp_path, background):
    image, (joints,) = picture(ADULT, background=background)
    cut_out = np.asarray(picture(ADULT)[0])[..., 3] > 127
    analysis = analyse(save(tmp_path, image, "picture.jpg", quality=90))
    assert (analysis.mask & cut_out).sum() / (analysis.mask | cut_out).sum() > 0.97
    assert mean_error(analysis, joints, ADULT) <= 3


def test_a_picture_turned_by_its_exif_orientation(tmp_path):
    image, (joints,) = picture(ADULT, background="#dddddd")
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture is stored on its left side
    path = save(tmp_path, image.transpose(Image.Transpose.ROTATE_90), "turned.jpg", exif=exif, quality=92)
    analysis = analyse(path)
    assert analysis.to_result()["size"] == list(image.size)
    assert mean_error(analysis, joints, ADULT) <= 3


@pytest.mark.parametrize("degrees", [-7, 6])
@pytest.mark.parametrize("person", [T_POSE, CHIBI], ids=["T-pose", "chibi"])
def test_a_figure_that_leans_is_read_as_it_stands(tmp_path, person, degrees):
    image, (joints,) = picture(person)
    turned = image.rotate(degrees, Image.Resampling.BICUBIC)
    angle, middle = np.radians(-degrees), (np.array(image.size) - 1) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = {name: turn @ (np.array(point) - middle) + middle for name, point in joints.items()}
    assert mean_error(analyse(save(tmp_path, turned)), moved, person) <= 3.5


def test_positions_are_those_of_a_large_original(tmp_path):
    person = replace(ADULT, height=1900)
    image, (joints,) = picture(person, size=(2200, 2000))
    analysis = analyse(save(tmp_path, image))
    assert analysis.mask.any(axis=1).sum() <= 1024
    assert mean_error(analysis, joints, person) <= 3


def test_the_analysis_goes_through_the_pipe_as_json(tmp_path):
    analysis = analyse(save(tmp_path, picture(ADULT)[0]))
    again = json.loads(json.dumps(analysis.to_result(), allow_nan=False))
    assert again["joints"].keys() == {*JOINTS, "headTop"} and again["face"].keys() == {
        "leftEye",
        "rightEye",
        "mouth",
        "confidence",
    }
    assert again == analyse(tmp_path / "picture.png").to_result()


def test_forearms_that_the_drawing_does_not_join(tmp_path):
    image, (joints,) = picture(ADULT)
    pixels = np.array(image)
    for side in ("left", "right"):
        elbow, hand = np.array(joints[side + "LowerArm"]), np.array(joints[side + "Hand"])
        along = (hand - elbow) / np.linalg.norm(hand - elbow)
        y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
        across = (x - elbow[0]) * along[0] + (y - elbow[1]) * along[1]
        beyond = np.abs(x - joints["hips"][0]) > 70
        pixels[(across > 8) & (across < 26) & beyond & (y < joints["hips"][1])] = 0
    analysis = analyse(save(tmp_path, Image.fromarray(pixels)))
    assert mean_error(analysis, joints, ADULT) <= 3
    bridge = analysis.mask & (pixels[..., 3] == 0)
    assert bridge.sum() > 400
    assert (
        np.abs(analysis.rgba[bridge][:, :3].astype(int) - [0x3B, 0x6E, 0xA8]).max(axis=1).mean() < 12
    )  # the sleeve's colour


def refuse(path, markers=None):
    with pytest.raises(BackendError) as caught:
        analyse(path, markers)
    error = caught.value
    assert is_one_sentence(error.message) and is_one_sentence(error.hint), (error.message, error.hint)
    return error


def test_refusals_of_poses_and_framing(tmp_path):
    for width in (1400, 2100):  # hand in hand, and apart
        two, _ = picture(ADULT, ADULT, size=(width, 800))
        assert refuse(save(tmp_path, two)).code == "several"
    cropped, _ = picture(ADULT, places=((450, 200),))
    error = refuse(save(tmp_path, cropped))
    assert error.code == "cropped" and "bottom" in error.message
    error = refuse(save(tmp_path, picture(ADULT, places=((150, 50),))[0]))
    assert error.code == "cropped" and "left" in error.message


def test_a_trimmed_picture_is_no_cut_off_figure(tmp_path):
    whole, _ = picture(ADULT)
    box = whole.getbbox()
    trimmed = whole.crop(box)
    analyse(save(tmp_path, trimmed))
    through_the_forearms = (box[2] - box[0]) // 2 - 220
    for side, cut in (
        ("left", (through_the_forearms, 0, *trimmed.size)),
        ("right", (0, 0, trimmed.width - through_the_forearms, trimmed.height)),
    ):
        error = refuse(save(tmp_path, trimmed.crop(cut)))
        assert error.code == "cropped" and side in error.message


def test_hanging_arms_are_read(tmp_path):
    image, (joints,) = picture(HANGING)
    assert mean_error(analyse(save(tmp_path, image)), joints, HANGING) <= 6


def test_a_busy_background_is_taken_away(tmp_path):
    alone, (joints,) = picture(ADULT)
    image, _ = picture(ADULT, background=busy((900, 800)))
    analysis = analyse(save(tmp_path, image))
    truth = np.asarray(alone)[..., 3] > 127
    assert analysis.mask.shape == truth.shape
    assert (analysis.mask & truth).sum() / (analysis.mask | truth).sum() > 0.6
    assert mean_error(analysis, joints, ADULT) <= 8


def test_refusals_of_sizes(tmp_path):
    small, _ = picture(replace(ADULT, height=200), size=(300, 240))
    error = refuse(save(tmp_path, small))
    assert error.code == "too_small" and "20" in error.message and "256" in error.message


def test_things_are_not_people(tmp_path):
    crate = Image.new("RGBA", (800, 800))
    crate.paste("#8a5a2b", (200, 250, 600, 700))
    assert refuse(save(tmp_path, crate)).code == "not_humanoid"
    assert refuse(save(tmp_path, Image.new("RGB", (800, 800), "#ffffff"))).code == "not_humanoid"


def test_files_that_are_no_pictures(tmp_path):
    (tmp_path / "text.png").write_text("This is not a picture.\n" * 50)
    (tmp_path / "empty.png").write_bytes(b"")
    whole = save(tmp_path, picture(ADULT)[0], "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    for name in ("text.png", "empty.png", "half.png", "missing.png"):
        error = refuse(tmp_path / name)
        assert error.code == "unreadable" and name in error.message


def test_one_joint_by_hand_moves_that_joint_alone(tmp_path):
    path = save(tmp_path, picture(ADULT)[0])
    before = analyse(path).to_result()["joints"]
    result = analyse(path, {"joints": {"leftHand": [700.0, 300.0]}}).to_result()
    after, sure = result["joints"], result["joint_confidence"]
    assert set(sure) == set(JOINTS) and sure["leftHand"] == 1.0 and all(0 <= chance <= 1 for chance in sure.values())
    assert after.pop("leftHand") == [700.0, 300.0]
    assert all(before[name] == point for name, point in after.items())


def test_all_joints_by_hand_are_the_way_out_of_a_refusal(tmp_path):
    image, (joints, _) = picture(ADULT, ADULT, size=(2100, 800))
    path = save(tmp_path, image)
    given = {name: list(joints[name]) for name in JOINTS}
    analysis = analyse(path, {"joints": given})
    assert mean_error(analysis, joints, ADULT) < 0.01
    assert codes(analysis)[0] == "several"
    given.pop("head")
    assert refuse(path, {"joints": given}).code == "several"


def test_markers_that_make_no_sense(tmp_path):
    path = save(tmp_path, picture(ADULT)[0])
    for joints in ({"tail": [1, 2]}, {"head": [1]}, {"head": [float("nan"), 1]}, {"head": [5000, 5]}):
        assert refuse(path, {"joints": joints}).code == "bad_markers"


def test_eyes_have_their_size_where_a_helmet_begins_below_them():
    """Half an eye distance below them it is not the skin that is seen."""
    image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse([80, 40, 320, 340], fill="#8f9a9c")
    pen.ellipse([115, 150, 285, 232], fill="#e8b48c")
    for x in (160, 240):
        pen.ellipse([x - 10, 178, x + 10, 206], fill="#202020")
    rgba = np.array(image)
    joints = {"neck": (200.0, 345.0), "head": (200.0, 330.0), "headTop": (200.0, 40.0)}
    eye = locate_face(rgba, rgba[..., 3] > 0, joints)["leftEye"]
    assert np.hypot(eye["center"][0] - 240, eye["center"][1] - 192) < 4
    assert 8 < eye["half_width"] < 13 and 11 < eye["half_height"] < 17


def test_clothes_of_the_backgrounds_colour_are_told(tmp_path):
    person = replace(ADULT, colours=("#e8b48c", "#e4e6ea", "#5a3a2a"))
    image, _ = picture(person, background="#eef0f4")
    try:
        analysis = analyse(save(tmp_path, image))
    except BackendError as error:
        assert error.code in ("arms", "not_humanoid", "background")
    else:
        assert "contrast" in codes(analysis)


def test_a_decoder_that_takes_gigabytes_gets_less(tmp_path, monkeypatch):
    """A JPEG 2000 file is read at a half where it has one; nothing smaller is in it, or in a WebP picture."""
    monkeypatch.setattr(load, "MOST_OF", dict.fromkeys(load.MOST_OF, 600 * 800))
    image = Image.linear_gradient("L").resize((601, 800)).convert("RGB")
    image.save(tmp_path / "half.jp2")
    image.save(tmp_path / "whole.jp2", num_resolutions=1)
    image.save(tmp_path / "whole.webp")
    half = load.load_picture(tmp_path / "half.jp2")
    assert half.size == (601, 800) and half.rgba.shape == (400, 301, 4)
    assert abs(int(half.rgba[200, 150, 0]) - image.getpixel((300, 400))[0]) < 4
    for name, kind in (("whole.jp2", "JPEG 2000"), ("whole.webp", "WebP")):
        with pytest.raises(BackendError, match=f"The {kind} picture has over 0 million pixels") as caught:
            load.load_picture(tmp_path / name)
        assert caught.value.code == "too_large"
    image.crop((0, 0, 600, 800)).save(tmp_path / "enough.webp")
    assert load.load_picture(tmp_path / "enough.webp").rgba.shape == (800, 600, 4)
