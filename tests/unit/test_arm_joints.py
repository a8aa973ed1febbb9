"""Elbows and wrists are moved into the middle of arms that hang beside the body."""

import numpy as np
import pytest

from backend.geometric.arm_joints import centre_arms
from backend.geometric.skeleton import MARKERS, build_skeleton
from backend.mesh.voxels import VoxelGrid

CELL = 0.01
ELBOW, WRIST = (0.3, 1.1, 0.0), (0.32, 0.85, 0.0)


@pytest.fixture(scope="module")
def figure():
    """A trunk with an arm at each side that has grown together with it below the elbow."""
    x, y, z = np.meshgrid(*(CELL * np.arange(n) for n in (100, 170, 40)), indexing="ij")
    x, z = x - 0.5, z - 0.2
    solid = (np.hypot(x / 1.5, z) < 0.15) & (y > 0.05) & (y < 1.6)
    for sign in (1, -1):
        for a, b in (((0.24, 1.35), ELBOW[:2]), (ELBOW[:2], (0.335, 0.7))):
            t = np.clip((y - a[1]) / (b[1] - a[1]), 0, 1)
            inside = (y < max(a[1], b[1])) & (y > min(a[1], b[1]))
            solid |= inside & (np.hypot(x - sign * (a[0] + t * (b[0] - a[0])), z) < 0.05)
        solid |= (y > 0.7) & (y < 1.05) & (np.abs(x) < 0.3) & (np.abs(z) < 0.03)
    return VoxelGrid(solid, np.array([-0.5, 0.0, -0.2]), CELL)


def skeleton(shift):
    at = {name: np.zeros(3) for name in MARKERS} | {
        "hips": np.array([0, 0.9, 0.0]), "neck": np.array([0, 1.45, 0.0]), "head": np.array([0, 1.5, 0.0]),
    }  # fmt: skip
    for side, sign in (("left", 1), ("right", -1)):
        mirror = np.array([sign, 1, 1])
        at |= {f"{side}UpperArm": mirror * [0.24, 1.35, 0], f"{side}LowerArm": mirror * ELBOW}
        at[f"{side}Hand"] = mirror * (np.array(WRIST) - [shift, 0, 0])
        at |= {f"{side}UpperLeg": mirror * [0.1, 0.85, 0], f"{side}LowerLeg": mirror * [0.1, 0.45, 0]}
        at[f"{side}Foot"] = mirror * [0.1, 0.1, 0]
    return build_skeleton(at, np.array([-0.4, 0, -0.2]), np.array([0.4, 1.7, 0.2]))


def test_a_wrist_in_the_hip_is_moved_into_the_arm(figure):
    bones = skeleton(0.07)
    centre_arms(bones, figure, set())
    for side, sign in (("left", 1), ("right", -1)):
        assert abs(bones.heads[f"{side}Hand"][0] - sign * WRIST[0]) < 0.03
        assert (bones.tails[f"{side}LowerArm"] == bones.heads[f"{side}Hand"]).all()


def test_joints_set_by_hand_stay(figure):
    bones = skeleton(0.07)
    before = bones.heads["leftHand"].copy()
    centre_arms(bones, figure, {"leftHand"})
    assert (bones.heads["leftHand"] == before).all()


def test_joints_in_the_middle_of_the_arm_stay_there(figure):
    bones = skeleton(0.0)
    centre_arms(bones, figure, set())
    assert np.linalg.norm(bones.heads["leftHand"] - WRIST) < 0.02
