"""Markers on the picture's plane: there and back, usual places, mirroring, what the backend gets."""

import numpy as np
import pytest

from avatar_addon.picture.plane import (
    FACE,
    JOINTS,
    LABELS,
    LINES,
    Plane,
    axis_of,
    mirrored,
    other_side,
    pre_filled,
    sizes,
    to_markers,
    unsure,
    usual_markers,
)

PLANE = Plane((1100, 1536), 520.0)


def test_there_and_back_and_never_outside():
    for point in ([0, 0], [1100, 1536], [520, 1000]):
        np.testing.assert_allclose(PLANE.to_pixels(PLANE.to_plane(point)), point, atol=1e-9)
    assert PLANE.to_plane([520, 1536]).tolist() == [0, 0]  # the axis at the bottom
    assert PLANE.to_plane([600, 0])[0] > 0  # right in the picture is the character's left
    assert PLANE.to_pixels([99, -5]).tolist() == [1100, 1536]


@pytest.mark.parametrize("size", [(1000, 1500), (2000, 700), (300, 1200)])
def test_usual_places_make_a_person_inside_the_picture(size):
    points = usual_markers(size)
    assert set(points) == {*JOINTS, *FACE} == set(LABELS) and {name for line in LINES for name in line} == set(JOINTS)
    for name, (x, y) in points.items():
        assert 0 < x < size[0] and 0 < y < size[1], name
    assert points["head"][1] < points["neck"][1] < points["hips"][1] < points["leftLowerLeg"][1] < points["leftFoot"][1]
    assert points["leftHand"][0] > points["leftUpperArm"][0] > points["neck"][0] > points["rightUpperArm"][0]
    assert points["leftEye"][1] < points["mouth"][1] < points["neck"][1]


def test_what_was_found_is_kept_and_the_rest_filled():
    result = {
        "size": [400, 600],
        "joints": {"hips": [210, 300], "headTop": [200, 10]},
        "face": {"mouth": {"center": [205, 90], "width": 20}},
    }
    points = pre_filled(result)
    assert (
        points["hips"].tolist() == [210, 300]
        and points["mouth"].tolist() == [205, 90]
        and set(points) == {*JOINTS, *FACE}
    )
    assert sizes(result, points)["mouth"][0] == 10 and sizes(result, points)["leftEye"].min() > 0


def test_mirror_about_the_axis_through_the_trunk():
    points = usual_markers((1000, 1500)) | {"leftHand": np.array([900.0, 700.0])}
    points |= {name: points[name] + [40, 0] for name in ("hips", "neck", "head")}
    there = mirrored(points)
    assert axis_of(points) == 540
    assert there["rightHand"].tolist() == [180, 700] and set(there) == {
        name for name in points if name.startswith("right")
    }
    back = mirrored(
        {other_side(name): point for name, point in there.items()} | {n: points[n] for n in ("hips", "neck", "head")}
    )
    np.testing.assert_allclose(back["rightHand"], points["leftHand"])


def test_what_the_backend_gets():
    points = {name: PLANE.to_plane(point) for name, point in usual_markers((1100, 1536)).items()}
    points["leftEye"], points["rightEye"] = points["rightEye"], points["leftEye"]  # dragged past each other
    markers = to_markers(PLANE, points, {"mouth": np.array([40, 9]) * PLANE.pixel})
    assert set(markers["joints"]) == set(JOINTS)
    assert markers["face"]["leftEye"][0] > markers["face"]["rightEye"][0]
    assert markers["face"]["mouth"]["width"] == pytest.approx(80)


def test_what_was_not_recognised_with_confidence():
    chances = dict.fromkeys(JOINTS, 0.9) | {"leftHand": 0.3}
    found = {"joint_confidence": chances, "face": {"confidence": {"eyes": 0.8, "mouth": 0.2}}}
    assert unsure(found) == ["leftHand", "mouth"]
    assert unsure({"face": {"confidence": {"eyes": 0.8, "mouth": 0.9}}}) == []
