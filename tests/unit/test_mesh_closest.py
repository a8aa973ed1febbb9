"""The closest point of a surface, compared with looking at every triangle."""

import numpy as np
import pytest
import trimesh

from backend.mesh.closest import Surface, closest_bary


@pytest.mark.parametrize(
    "mesh",
    [trimesh.creation.icosphere(3), trimesh.creation.box((1, 2, 0.5)), trimesh.creation.torus(1, 0.3)],
    ids=["dense", "few large triangles", "torus"],
)
def test_as_near_as_any_triangle(mesh):
    vertices, triangles = np.array(mesh.vertices), np.array(mesh.faces)
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (200, 3))
    found = Surface(vertices, triangles).nearest(points)
    corners = vertices[triangles]
    every = np.einsum("ntc,tcd->ntd", closest_bary(points[:, None], corners[None]), corners)
    best = np.linalg.norm(every - points[:, None], axis=2).min(1)
    np.testing.assert_allclose(np.linalg.norm(found.point - points, axis=1), best, atol=2e-3)
    np.testing.assert_allclose(np.einsum("nc,ncd->nd", found.bary, corners[found.triangle]), found.point, atol=1e-12)


def test_closest_of_one_triangle_is_never_beaten_by_its_points():
    rng = np.random.default_rng(1)
    corners, points = rng.normal(size=(300, 3, 3)), rng.normal(size=(300, 3)) * 2
    bary = closest_bary(points, corners)
    assert bary.min() >= 0 and np.allclose(bary.sum(1), 1)
    distance = np.linalg.norm(np.einsum("nc,ncd->nd", bary, corners) - points, axis=1)
    some = rng.dirichlet(np.ones(3), 4000)
    others = np.linalg.norm(np.einsum("sc,ncd->nsd", some, corners) - points[:, None], axis=2).min(1)
    assert (distance <= others + 1e-9).all()


def test_a_surface_without_triangles_is_refused():
    with pytest.raises(ValueError):
        Surface(np.zeros((0, 3)), np.zeros((0, 3), int)).nearest(np.zeros((1, 3)))
