# SPDX-License-Identifier: GPL-3.0-or-later
"""A first place for each marker on a mesh: where the search has it, else where it usually is."""

import numpy as np
import pytest

from backend.errors import BackendError
from backend.geometric import draft, finding
from backend.geometric.finding import DOUBTFUL, Body
from backend.geometric.skeleton import MARKERS
from backend.mesh.files import MeshArrays

# A box of 1 x 1.8 x 0.4, its feet on the ground.
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (0, 1.8) for z in (-0.2, 0.2)])
TRIANGLES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6]])
LYING = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@pytest.fixture
def mesh(tmp_path):
    path = tmp_path / "mesh.npz"
    np.savez(path, vertices=CORNERS.astype(np.float32), triangles=TRIANGLES.astype(np.int32))
    return path


def search(monkeypatch, joints, turn=LYING, **spread):
    body = Body(turn, joints, spread=dict.fromkeys(MARKERS, 0.01) | spread)
    asked = []
    monkeypatch.setattr(draft, "find_body", lambda _mesh, _texture, draft: asked.append(draft) or body)
    return asked


def test_joints_that_were_found_are_kept_and_the_mesh_is_turned(monkeypatch, mesh):
    found = draft.usual_joints(CORNERS)
    asked = search(monkeypatch, found, leftHand=2 * DOUBTFUL)
    result = draft.draft_markers(mesh, None, None, face=False)
    assert asked == [True]
    assert np.allclose(result["joints"]["leftHand"], found["leftHand"]) and result["turn"] == LYING.tolist()
    assert result["unsure"] == ["leftHand"] and "face" not in result


def test_a_body_upside_down_gets_the_usual_places_as_it_lies(monkeypatch, mesh):
    upside_down = {name: point * [1, -1, 1] for name, point in draft.usual_joints(CORNERS).items()}
    search(monkeypatch, upside_down)
    result = draft.draft_markers(mesh, None, None, face=False)
    assert "turn" not in result and result["unsure"] == list(MARKERS)
    at = {name: np.array(point) for name, point in result["joints"].items()}
    assert draft.stands(at)
    assert at["leftHand"][0] > at["leftUpperArm"][0] > 0 > at["rightHand"][0]
    assert at["head"][1] == pytest.approx(0.855 * 1.8)


def test_where_nothing_agrees_every_marker_is_an_estimate(monkeypatch, mesh):
    search(monkeypatch, draft.usual_joints(CORNERS), np.eye(3), **dict.fromkeys(MARKERS, 0.2))
    assert draft.draft_markers(mesh, None, None, face=False)["unsure"] == list(MARKERS)


def test_known_joints_are_not_looked_for(monkeypatch, mesh):
    asked = search(monkeypatch, {})
    known = {name: point.tolist() for name, point in draft.usual_joints(CORNERS).items()}
    result = draft.draft_markers(mesh, None, known, face=False)
    assert not asked and result["joints"]["hips"] == pytest.approx(known["hips"]) and result["unsure"] == []


def test_a_draft_goes_on_where_the_search_refuses(monkeypatch):
    views = [type("Look", (), {"sureness": 0.1})()]
    monkeypatch.setattr(finding, "look_around", lambda *_args, **_more: views)
    box = MeshArrays(CORNERS, TRIANGLES)
    with pytest.raises(BackendError, match="No humanoid"):
        finding._upright(box, None)
    up, looks = finding._upright(box, None, draft=True)
    assert np.array_equal(up, np.eye(3)) and looks == views
