"""A mesh's body: limbs that can be, and rigs that stay finite."""

from types import SimpleNamespace

import numpy as np
import pytest

from backend.errors import BackendError
from backend.geometric import consensus, finding
from backend.geometric.consensus import NAMES, Consensus, facing
from backend.geometric.finding import impossible_limbs
from backend.geometric.landmarks import ends
from backend.geometric.rigger import rig_mesh
from backend.geometric.skeleton import complete_markers
from backend.mesh.files import MeshArrays
from backend.mesh.voxels import VoxelGrid
from backend.rig_checks import Rigged, dense_weights, t_pose

PLAIN = complete_markers({}, None)


def test_a_limb_without_length_is_none():
    assert impossible_limbs(PLAIN, 1.0) == []
    for limb, change in (
        ("leftUpperArm", {"leftLowerArm": PLAIN["leftUpperArm"] + [0.001, 0, 0]}),  # a bird's wing
        ("leftUpperArm", {"leftHand": PLAIN["leftLowerArm"] + [0.03, 0, 0]}),  # a stump of a forearm
        ("rightUpperLeg", {"rightFoot": PLAIN["rightLowerLeg"]}),
    ):
        assert impossible_limbs(PLAIN | change, 1.0) == [limb]


TRIANGLE = MeshArrays(np.array([[0, 0, 0], [0.5, 0, 0], [0, 1.0, 0]]), np.array([[0, 1, 2]]))


def test_what_only_small_pictures_take_for_a_body_is_none(monkeypatch):
    """A deer, standing on its hind legs after a quarter turn."""

    def around(mesh, texture, azimuths=finding.look_around.__defaults__[0], up=None, height=384):
        return [SimpleNamespace(sureness=0.5 if height < 384 else 0.27) for _ in azimuths]

    monkeypatch.setattr(finding, "look_around", around)
    with pytest.raises(BackendError):
        finding.find_body(TRIANGLE)


@pytest.mark.parametrize(("off", "doubts"), [(0.03, []), (0.06, ["joints"])])
def test_a_single_joint_on_which_the_views_differ_is_told(monkeypatch, off, doubts):
    spread = {name: off if name == "leftHand" else 0.01 for name in NAMES}
    joints = PLAIN | {"headTop": PLAIN["head"] + [0, 0.2, 0], "chin": PLAIN["head"]}
    monkeypatch.setattr(finding, "look_around", lambda *_: [SimpleNamespace(sureness=0.8)])
    monkeypatch.setattr(finding, "facing", lambda *_: (0.0, 1.0))
    monkeypatch.setattr(finding, "agree", lambda *_: Consensus(joints, spread, {}))
    monkeypatch.setattr(finding, "_refined", lambda at, _mesh: (at, []))
    assert finding.find_body(TRIANGLE).doubts == doubts


@pytest.mark.parametrize("front", [0, 90, 180])
def test_where_no_face_tells_the_yaw_says_which_side_is_the_front(monkeypatch, front):
    monkeypatch.setattr(consensus, "agree", lambda *_: SimpleNamespace(doubt=0.02))
    looks = [
        SimpleNamespace(azimuth=a, face=0.1, sureness=0.7, reading=SimpleNamespace(yaw=consensus.between(front, a)))
        for a in range(0, 360, 45)
    ]
    assert facing(looks, 1.0, lambda _: 0.0)[0] == front


def test_joints_on_one_place_make_a_rig_of_finite_numbers():
    corners = np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1).T - [0.5, 0, 0.5]
    faces = [[0, 1, 3], [0, 3, 2], [4, 7, 5], [4, 6, 7], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6]]
    mesh = MeshArrays(corners * [0.4, 1, 0.15], np.array(faces))
    given = PLAIN | {"leftHand": PLAIN["leftLowerArm"]}  # as a user may place them
    rig = rig_mesh(mesh, {name: point.tolist() for name, point in given.items()})
    assert np.isfinite(rig.weight).all()
    bones = rig.skeleton
    heads, tails = (np.array(list(points.values())) for points in (bones.heads, bones.tails))
    weights = dense_weights(rig.weight_joint, rig.weight, len(bones.names))
    spread = t_pose(Rigged(mesh.vertices, mesh.triangles, heads, tails, bones.parent_indices(), bones.names, weights))
    assert np.isfinite(spread.vertices).all()


def test_a_hand_on_the_hip_does_not_reach_through_the_body():
    solid = np.zeros((100, 100, 20), bool)
    solid[20:60, 2:98, 2:18] = True  # the trunk
    solid[60:92, 48:52, 8:12] = True  # an arm that comes to it from the side
    grid = VoxelGrid(solid, np.zeros(3), 0.01)
    at = {"LowerArm": [0.85, 0.5, 0.1], "Hand": [0.55, 0.5, 0.1], "LowerLeg": [0.5, 0.3, 0.1], "Foot": [0.5, 0.1, 0.1]}
    joints = {side + name: np.array(point) for side in ("left", "right") for name, point in at.items()}
    free = joints | {side + "Hand": np.array([0.75, 0.5, 0.1]) for side in ("left", "right")}
    free |= {side + "LowerArm": np.array([0.55, 0.5, 0.1]) for side in ("left", "right")}  # and one that points away
    assert "leftHandTip" not in ends(joints, grid)
    assert 0.88 < ends(free, grid)["leftHandTip"][0] < 0.93
