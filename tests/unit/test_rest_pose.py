"""The T-pose that is baked into mesh and skeleton, in Blender's axes, on capsule people rigged by the
geometric rigger.
"""

import numpy as np
import pytest

from avatar_addon.pose.kinematics import rest
from avatar_addon.pose.kinematics.rest import between, relax
from backend.geometric.rigger import rig_mesh
from backend.rig_checks import dense_weights, stretch
from benchmarks.figures import Figure, make, true_joints

TO_BLENDER = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # row vectors: (x, y, z) -> (x, -z, y)


@pytest.fixture(scope="module")
def bent():
    """A person with arms 50 degrees down, elbows bent, and legs apart: vertices, triangles, weights, joints, tails,
    parents, names.
    """
    look = Figure(arm=50, elbow=25, gap=1.6)
    mesh = make(look, 0.02)
    rig = rig_mesh(mesh, {name: list(point) for name, point in true_joints(look).items()})
    bones = rig.skeleton
    heads, tails = (np.array(list(points.values())) for points in (bones.heads, bones.tails))
    weights = dense_weights(rig.weight_joint, rig.weight, len(bones.names))
    points = (
        mesh.vertices @ TO_BLENDER + [0, 0, 0.3],
        heads @ TO_BLENDER + [0, 0, 0.3],
        tails @ TO_BLENDER + [0, 0, 0.3],
    )
    return points[0], mesh.triangles, weights, points[1], points[2], bones.parent_indices(), bones.names


def bake_pose(vertices, triangles, weights, joints, tails, parents, names):
    """Vertices, joints and tails in the T-pose, on the ground."""
    moves = rest.moves_of(rest.t_pose_turns(joints, parents, names), joints, parents)
    posed, _ = rest.move_skin(vertices, triangles, weights, moves, parents, names)
    ground = [0, 0, rest.ground_of(posed, weights, names)]
    joints, tails = (
        np.einsum("kij,kj->ki", moves[:, :, :3], points) + moves[:, :, 3] - ground for points in (joints, tails)
    )
    return posed - ground, joints, tails


def direction(joints, names, first, second):
    d = joints[names.index(second)] - joints[names.index(first)]
    return d / np.linalg.norm(d)


def test_arms_lie_along_x_legs_stand_straight_and_the_soles_are_flat_on_the_ground(bent):
    vertices, joints, tails = bake_pose(*bent)
    names = bent[6]
    for side, sign in (("left", 1), ("right", -1)):
        for first, second, aim in (
            ("UpperArm", "LowerArm", [sign, 0, 0]),
            ("LowerArm", "Hand", [sign, 0, 0]),
            ("UpperLeg", "LowerLeg", [0, 0, -1]),
        ):
            assert direction(joints, names, side + first, side + second) @ aim > np.cos(np.radians(1))
        foot = names.index(side + "Foot")
        np.testing.assert_allclose(tails[foot] - joints[foot], bent[4][foot] - bent[3][foot], atol=1e-9)
    feet = bent[2][:, [k for k, name in enumerate(names) if name.endswith(("Foot", "Toes"))]].sum(1) > 0.5
    assert vertices[feet, 2].min() == pytest.approx(0, abs=1e-9)
    hands = [bent[2][:, names.index(side + "Hand")] > 0.9 for side in ("left", "right")]
    shoulder = joints[names.index("leftUpperArm"), 2]
    assert all(np.abs(vertices[hand, 2] - shoulder).max() < 0.06 for hand in hands)
    assert all(np.isfinite(array).all() for array in (vertices, joints, tails))


def test_what_does_not_turn_stays_as_it_was(bent):
    vertices, joints, _ = bake_pose(*bent)
    head = bent[2][:, bent[6].index("head")] > 0.999
    shift = (vertices - bent[0])[head]
    np.testing.assert_allclose(
        shift, np.broadcast_to(joints[bent[6].index("head")] - bent[3][bent[6].index("head")], shift.shape), atol=1e-9
    )
    np.testing.assert_allclose(shift[:, :2], 0, atol=1e-9)


def test_a_t_pose_is_left_alone(bent):
    once = bake_pose(*bent)
    twice = bake_pose(once[0], bent[1], bent[2], once[1], once[2], bent[5], bent[6])
    for a, b in zip(once, twice, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_relaxing_evens_the_skin_out_where_the_shoulders_weights_mix(bent, monkeypatch):
    """Without it the armpit's worst triangles are stretched more."""
    calm = stretch(bent[0], bake_pose(*bent)[0], bent[1])
    monkeypatch.setattr(rest, "RELAXING_ROUNDS", 0)
    plain = stretch(bent[0], bake_pose(*bent)[0], bent[1])
    assert np.quantile(calm, 0.995) < np.quantile(plain, 0.995)
    assert np.quantile(calm, 0.999) < 2


def test_relaxing_keeps_seams_closed_and_restores_a_stretched_strip():
    """A strip of quads whose middle column was pulled away; its vertices are doubled as at a UV seam."""
    flat = np.array([[x, y, 0] for x in range(5) for y in range(2)], float)
    flat = np.concatenate([flat, flat[4:6]])
    quads = [(0, 1, 3, 2), (2, 3, 5, 4), (10, 11, 7, 6), (6, 7, 9, 8)]
    triangles = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    posed = flat.copy()
    posed[[4, 5, 10, 11], 0] += 0.9
    strength = np.zeros(12)
    strength[[4, 5, 10, 11]] = 1
    out = relax(flat, posed, triangles, strength)
    np.testing.assert_array_equal(out[4:6], out[10:12])
    np.testing.assert_allclose(out, flat, atol=0.02)


def test_limbs_without_bones_and_bones_of_other_names_stay(bent):
    names = [name.replace("leftHand", "Bip L Hand").replace("head", "Skull") for name in bent[6]]
    _, joints, _ = bake_pose(*bent[:6], names)
    before, after = (direction(j, bent[6], "leftUpperArm", "leftLowerArm") for j in (bent[3], joints))
    np.testing.assert_allclose(before, after, atol=1e-9)
    assert direction(joints, bent[6], "rightUpperArm", "rightLowerArm") @ [-1, 0, 0] > 0.999


def test_the_order_of_bones_does_not_matter(bent):
    order = np.arange(len(bent[6]))[::-1]
    rank = np.argsort(order)
    parents = np.array([rank[p] if p >= 0 else -1 for p in bent[5][order]])
    turned = bake_pose(
        bent[0], bent[1], bent[2][:, order], bent[3][order], bent[4][order], parents, [bent[6][k] for k in order]
    )
    straight = bake_pose(*bent)
    np.testing.assert_allclose(turned[0], straight[0], atol=1e-9)
    np.testing.assert_allclose(turned[1][rank], straight[1], atol=1e-9)


@pytest.mark.parametrize("a, b", [([1, 0, 0], [-1, 0, 0]), ([0, 2, 0], [0, 0, -3]), ([1, 1, 0], [1, 1, 0])])
def test_between_is_a_rotation_from_one_direction_to_the_other(a, b):
    a, b = np.array(a, float), np.array(b, float)
    turn = between(a, b)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(turn @ a / np.linalg.norm(a), b / np.linalg.norm(b), atol=1e-12)
