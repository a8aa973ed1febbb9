"""The comparison of riggers with artists' rigs."""

import numpy as np
import pytest

from backend.engines import Rig
from backend.mesh.files import MeshArrays, RigArrays, write_rig
from backend.rig_metrics import DenseRig
from benchmarks.compare_riggers import Character, folded, measure
from benchmarks.figures import ADULT, make, true_joints

BODY = make(ADULT)
NAMES = list(true_joints(ADULT))
JOINTS = np.array([true_joints(ADULT)[name] for name in NAMES], float)


def truth():
    """Each vertex belongs to its nearest joint; a star of bones, for nothing here asks how they hang together."""
    owner = np.linalg.norm(BODY.vertices[:, None] - JOINTS, axis=2).argmin(1)
    parents = np.where(np.arange(len(NAMES)) == NAMES.index("hips"), -1, NAMES.index("hips"))
    return DenseRig(JOINTS, JOINTS + 0.05, parents, list(NAMES), np.eye(len(NAMES))[owner])


class Copies:
    """A rigger that gives the artist's weights back, all of them moved to the next bone with `wrong`."""

    def __init__(self, wrong=0):
        self.wrong = wrong

    def rig(self, request, progress):
        rig = truth()
        joint = np.zeros((len(rig.weights), 4), np.int64)
        joint[:, 0] = (rig.weights.argmax(1) + self.wrong) % len(NAMES)
        weight = np.tile([1.0, 0, 0, 0], (len(joint), 1))
        path = request.out_dir / "rig.npz"
        write_rig(path, RigArrays(rig.joints, rig.tails, rig.parents, rig.names, joint, weight))
        return Rig(path, "Copies", {name: name for name in NAMES}, {}, [], {})


def test_the_artists_own_weights_are_without_fault():
    character = Character("body", MeshArrays(BODY.vertices, BODY.triangles), truth())
    right = measure(character, "copies", Copies(), {})
    assert not right.trouble and right.figures[:3] == pytest.approx([0, 1, 1], abs=1e-6)
    wrong = measure(character, "copies", Copies(1), {})
    assert wrong.figures[0] == pytest.approx(2, abs=1e-6) and wrong.figures[1] < 0.1


def test_folding_gives_a_bones_weight_to_the_one_above():
    rig = folded(truth(), {name for name in NAMES if name != "head"})
    assert "head" not in rig.names and np.allclose(rig.weights.sum(1), 1)
    moved = truth().weights[:, NAMES.index("head")]
    assert (rig.weights[moved > 0, rig.names.index("hips")] == 1).all()
