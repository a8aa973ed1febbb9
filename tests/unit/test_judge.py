"""Whose points are taken where the rules and the learned reader say different things."""

from dataclasses import replace

import numpy as np
import pytest

from backend.image import judge
from backend.image.mask import Figure
from backend.image.refusals import runs_out
from backend.image.silhouette import JOINTS, SilhouetteJoints
from backend.reader import PARTS, FacePart, Joint, Reading

HEIGHT = 1000.0  # of the figure, pixels
HEAD = 200.0
NAMES = (*JOINTS, "headTop", "chin")


def reading(confidence=0.9, none=0.0, **moved):
    """All joints at (500, 500) but for the head's ends and those `moved` by pixels to the right."""
    joints = {name: Joint(500.0 + moved.get(name, 0.0), 500.0, 0.0, confidence) for name in NAMES}
    joints["headTop"], joints["chin"] = (joints["headTop"]._replace(y=y) for y in (100.0, 100.0 + HEAD))
    face = {name: FacePart(500.0, 200.0, 20.0, 10.0, "drawn", 0.7) for name in ("leftEye", "rightEye", "mouth")}
    empty = np.zeros((10, 10), np.float32)
    humanoids = {"none": none, "one": 1 - none, "several": 0.0}
    return Reading(joints, face, empty.astype(np.uint8), empty, empty, empty, 0.0, humanoids, (0.0, 0.0, 10.0, 10.0))


def rules(humanoid=True):
    points = dict.fromkeys(JOINTS, (500.0, 500.0)) | {"headTop": (500.0, 100.0)}
    return SilhouetteJoints(points, {"leftArm": 0.8, "rightArm": 0.8}, [], humanoid)


def test_a_limb_comes_from_one_source_as_a_whole():
    found = judge.joints_of(rules(), reading(leftHand=200.0, leftUpperArm=5.0, rightHand=20.0), 1.0, HEIGHT)
    assert found["leftHand"] == (700.0, 500.0) and found["leftUpperArm"] == (505.0, 500.0)
    assert found["rightHand"] == (500.0, 500.0)


def test_a_limb_that_the_reader_has_not_found_comes_from_the_rules():
    found = judge.joints_of(rules(), reading(0.2, leftHand=200.0), 1.0, HEIGHT)
    assert found["leftHand"] == (500.0, 500.0)
    sure = judge.joint_confidence(found, rules(), reading(0.2, leftHand=200.0), 1.0, HEIGHT)
    assert sure["leftHand"] == 0.2 and sure["rightHand"] == 0.6


def test_an_unsure_head_top_is_the_readers_all_the_same():
    """As under a hat or behind ears: what counts for it is a share of the head, so that none is ever sure."""
    found = judge.joints_of(rules(), reading(0.2, headTop=60.0), 1.0, HEIGHT)
    assert found["headTop"] == (500.0, 100.0)
    read = reading(0.5, headTop=60.0)
    read.joints["headTop"] = read.joints["headTop"]._replace(confidence=0.2)
    assert judge.joints_of(rules(), read, 1.0, HEIGHT)["headTop"] == (560.0, 100.0)


@pytest.mark.parametrize(("shoulder", "taken"), [(0.8, "reader"), (0.4, "rules")])
def test_a_limb_whose_end_alone_is_lost_starts_where_the_reader_sees_it(shoulder, taken):
    read = reading(0.6, leftUpperArm=150.0)
    read.joints["leftUpperArm"] = read.joints["leftUpperArm"]._replace(confidence=shoulder)
    read.joints["leftHand"] = read.joints["leftHand"]._replace(confidence=0.1)
    found = judge.joints_of(rules(), read, 1.0, HEIGHT)
    assert found["leftUpperArm"] == ((650.0, 500.0) if taken == "reader" else (500.0, 500.0))


def test_without_a_person_in_the_silhouette_the_reader_is_asked_alone():
    read = reading(0.5, leftHand=200.0)
    assert judge.joints_of(rules(False), read, 1.0, HEIGHT)["leftHand"] == (700.0, 500.0)


@pytest.mark.parametrize("humanoid", [True, False])
def test_where_the_reader_is_lost_the_joints_are_the_outlines(humanoid):
    outline = rules(humanoid)
    outline.joints |= {"leftHand": (640.0, 560.0), "neck": (500.0, 320.0)}
    heap = reading(0.3)
    found = judge.joints_of(outline, heap, 1.0, HEIGHT)
    assert found["leftHand"] == (640.0, 560.0) and found["neck"] == (500.0, 320.0)
    assert judge.joint_confidence(found, outline, heap, 1.0, HEIGHT)["leftHand"] <= judge.LOST


@pytest.mark.parametrize(("apart", "taken"), [(0.03, "rules"), (0.05, "reader")])
def test_a_face_further_off_than_the_eye_can_be_is_the_readers(apart, taken):
    place = [500.0 + apart * HEAD, 200.0]
    eye = {"center": place, "half_width": 1.0, "half_height": 1.0}
    given = {"leftEye": eye, "rightEye": eye, "mouth": {"center": [500.0, 200.0], "width": 3.0}}
    face = judge.face_of(given | {"confidence": {"eyes": 0.9, "mouth": 0.1}}, reading(), 1.0)
    assert face["leftEye"]["center"] == (place if taken == "rules" else [500.0, 200.0])
    doubted = pytest.approx(0.462, abs=0.001)  # of the reader's 0.7, where a warning depends on it
    assert face["confidence"] == {"eyes": 0.9 if taken == "rules" else doubted, "mouth": doubted}


@pytest.mark.parametrize(("off", "sure", "moved"), [(0.8, 0.2, True), (0.2, 0.2, False), (0.8, 0.9, False)])
def test_an_unsure_mouth_beside_the_eyes_is_moved_between_them(off, sure, moved):
    places = {
        "leftEye": (550.0, 200.0, 0.7),
        "rightEye": (450.0, 200.0, 0.7),
        "mouth": (500.0 + 100 * off, 260.0, sure),
    }
    read = replace(reading(), face={n: FacePart(x, y, 20.0, 10.0, "drawn", c) for n, (x, y, c) in places.items()})
    far = {"center": [0.0, 0.0]}
    given = {"leftEye": far, "rightEye": far, "mouth": far, "confidence": {"eyes": 0.0, "mouth": 0.0}}
    face = judge.face_of(given, read, 1.0)
    assert face["mouth"]["center"] == pytest.approx([500.0 if moved else 500.0 + 100 * off, 260.0])


@pytest.mark.parametrize(("feet", "gap", "cropped"), [(True, 1, False), (False, 1, True), (False, 8, False)])
def test_a_figure_that_ends_above_the_lower_edge_without_feet_is_cut_off(feet, gap, cropped):
    mask = np.zeros((200, 100), np.float32)
    mask[20 : 200 - gap, 40:60] = 1
    parts = np.where(mask > 0, PARTS.index("cloth"), 0).astype(np.uint8)
    parts[190 - gap :, 40:60] = PARTS.index("leftFoot" if feet else "cloth")
    joints = {name: joint._replace(x=50.0, y=100.0) for name, joint in reading().joints.items()}
    read = replace(reading(), mask=mask, parts=parts, joints=joints)
    found = judge.refusal(judge.figure_of(read, read.mask.shape), rules(), read, 1.0)
    assert (found is not None and found.code == "cropped") == cropped


@pytest.mark.parametrize(("confidence", "none", "refused"), [(0.2, 0.3, True), (0.5, 0.3, False), (0.2, 0.05, False)])
def test_joints_that_were_not_found_speak_against_a_humanoid(confidence, none, refused):
    mask = np.zeros((10, 10), bool)
    mask[2:8, 2:8] = True
    figure = Figure(mask, mask.astype(np.uint8) * 255, dict.fromkeys(("top", "bottom", "left", "right"), 0))
    error = judge.refusal(figure, rules(), reading(confidence, none), 1.0)
    assert (error is not None and error.code == "not_humanoid") == refused


@pytest.mark.parametrize(("part", "code"), [("cloth", "not_humanoid"), ("leftThigh", None)])
def test_something_without_arms_and_legs_is_no_humanoid(part, code):
    """As a tower, however sure the reader is of the joints in it."""
    mask = np.zeros((200, 100), np.float32)
    mask[20:180, 40:60] = 1
    parts = np.where(mask > 0, PARTS.index("torso"), 0).astype(np.uint8)
    parts[100:180, 40:60] = PARTS.index(part)
    read = replace(reading(), mask=mask, parts=parts)
    error = judge.refusal(judge.figure_of(read, mask.shape), rules(), read, 1.0)
    assert (error and error.code) == code


@pytest.mark.parametrize(("one", "humanoid", "refused"), [(0.4, False, True), (0.4, True, False), (0.75, False, False)])
def test_what_is_not_clearly_one_humanoid_needs_the_outline_of_one(one, humanoid, refused):
    """As a dragon, in which the reader sees one and a half."""
    mask = np.zeros((200, 100), np.float32)
    mask[20:180, 40:60] = 1
    parts = np.where(mask > 0, PARTS.index("leftThigh"), 0).astype(np.uint8)
    read = replace(reading(), mask=mask, parts=parts, humanoids={"none": 0.05, "one": one, "several": 0.95 - one})
    error = judge.refusal(judge.figure_of(read, mask.shape), rules(humanoid), read, 1.0)
    assert (error is not None and error.code == "not_humanoid") == refused


@pytest.mark.parametrize(
    ("part", "cut"), [("leftForearm", True), ("torso", True), ("leftHand", False), ("prop", False)]
)
def test_only_what_a_body_goes_on_beyond_runs_out(part, cut):
    mask = np.zeros((200, 200), bool)
    mask[10:190, 80:120] = mask[60:80, 80:] = True
    parts = np.where(mask, PARTS.index(part), 0).astype(np.uint8)
    assert runs_out(mask, parts) == ["right"] * cut
    rounded = mask.copy()
    rounded[:, -6:] &= np.abs(np.arange(200) - 70)[:, None] <= np.arange(6, 0, -1)[None] // 2
    assert runs_out(rounded, parts) == []
    assert runs_out(np.ascontiguousarray(mask[:, ::-1]), parts[:, ::-1]) == ["left"] * cut


def faces(left, right, mouth):
    sure = {"leftEye": left, "rightEye": right, "mouth": mouth}
    return {name: FacePart(500.0, 200.0, 20.0, 10.0, "drawn", value) for name, value in sure.items()}


@pytest.mark.parametrize(
    ("yaw", "face", "outline", "refused"),
    [
        (175.0, (0.1, 0.1, 0.0), True, True),  # a back has the outline of a front
        (-150.0, (0.1, 0.1, 0.0), False, True),
        (175.0, (0.6, 0.6, 0.6), True, False),  # a face is seen, so the yaw is wrong
        (90.0, (0.2, 0.5, 0.05), False, True),  # in profile one eye is
        (90.0, (0.2, 0.5, 0.3), False, False),
        (90.0, (0.2, 0.5, 0.05), True, False),
        (45.0, (0.1, 0.1, 0.0), False, False),
    ],
)
def test_a_figure_from_behind_or_from_the_side_is_refused(yaw, face, outline, refused):
    mask = np.zeros((1200, 1000), bool)
    mask[100:1100, 300:700] = True
    figure = Figure(mask, mask.astype(np.uint8) * 255, dict.fromkeys(("top", "bottom", "left", "right"), 0))
    limb = np.zeros((12, 10), np.uint8)
    limb[1:11, 3:7] = np.arange(4) + PARTS.index("leftUpperArm")
    read = replace(reading(), yaw=yaw, face=faces(*face), parts=limb)
    found = judge.refusal(figure, rules(outline), read, 1.0)
    assert (found is not None and found.code == "view") == refused, found


@pytest.mark.parametrize(("outline", "hand", "flags", "shoulder", "taken"), [
    (1.0, 0.45, [], 60.0, "outline"),  # before a cape
    (1.0, 0.8, [], 60.0, "reader"),
    (0.8, 0.45, [], 60.0, "reader"),
    (1.0, 0.45, ["no_neck"], 60.0, "reader"),
    (1.0, 0.45, [], 150.0, "reader"),  # a skirt's hem
])  # fmt: skip
def test_where_an_arm_ends_the_outline_says_that_shows_it(outline, hand, flags, shoulder, taken):
    found = replace(rules(), confidence={"leftArm": outline, "rightArm": outline}, flags=flags)
    read = reading(0.9, leftUpperArm=shoulder, leftHand=300.0)
    read.joints["leftHand"] = read.joints["leftHand"]._replace(confidence=hand)
    joints = judge.joints_of(found, read, 1.0, HEIGHT)
    assert joints["leftUpperArm"] == (500.0 + shoulder, 500.0)
    assert joints["leftHand"] == ((500.0, 500.0) if taken == "outline" else (800.0, 500.0))


def test_a_figure_that_is_turned_far_is_told():
    told = {yaw: bool(judge.view_remarks(replace(reading(), yaw=yaw))) for yaw in (0.0, 45.0, -60.0, 90.0, 180.0)}
    assert told == {0.0: False, 45.0: False, -60.0: True, 90.0: True, 180.0: False}
