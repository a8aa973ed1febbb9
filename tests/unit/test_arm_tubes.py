"""Which pieces of skin beyond the armpits are the arm's."""

import numpy as np

from backend.geometric.arm_tubes import Tube, _by_piece, _radius, part_arms
from backend.geometric.skeleton import Skeleton
from backend.mesh.voxels import VoxelGrid


def strip(first, count):
    """(count - 2, 3) triangles in a row from the vertex `first` on."""
    return first + np.arange(count - 2)[:, None] + np.arange(3)


def strips(*shares):
    """(share, beyond, vertices, triangles) of strips that do not touch; their vertices' shares of the arm."""
    share = np.concatenate(shares)
    starts = np.cumsum([0, *(len(some) for some in shares)])
    triangles = np.concatenate([strip(start, len(some)) for start, some in zip(starts, shares, strict=False)])
    vertices = np.column_stack([np.arange(len(share)), np.arange(len(share)) % 2, np.zeros(len(share))]).astype(float)
    return share, np.ones(len(share), bool), vertices, triangles


def test_an_arm_that_is_joined_to_something_large_stays_an_arm():
    joined = np.r_[np.ones(20), np.zeros(980)]
    assert (_by_piece(*strips(joined)) == joined).all()


def test_a_skirt_under_the_hand_is_none_of_the_arm():
    skirt, arm = np.r_[np.full(5, 0.7), np.zeros(195)], np.full(40, 0.95)
    assert (_by_piece(*strips(skirt, arm)) == np.r_[np.zeros(200), np.ones(40)]).all()


def test_a_free_arm_is_as_thick_as_it_goes_from_a_bone_beside_its_middle():
    solid = np.zeros((60, 60, 60), bool)
    solid[10:50, 24:36, 24:36] = True
    grid = VoxelGrid(solid, np.zeros(3), 0.01)
    hips, neck = np.array([0.0, -0.3, 0.3]), np.array([0.0, 0.3, 0.3])
    point, axis = np.array([0.3, 0.34, 0.3]), np.array([1.0, 0, 0])
    assert _radius(point, axis, hips, neck, grid, 0.2) > 0.095
    solid[:, :36, 24:36] = True  # the body below
    assert _radius(point, axis, hips, neck, grid, 0.2) < 0.06


def test_a_large_triangle_from_the_armpit_does_not_join_arm_and_body():
    bones = Skeleton()
    for name, start, end in (("hips", 0.5, 0.9), ("leftUpperArm", 0.9, 0.6), ("leftLowerArm", 0.6, 0.3)):
        x = 0.3 * (name != "hips")
        bones.add(name, None, np.array([x, start, 0]), np.array([x, end, 0]))
    line = np.linspace(0.9, 0.3, 61)
    tube = Tube(np.column_stack([0.3 + 0 * line, line, 0 * line]), np.full(61, 0.1), np.linspace(0, 2, 61))
    vertices = np.array([[0.22, 0.85, 0], [0.22, 0.6, 0], [0.2, 0.6, 0], [0.4, 0.85, 0], [0.4, 0.6, 0]])
    weights = np.array([[0.5, 0.5, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0.0]])
    triangles = np.array([[0, 1, 2], [0, 1, 4], [0, 3, 4]])
    arms = {"leftArm": tube, "rightArm": Tube(tube.points - [9, 0, 0], tube.radius, tube.along)}
    assert part_arms(weights, vertices, triangles, bones, arms).tolist() == [True, False, False]
