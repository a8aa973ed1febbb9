"""A mesh of a million triangles is made lighter before Blender's modifier needs a gigabyte for it, and keeps its
pictures: what is painted on it stays where it was, as fine as it was.
"""

import numpy as np

from avatar_addon.mesh import baked, thinning
from avatar_addon.mesh.arrays import SkinnedMesh


def sheet(side, lift=0.0):
    """A grid over the unit square, z a wave; UVs are x and y."""
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side)))
    k = np.arange(side * (side - 1)).reshape(side - 1, side)[:, :-1].ravel()
    triangles = np.concatenate([np.stack([k, k + 1, k + side], 1), np.stack([k + 1, k + side + 1, k + side], 1)])
    vertices = np.column_stack([x, y, lift * np.sin(6 * x) * np.cos(5 * y)])
    uvs = vertices[triangles][..., :2].astype(np.float32)
    return SkinnedMesh(vertices, triangles.astype(np.int32), uvs, np.zeros(len(triangles), np.int32))


def test_a_thinned_mesh_keeps_its_shape_its_border_and_its_texture():
    data = sheet(60, lift=0.1)
    thinning.thin(data, 1500)
    assert 1000 < len(data.triangles) < 1600
    x, y, z = data.vertices.T
    assert np.abs(z - 0.1 * np.sin(6 * x) * np.cos(5 * y)).max() < 0.01
    a, b, c = np.moveaxis(data.vertices[data.triangles], 1, 0)
    normal = np.cross(b - a, c - a)
    assert (normal[:, 2] > 0).all() and abs(normal[:, 2].sum() / 2 - 1) < 0.02, "folded, or eaten away at the border"
    np.testing.assert_allclose(data.corner_uvs, data.vertices[data.triangles][..., :2], atol=0.005)


def test_colours_of_a_dense_surface_are_not_smeared_over_large_triangles():
    """A line thinner than the triangles stays a line."""
    coarse = sheet(9)
    dense = sheet(90).vertices
    line = np.abs(dense[:, 0] - 0.44) < 0.02
    texels = baked.resampled(coarse.vertices, coarse.triangles, dense, np.repeat(1.0 * line[:, None], 3, 1))
    uvs, picture = baked.painted(coarse.vertices[coarse.triangles].mean(1), texels)
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], len(uvs))
    place = np.einsum("tk,tkc->tc", shares, coarse.vertices[coarse.triangles])
    column, row = (np.einsum("tk,tkc->tc", shares, uvs) * len(picture)).astype(int).T
    shown, off = picture[row, column, 0], np.abs(place[:, 0] - 0.44)
    assert shown[off < 0.012].min() > 0.5 and shown[off > 0.05].max() < 0.5
