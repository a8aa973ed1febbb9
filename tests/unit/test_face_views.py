"""Eyes and mouth of a mesh from several views: what is believed of faint and of misplaced ones."""

from types import SimpleNamespace

import numpy as np
import pytest

from backend.geometric import face_views, looks
from backend.mesh.files import MeshArrays
from backend.mesh.raster import View
from backend.reader.reading import FacePart

MESH = MeshArrays(np.array([[0, 0, 0], [1, 0, 0], [0, 1.0, 0]]), np.array([[0, 1, 2]]))
EYES = {"leftEye": (0.15, 0.5, 0.3), "rightEye": (-0.15, 0.5, 0.3)}


def read(monkeypatch, eyes_sure, mouth, mouth_sure, state="drawn"):
    """Confidence of eyes and mouth in a head 1 high, which all views show at the same places."""
    points = EYES | {"mouth": mouth}

    def around(mesh, texture, azimuths, height, even=False):
        out = []
        for azimuth in azimuths:
            view = View(np.full((4, 4), -1), np.zeros((4, 4, 3)), np.zeros((4, 4)), 100.0, -1.0, 1.0)
            look = looks.Look(azimuth, view, SimpleNamespace(face={}))
            for name, point in points.items():
                x, y = view.to_pixels(np.array([look.across @ point, point[1]])) + 0.5
                sure, is_drawn = (mouth_sure, state) if name == "mouth" else (eyes_sure, "drawn")
                look.reading.face[name] = FacePart(x, y, 5.0, 3.0, is_drawn, sure)
            out.append(look)
        return out

    monkeypatch.setattr(face_views, "look_around", around)
    found = face_views.read_face(MESH, np.zeros((2, 2, 3), np.uint8), 1.0)
    assert found["mouth"]["center"] == pytest.approx(mouth[:2], abs=0.02)
    return found["confidence"]


def test_a_faint_mouth_is_believed_in_the_middle_below_the_eyes(monkeypatch):
    assert read(monkeypatch, 0.8, (0.0, 0.25, 0.4), 0.25)["mouth"] > 0.5
    assert read(monkeypatch, 0.8, (0.1, 0.25, 0.4), 0.25)["mouth"] < 0.5
    assert read(monkeypatch, 0.8, (0.0, 0.25, 0.4), 0.25, "none")["mouth"] < 0.5


def test_brows_far_above_the_mouth_are_no_eyes(monkeypatch):
    assert read(monkeypatch, 0.8, (0.0, 0.2, 0.4), 0.8)["eyes"] > 0.5
    assert read(monkeypatch, 0.8, (0.0, 0.0, 0.4), 0.8)["eyes"] < 0.5
    assert read(monkeypatch, 0.8, (0.0, 0.0, 0.4), 0.2, "none")["eyes"] > 0.5  # the mouth is not known
