"""The outer shell of surfaces without a winding, with bodies inside: exactly what touches the outside stays."""

import numpy as np
import pytest

from backend.mesh.clean import areas
from backend.mesh.shell import outer_shell
from tests.unit.planted import INNER, MOUTH, OUTER, planted

KINDS = ("closed", "open", "touching", "welded", "nested", "leaking")


def shares(body, _, kept):
    """Of every label the share of its area that was kept, and of the kept outer area the share wound outwards."""
    area = areas(body.vertices, body.triangles)
    order = {tuple(sorted(triangle)): i for i, triangle in enumerate(body.triangles.tolist())}
    kept = kept[(kept < len(body.vertices)).all(1)]  # the others close holes
    rows = np.array([order[tuple(sorted(triangle))] for triangle in kept.tolist()], int)
    stays = np.zeros(len(area), bool)
    stays[rows] = True
    out = {
        label: area[stays & (body.label == label)].sum() / max(area[body.label == label].sum(), 1e-12)
        for label in (OUTER, INNER, MOUTH)
    }
    normal = {
        name: np.cross(*(body.vertices[t[:, i]] - body.vertices[t[:, 0]] for i in (1, 2)))
        for name, t in (("kept", kept), ("wanted", body.outwards[rows]))
    }
    right = (normal["kept"] * normal["wanted"]).sum(1) > 0
    outer = body.label[rows] != INNER
    return out, (area[rows] * right * outer).sum() / (area[rows] * outer).sum()


def check(seed, **options):
    body = planted(seed, KINDS[seed % len(KINDS)], mouth=seed % 2 == 0 or seed % 3 == 0)
    share, outwards = shares(body, *outer_shell(body.vertices, body.triangles, **options))
    assert share[INNER] < 0.01 and share[OUTER] > 0.995 and outwards > 0.999, (share, outwards)
    if (body.label == MOUTH).any():
        assert share[MOUTH] > 0.99, share


@pytest.mark.parametrize("seed", range(44))
def test_planted_bodies_go_and_the_skin_with_its_mouth_stays(seed):
    check(seed, cells=104)  # the bodies are coarse: the grid need not be finer


@pytest.mark.parametrize("seed", range(44, 50))
def test_the_same_on_the_usual_grid(seed):
    check(seed)
