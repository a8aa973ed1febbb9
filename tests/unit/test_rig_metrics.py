# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures that compare rigs, on cases worked out by hand."""

import numpy as np
import pytest

from backend.__main__ import main
from backend.rig_metrics import (
    DenseRig,
    bone_to_bone,
    compare,
    joint_to_bone,
    joint_to_joint,
    precision_recall,
    weight_l1,
)


def points(*rows):
    return np.array(rows, float)


def test_joints_to_joints_is_the_mean_of_both_directions():
    # From a: 0 and 1 away; from b: 0, 1 and 3 away.
    a, b = points([0, 0, 0], [2, 0, 0]), points([0, 0, 0], [1, 0, 0], [2, 3, 0])
    assert joint_to_joint(a, b) == pytest.approx(((0 + 1) / 2 + (0 + 1 + 3) / 3) / 2)


def test_joints_to_bones_sees_that_a_joint_lies_on_a_bone():
    # One long bone against the same split in two: joints differ, but they lie on the bones.
    a = points([0, 0, 0]), points([2, 0, 0])
    b = points([0, 0, 0], [1, 0, 0]), points([1, 0, 0], [2, 0, 0])
    assert joint_to_joint(a[0], b[0]) == pytest.approx((0 + 0.5) / 2)
    assert joint_to_bone(*a, *b) == 0
    assert bone_to_bone(*a, *b, 0.1) == pytest.approx(0, abs=1e-12)


def test_parallel_bones_are_their_distance_apart():
    a = points([0, 0, 0]), points([1, 0, 0])
    b = points([0, 0.25, 0]), points([1, 0.25, 0])
    assert bone_to_bone(*a, *b, 0.1) == pytest.approx(0.25)
    # A bone that goes on alone: its points are 0 to 1 away from the end, 1/3 on average over 3 points and 0 back.
    longer = points([0, 0, 0]), points([2, 0, 0])
    assert bone_to_bone(*longer, *a, 1.0) == pytest.approx((0 + 0 + 1) / 3 / 2)


def test_a_bone_of_no_length_is_a_point():
    a = points([0, 0, 0]), points([0, 0, 0])
    b = points([3, 4, 0]), points([3, 4, 0])
    assert joint_to_bone(*a, *b) == 5
    assert bone_to_bone(*a, *b, 0.1) == 5


def test_precision_recall_and_l1():
    predicted = points([1, 0, 0], [0.5, 0.5, 0])
    truth = points([0.5, 0.5, 0], [0, 0.5, 0.5])
    precision, recall = precision_recall(predicted, truth)
    assert precision == pytest.approx((1 / 1 + 1 / 2) / 2)
    assert recall == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert weight_l1(predicted, truth) == pytest.approx(1.0)


def test_what_has_no_influence_is_not_counted():
    nothing = np.zeros((2, 2))
    precision, recall = precision_recall(nothing, points([1, 0], [1, 0]))
    assert np.isnan(precision) and recall == 0


def rig(joints, tails, names, weights):
    return DenseRig(joints, tails, np.arange(len(joints)) - 1, names, weights)


def test_bones_are_found_by_name_in_another_order_and_by_place_under_other_names():
    joints, tails = points([0, 0, 0], [1, 0, 0]), points([1, 0, 0], [2, 0, 0])
    weights = points([1, 0], [0.25, 0.75])
    truth = rig(joints, tails, ["a", "b"], weights)
    turned = rig(joints[::-1], tails[::-1], ["b", "a"], weights[:, ::-1])
    assert compare(turned, truth, 2.0).l1 == 0
    renamed = rig(joints[::-1], tails[::-1], ["x", "y"], weights[:, ::-1])
    errors = compare(renamed, truth, 2.0)
    assert (errors.matched, errors.l1, errors.precision, errors.recall) == ("place", 0, 1, 1)


def test_distances_are_percent_of_the_mesh():
    joints, tails = points([0, 0, 0]), points([0, 1, 0])
    truth = rig(joints, tails, ["a"], np.ones((3, 1)))
    moved = rig(joints + [0.1, 0, 0], tails + [0.1, 0, 0], ["a"], np.ones((3, 1)))
    errors = compare(moved, truth, 2.0)
    assert errors.j2j == pytest.approx(5) and errors.j2b == pytest.approx(5) and errors.b2b == pytest.approx(5)


def save(folder, shift):
    folder.mkdir()
    np.savez(
        folder / "mesh.npz",
        vertices=points([0, 0, 0], [0, 2, 0]).astype(np.float32),
        triangles=np.zeros((0, 3), np.int32),
    )
    np.savez(
        folder / "rig.npz",
        joints=points([shift, 0, 0]),
        tails=points([shift, 1, 0]),
        parents=np.array([-1]),
        names=np.array(["root"]),
        weight_joint=np.zeros((2, 4), np.int32),
        weight=np.array([[1, 0, 0, 0]] * 2, np.float32),
    )
    return str(folder)


def test_rig_eval_prints_a_table_of_pairs(tmp_path, capsys):
    far, near, truth = (save(tmp_path / name, shift) for name, shift in (("far", 0.2), ("near", 0.02), ("truth", 0.0)))
    assert main(["rig-eval", near, truth, far, truth]) == 0
    head, first, second, mean = capsys.readouterr().out.splitlines()
    assert "J2J" in head and "1.00" in first and "10.00" in second and mean.startswith("mean") and "5.50" in mean


def test_rig_eval_says_what_is_wrong_with_a_file(tmp_path, capsys):
    (tmp_path / "rig.npz").write_bytes(b"no zip")
    assert main(["rig-eval", str(tmp_path), str(tmp_path)]) == 1
    assert "is not a rig file" in capsys.readouterr().err
