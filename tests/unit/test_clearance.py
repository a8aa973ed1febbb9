"""How far arms hang: beside a slim body all the way, beside a wide one only as far as there is room."""

import numpy as np
import pytest

from avatar_addon.pose.kinematics import clearance

NAMES = ["hips", "leftUpperArm", "leftHand", "head"]
PARENTS = np.array([-1, 0, 1, 0])


def body(width):
    """Legs and hips, 0.9 m tall and `width` to each side, with a thin arm of 0.55 m at 1.3 m."""
    heights = np.linspace(0, 0.9, 60)
    trunk = np.column_stack([np.full(60, width), np.zeros(60), heights])
    arm = np.column_stack([np.linspace(0.15, 0.7, 30), np.zeros(30), np.full(30, 1.28)])
    joints = np.array([[0, 0, 0.9], [0.15, 0, 1.3], [0.6, 0, 1.3], [0, 0, 1.4]])
    points, bone = np.concatenate([trunk, arm]), np.repeat([0, 1], [60, 30])
    return clearance.hanging(points, bone, joints, PARENTS, NAMES)


def test_arms_hang_as_far_as_the_body_lets_them():
    assert body(0.15) == clearance.MOST
    assert clearance.LEAST < body(0.6) <= body(0.42) < clearance.MOST


def test_a_body_without_arms_is_no_error():
    assert clearance.hanging(np.zeros((3, 3)), np.zeros(3, int), np.zeros((1, 3)), np.array([-1]), ["hips"]) == (
        pytest.approx(clearance.MOST)
    )
