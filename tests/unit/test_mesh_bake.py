"""From a dense surface with gaussians to a light textured mesh: cleaning, simplifying, charts, and colours baked in
space.
"""

import hashlib

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation
from skimage.draw import polygon
from skimage.measure import marching_cubes

from backend.geometric.landmarks import turn
from backend.mesh.bake import GaussianCloud, bake, chart_texels, colours_at
from backend.mesh.clean import clean, crumbs, hidden, pieces
from backend.mesh.glb import vertex_normals, write_glb
from backend.mesh.simplify import simplify
from backend.mesh.unwrap import unwrap
from backend.trellis.finish import finish, place
from benchmarks.figures import Figure, make

SIDE = 80
X, Y, Z = np.meshgrid(*3 * [np.linspace(-0.5, 0.5, SIDE)], indexing="ij")
WALL = 0.02


def ball(x, y, z, radius):
    return np.sqrt((X - x) ** 2 + (Y - y) ** 2 + (Z - z) ** 2) - radius


def column(x, y, radius):
    return np.sqrt((X - x) ** 2 + (Y - y) ** 2) - radius


def surface(field):
    """Where the field crosses 0, normals towards positive values."""
    vertices, triangles, _, _ = marching_cubes(field, 0)
    triangles = triangles[:, ::-1] if trimesh.Trimesh(vertices, triangles).volume < 0 else triangles
    return vertices / (len(field) - 1) - 0.5, triangles.astype(np.int64)


def shell(field):
    """A hollow body: the wall of the solid `field` < 0."""
    return np.maximum(field, -field - 2 * WALL)


def solid(vertices, triangles):
    return trimesh.Trimesh(vertices, triangles, process=False)


# A body with a head and a nose, a bump that tells front (-Y) from back.
BODY = np.minimum(np.minimum(ball(0, 0, -0.1, 0.2), ball(0, 0, 0.1, 0.16)), ball(0, -0.15, 0.1, 0.06))


def colour_field(points):
    return 0.5 + 0.4 * np.sin(points * [9, 11, 13] + [0, 1, 2])


def gaussians(vertices, triangles, count=60_000, depth=0.0, seed=0):
    """Gaussians of all shapes and directions, as large as TRELLIS' are, within about 1/100 of the surface."""
    rng = np.random.default_rng(seed)
    points, face = trimesh.sample.sample_surface(solid(vertices, triangles), count, seed=seed)
    normals = solid(vertices, triangles).face_normals[face]
    points = points + normals * (rng.normal(0, 0.004, count) - depth)[:, None]
    rotation = rng.normal(size=(count, 4))
    rotation /= np.linalg.norm(rotation, axis=1, keepdims=True)
    scale = np.exp(rng.normal(np.log(0.004), 0.3, (count, 3)))
    return GaussianCloud(points, scale, rotation, rng.uniform(0.05, 1, count), colour_field(points))


def joined(a, b):
    return GaussianCloud(*(np.concatenate([getattr(a, name), getattr(b, name)]) for name in vars(a)))


@pytest.fixture(scope="module")
def body():
    """vertices, triangles, normals, corner_uvs of a light mesh, and its gaussians."""
    dense = surface(BODY)
    vertices, triangles = simplify(*clean(*dense), 4000)
    return vertices, triangles, vertex_normals(vertices, triangles), unwrap(vertices, triangles, 512), gaussians(*dense)


@pytest.fixture(scope="module")
def texture(body):
    return bake(*body, 512)


def inside_charts(uvs, size):
    """Rows and columns of all texel centres in triangles, by another library."""
    found = np.zeros((size, size), int)
    for column_, row in np.stack([uvs[..., 0] * size - 0.5, (1 - uvs[..., 1]) * size - 0.5], 1):
        found[polygon(row, column_, found.shape)] += 1
    return found


def error(texture, rows, columns, points):
    return np.abs(texture[rows, columns].astype(float) - 255 * colour_field(points))


def test_the_baked_texture_is_the_colour_field_and_no_texel_in_a_chart_is_unpainted(body, texture):
    vertices, triangles, _, uvs, _ = body
    size = len(texture)
    texels = chart_texels(uvs, size)
    painted = np.zeros((size, size), bool)
    painted[texels.row, texels.column] = True
    assert not ((inside_charts(uvs, size) > 0) & ~painted).any()
    points = (vertices[triangles[texels.triangle]] * texels.bary[..., None]).sum(1)
    off = error(texture, texels.row, texels.column, points)
    assert off.mean() < 2 and off.max() < 16, (off.mean(), off.max())


def test_what_a_viewer_samples_is_right_across_seams_too(body, texture):
    vertices, triangles, _, uvs, _ = body
    size, texture = len(texture), texture.astype(float)
    points, face = trimesh.sample.sample_surface(solid(vertices, triangles), 40_000, seed=1)
    bary = trimesh.triangles.points_to_barycentric(vertices[triangles[face]], points)
    uv = (uvs[face] * bary[..., None]).sum(1)
    x, y = np.clip(uv[:, 0] * size - 0.5, 0, size - 2), np.clip((1 - uv[:, 1]) * size - 0.5, 0, size - 2)
    c, r = x.astype(int), y.astype(int)
    fx, fy = (x - c)[:, None], (y - r)[:, None]
    seen = (texture[r, c] * (1 - fx) + texture[r, c + 1] * fx) * (1 - fy) + (
        texture[r + 1, c] * (1 - fx) + texture[r + 1, c + 1] * fx
    ) * fy
    off = np.abs(seen - 255 * colour_field(points))
    assert off.mean() < 2 and off.max() < 20, (off.mean(), off.max())


def test_what_lies_under_the_surface_does_not_shine_through(body):
    vertices, triangles, normals, uvs, cloud = body
    under = gaussians(*surface(BODY), depth=0.014, seed=5)
    under.colour[:] = [1, 0, 0]
    cloud = GaussianCloud(**vars(cloud) | {"opacity": np.maximum(cloud.opacity, 0.5)})
    texels = chart_texels(uvs, 256)
    points = (vertices[triangles[texels.triangle]] * texels.bary[..., None]).sum(1)
    textures = (bake(vertices, triangles, normals, uvs, c, 256) for c in (cloud, joined(cloud, under)))
    alone, both = (error(t, texels.row, texels.column, points).mean() for t in textures)
    assert both < alone + 3, (alone, both)


def two(scale, angles=(0, 0), opacity=(0.5, 0.5)):
    """Colour at the origin, seen from +Z, between a red and a green gaussian, 0.01 away on a line through it 30
    degrees from Y.

    angles: degrees that each is turned by about Z.
    """
    way = 0.01 * np.array([-0.5, np.sqrt(0.75), 0])
    rotation = Rotation.from_euler("z", np.reshape(angles, (2, 1)), degrees=True).as_quat()[:, [3, 0, 1, 2]]
    cloud = GaussianCloud(
        np.array([way, -way]), np.array([scale, scale]), rotation, np.array(opacity), np.array([[1.0, 0, 0], [0, 1, 0]])
    )
    return colours_at(np.zeros((1, 3)), np.array([[0, 0, 1.0]]), cloud)[0]


def test_density_follows_shape_and_rotation_and_opacity():
    long_in_y, round_ = [0.002, 0.01, 0.002], [0.006] * 3
    assert two(round_) == pytest.approx([0.5, 0.5, 0], abs=0.05)
    assert two(long_in_y, (30, -30))[0] > 0.95, (
        "turned by 30 degrees it reaches the origin, turned the other way it does not"
    )
    assert two(long_in_y, (-30, 30))[1] > 0.95
    faint = two(round_, opacity=(0.9, 0.1))
    assert faint[0] > 3 * faint[1] > 0


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_gaussians_still_paint_everything(body, count):
    vertices, triangles, normals, uvs, cloud = body
    few = GaussianCloud(*(value[:count] for value in vars(cloud).values()))
    texture = bake(vertices, triangles, normals, uvs, few, 256)
    if not count:
        assert (texture == 128).all()
        return
    low, high = np.clip(few.colour.min(0), 0, 1) * 255 - 1, np.clip(few.colour.max(0), 0, 1) * 255 + 1
    assert ((texture >= low) & (texture <= high)).all()


def test_baking_tells_how_far_it_is_and_can_be_stopped(body):
    shares = []
    bake(*body, 512, shares.append)
    assert len(shares) > 2 and shares == sorted(shares) and shares[0] >= 0 and shares[-1] < 1

    def stop(share):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        bake(*body, 512, stop)


def test_charts_do_not_overlap_and_fill_the_texture(body):
    uvs = body[3]
    assert uvs.min() >= 0 and uvs.max() <= 1
    found = inside_charts(uvs, 1024)
    assert (found > 1).sum() < 0.002 * (found > 0).sum(), "only centres exactly on an edge may be counted twice"
    assert (found > 0).mean() > 0.4


def test_the_wall_around_a_cavity_goes_and_the_outside_stays():
    outside, both = surface(BODY), surface(shell(BODY))
    assert len(both[1]) > 1.5 * len(outside[1])
    vertices, triangles = clean(*both)
    assert solid(vertices, triangles).is_watertight
    assert solid(vertices, triangles).volume == pytest.approx(solid(*outside).volume, rel=1e-3)


def test_an_inner_wall_that_hangs_on_the_outer_one_at_a_leak_goes_too():
    x, y, z = np.meshgrid(*3 * [np.linspace(-0.5, 0.5, 160)], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    hole = np.maximum(np.hypot(x, y), -z)  # a thin one through the top
    vertices, triangles = surface(np.maximum(np.abs(radius - 0.42) - 0.02, 0.018 - hole))
    assert len(np.unique(pieces(len(vertices), triangles))) == 1
    left = solid(*clean(vertices, triangles))
    assert left.is_watertight and left.volume == pytest.approx(4 / 3 * np.pi * 0.44**3, rel=0.01)


@pytest.mark.parametrize(
    "field",
    [
        np.minimum(column(-0.11, 0, 0.1), column(0.11, 0, 0.1))
        + 100 * (np.abs(Z) > 0.4),  # two limbs with a narrow gap
        np.maximum(shell(ball(0, 0, 0, 0.3)), -np.maximum(column(0, 0, 0.12), -Z)),  # a bowl: its inside is seen
        BODY,
    ],
)
def test_surfaces_that_can_be_seen_stay(field):
    vertices, triangles = surface(field)
    assert not hidden(vertices, triangles).any()


def test_only_the_space_right_in_front_of_a_face_counts():
    def box(low, high, inverted=False):
        mesh = trimesh.creation.box(bounds=[low, high]).subdivide_to_size(0.03)
        mesh.invert() if inverted else None
        return mesh

    # Two hollow blocks a hair apart: behind the gap and the other's thin wall lies a cavity.
    parts = []
    for low, high in ((-0.5, -0.003), (0.003, 0.5)):
        parts += [box((low, 0, 0), (high, 0.2, 0.2)), box((low + 0.01, 0.01, 0.01), (high - 0.01, 0.19, 0.19), True)]
    whole = trimesh.util.concatenate(parts)
    inner = np.repeat([False, True, False, True], [len(part.faces) for part in parts])
    assert (hidden(whole.vertices, whole.faces) == inner).all()


def test_crumbs_go_but_parts_and_the_last_piece_stay():
    vertices, triangles = surface(np.minimum(BODY, ball(-0.4, 0, 0.4, 0.06)))
    count = len(triangles)
    triangles = np.concatenate([triangles, len(vertices) + np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])])
    vertices = np.concatenate([vertices, 0.4 + 0.01 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])])
    assert (np.flatnonzero(crumbs(vertices, triangles)) == count + np.arange(4)).all()
    left = clean(vertices, triangles)
    assert len(np.unique(pieces(len(left[0]), left[1]))) == 2
    alone = surface(ball(0, 0, 0, 0.02))
    assert len(clean(*alone)[1]) == len(alone[1])


def test_holes_are_closed_and_wide_openings_are_not():
    vertices, triangles = surface(BODY)
    centres = vertices[triangles].mean(1)
    small = (np.linalg.norm(centres - [0.2, 0, -0.1], axis=1) > 0.03) & (
        np.linalg.norm(centres - [0, 0, 0.26], axis=1) > 0.035
    )
    closed = solid(*clean(vertices, triangles[small]))
    assert (
        closed.is_watertight
        and closed.is_winding_consistent
        and closed.volume == pytest.approx(solid(vertices, triangles).volume, rel=0.03)
    )
    assert not solid(*clean(vertices, triangles[centres[:, 2] > -0.2])).is_watertight


def test_damaged_surfaces_are_survived():
    vertices, triangles = surface(BODY)
    vertices = np.concatenate([vertices, [[np.nan, 0, 0], [5, 5, 5]]])
    extra = [[0, 0, 1], [0, 1, len(vertices) - 2], triangles[5], triangles[5][::-1]]
    left, faces = clean(vertices, np.concatenate([triangles, extra]))
    assert np.isfinite(left).all() and left.max() < 1 and solid(left, faces).is_watertight
    assert len(clean(vertices, np.zeros((0, 3), int))[1]) == 0


@pytest.mark.parametrize("budget", [1000, 5000])
def test_simplifying_keeps_the_budget_and_the_shape(budget):
    dense = surface(BODY)
    vertices, triangles = simplify(*dense, budget)
    assert 0.9 * budget < len(triangles) <= budget
    light = solid(vertices, triangles)
    assert light.is_watertight and light.is_winding_consistent
    assert light.volume == pytest.approx(solid(*dense).volume, rel=0.01)


def test_finished_meshes_stand_upright_in_metres_and_face_the_front(tmp_path):
    dense = surface(shell(BODY))
    cloud = gaussians(*dense, count=20_000)
    stages = []
    made = finish(*dense, cloud, 3000, 256, 1.6, lambda stage, share, message: stages.append((stage, share)))
    low, high = made.vertices.min(0), made.vertices.max(0)
    assert low[1] == pytest.approx(0, abs=1e-9) and high[1] == pytest.approx(1.6)
    assert low[0] + high[0] == pytest.approx(0, abs=1e-6)
    nose = made.vertices[made.vertices[:, 1] > 1.0]
    assert nose[:, 2].max() > -nose[:, 2].min() + 0.05, "the nose points to +Z"
    assert solid(made.vertices, made.triangles).volume > 0
    assert (made.normals * (made.vertices - [0, 0.8, 0])).sum(1).mean() > 0, "normals point outwards"
    assert [share for _, share in stages] == sorted(share for _, share in stages)
    again = finish(*dense, cloud, 3000, 256, 1.6, lambda *_: None)
    files = [
        write_glb(tmp_path / f"{i}.glb", m.vertices, m.triangles, m.normals, m.corner_uvs, m.texture)
        for i, m in enumerate((made, again))
    ]
    assert len({hashlib.sha256(file.read_bytes()).hexdigest() for file in files}) == 1, (
        "the same input gives the same bytes"
    )


def test_something_long_is_not_blown_up_to_a_persons_height():
    long = surface(np.maximum(np.hypot(Y, Z) - 0.06, np.abs(X) - 0.45))
    made = finish(*long, gaussians(*long, count=5000), 1000, 128, 1.6, lambda *_: None)
    assert np.ptp(made.vertices, axis=0).max() == pytest.approx(3.2)


def test_a_person_is_turned_to_the_front_and_what_one_hand_holds_does_not_push_it_aside():
    person = make(Figure(arm=20), cell=0.02)
    pole = surface(np.maximum(np.hypot(X, Z) - 0.02, np.abs(Y) - 0.3))
    vertices = np.concatenate([person.vertices, pole[0] + [0.75, 0.9, 0]])
    triangles = np.concatenate([person.triangles, pole[1] + len(person.vertices)])
    for yaw in (0, 90, 270):
        placed, _ = place(turn(vertices, yaw), triangles, 2.0)
        feet = placed[placed[:, 1] < 0.1]
        body = placed[: len(person.vertices)]
        assert np.ptp(placed[:, 1]) == pytest.approx(2.0) and placed[:, 1].min() == 0
        assert abs(body[:, [0, 2]].min(0) + body[:, [0, 2]].max(0))[0] < 0.1, (
            "the body is in the middle, not body and pole"
        )
        assert np.ptp(body[:, 0]) > 2 * np.ptp(body[:, 2]) and feet[:, 2].max() > -feet[:, 2].min(), (
            "arms along X, toes towards +Z"
        )
