# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader looks at a finished avatar: a doll's joints are seen where they are, and its arms where they are held."""

import numpy as np
import pytest

from backend.errors import BackendError
from backend.geometric.seen import look_over
from tests.unit.doll import BONES, make_doll


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    doll = make_doll()
    strongest = doll.joint_weights.argmax(1)
    owner = np.array(doll.joint_names)[doll.joint_indices[np.arange(len(doll.vertices)), strongest]]
    held = np.array([1 if "Arm" in bone or "Hand" in bone else 2 if bone == "head" else 0 for bone in owner])
    triangles = doll.triangles.astype(np.int64)
    path = tmp_path_factory.mktemp("seen") / "views.npz"
    given = {
        "poses": doll.vertices[None].astype(np.float32), "triangles": triangles,
        "uvs": np.zeros((len(triangles), 3, 2), np.float32), "held": held[triangles[:, 0]],
        "slot": np.zeros(len(triangles), np.int64), "colours": np.array([[0.8, 0.6, 0.5]], np.float32),
        "picture": np.array([-1]), "head": 0.3,
    }  # fmt: skip
    np.savez(path, **given)
    return path, given


def test_joints_and_arms_are_seen(views):
    path = views[0].with_name("open.npz")
    np.savez(path, **views[1] | {"opened": views[1]["poses"][0]})
    (look,) = look_over(path, [])["views"]
    assert len(look["opened"]) == 3
    for name in ("leftHand", "rightHand", "leftFoot"):
        x, y, _ = look["joints"][name]
        assert np.hypot(x - BONES[name][0], y - BONES[name][1]) < 0.1
    assert look["overlap"]["arms"] > 0.6


def test_arms_that_the_body_holds_do_not_overlap(views, tmp_path):
    path = tmp_path / "views.npz"
    np.savez(path, **views[1] | {"held": np.zeros(len(views[1]["held"]), int)})
    assert look_over(path, [])["views"][0]["overlap"]["arms"] < 0.1


def test_what_is_no_file_of_views_is_told(tmp_path):
    (tmp_path / "views.npz").write_bytes(b"nothing")
    with pytest.raises(BackendError, match="damaged"):
        look_over(tmp_path / "views.npz", [])
