# SPDX-License-Identifier: GPL-3.0-or-later
"""The face step on heads made by formula: an ellipsoid on a neck, closed, and the same with a shell inside."""

import dataclasses
import itertools

import numpy as np
import pytest

from avatar_addon.errors import AvatarError
from avatar_addon.face.synthesis import build
from avatar_addon.face.synthesis.build import PARTS
from avatar_addon.landmarks import FaceLandmarks
from avatar_addon.mesh.arrays import SkinnedMesh
from avatar_addon.vrm.spec.perfect_sync import SYNC_SHAPES
from avatar_addon.vrm.spec.presets import EMOTIONS, LOOKS, VISEMES


def build_face(data, face, head, **more):
    return build.build_face(data, FaceLandmarks.from_dict(face), head, **more)


NAMES = [*VISEMES, "blinkLeft", "blinkRight", *EMOTIONS, *LOOKS]
WIDTH, EYE = 0.05, (0.018, 0.009)
FACE = {
    "leftEye": {"center": [0.033, -0.1, 1.53], "half_width": EYE[0], "half_height": EYE[1]},
    "rightEye": {"center": [-0.033, -0.1, 1.53], "half_width": EYE[0], "half_height": EYE[1]},
    "mouth": {"center": [0.0, -0.1, 1.455], "width": WIDTH},
    "confidence": {"eyes": 0.9, "mouth": 0.8},
}


def ellipsoid(rings: int, columns: int, size: float = 1.0, flip: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A closed head at 1.5 m, 0.16 m wide, 0.2 m deep, 0.24 m high, drawn out downwards into a neck."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1, None]
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    x, y, z = np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around
    points = np.stack([0.08 * x, 0.1 * y, 0.12 * z], -1).reshape(-1, 3)
    points = np.concatenate([points, [[0, 0, 0.12], [0, 0, -0.12]]]) * size
    neck = points[:, 2] < -0.085
    points[neck, 2] = -0.085 + (points[neck, 2] + 0.085) * 5
    k = np.arange(rings - 2)[:, None] * columns
    a, b = k + np.arange(columns), k + (np.arange(columns) + 1) % columns
    quads = np.stack([np.stack([a, a + columns, b], -1), np.stack([b, a + columns, b + columns], -1)], 2).reshape(-1, 3)
    first, last = np.arange(columns), np.arange(columns) + (rings - 2) * columns
    top, bottom = len(points) - 2, len(points) - 1
    caps = [np.column_stack([np.full(columns, top), first, np.roll(first, -1)])]
    caps.append(np.column_stack([np.full(columns, bottom), np.roll(last, -1), last]))
    triangles = np.concatenate([quads, *caps])
    return points + [0, 0, 1.5], triangles[:, ::-1] if flip else triangles


def head(rings: int = 60, columns: int = 80, shell: bool = False) -> SkinnedMesh:
    points, triangles = ellipsoid(rings, columns)
    if shell:
        inner, inside = ellipsoid(rings, columns, 0.86, flip=True)
        triangles = np.concatenate([triangles, inside + len(points)])
        points = np.concatenate([points, inner])
    weight = np.clip((points[:, 2] - 1.36) / 0.04, 0, 1)
    uvs = points[triangles][:, :, [0, 2]].astype(np.float32)
    return SkinnedMesh(
        points, triangles.astype(np.int32), uvs, np.zeros(len(triangles), np.int32), ["Skin"], ["neck", "head"],
        np.column_stack([1 - weight, weight]).astype(np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module", params=["solid", "shell", "coarse"])
def built(request):
    data = {"solid": head, "shell": lambda: head(shell=True), "coarse": lambda: head(14, 18)}[request.param]()
    return data, build_face(data, FACE, "head")


def part(mesh: SkinnedMesh, name: str) -> np.ndarray:
    """Vertex numbers of a material."""
    return np.unique(mesh.triangles[mesh.material_index == mesh.materials.index(PARTS.get(name, name))])


def lids(mesh: SkinnedMesh) -> np.ndarray:
    """Vertex numbers of all four lids, which nothing else but a blink moves as far."""
    return np.flatnonzero(
        np.maximum(*(np.abs(mesh.shape_keys[name]).max(1) for name in ("blinkLeft", "blinkRight"))) > 0
    )


def lips(mesh: SkinnedMesh) -> np.ndarray:
    """Pairs of vertices, upper and lower, that lie at the same place of the slit."""
    skin = part(mesh, "Skin")
    rim = np.intersect1d(skin, np.concatenate([part(mesh, "Mouth"), part(mesh, "Tongue")]))
    upper = rim[np.argsort(mesh.vertices[rim, 0], kind="stable")]
    same = [(a, b) for a, b in itertools.combinations(upper, 2) if np.array_equal(mesh.vertices[a], mesh.vertices[b])]
    down = mesh.shape_keys["aa"][:, 2]
    return np.array([(a, b) if down[a] > down[b] else (b, a) for a, b in same])


def test_the_skin_stays_closed_and_looks_the_same_at_rest(built):
    data, result = built
    mesh = result.mesh
    assert result.warnings == []
    pairs = mesh.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    directed, count = np.unique(pairs, axis=0, return_counts=True)
    assert (count == 1).all()
    assert {tuple(p) for p in directed.tolist()} == {tuple(p) for p in directed[:, ::-1].tolist()}
    np.testing.assert_array_equal(mesh.vertices[: len(data.vertices)], data.vertices)
    corners = mesh.vertices[mesh.triangles]
    skin = (mesh.material_index == 0) & ~np.isin(mesh.triangles, lids(mesh)).any(1)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    before = data.vertices[data.triangles]
    old = np.linalg.norm(np.cross(before[:, 1] - before[:, 0], before[:, 2] - before[:, 0]), axis=1)
    assert area[skin].min() > 0 and area[skin].sum() == pytest.approx(old.sum(), rel=2e-3)
    np.testing.assert_allclose(mesh.corner_uvs[skin], corners[skin][:, :, [0, 2]], atol=WIDTH * 0.03)
    np.testing.assert_allclose(mesh.weights.sum(1), 1, atol=1e-5)


def test_the_mouth_is_shut_at_rest_and_opens_on_a_cavity_with_teeth(built):
    _, result = built
    mesh = result.mesh
    pairs = lips(mesh)
    assert len(pairs) >= 6 and np.ptp(mesh.vertices[pairs[:, 0], 0]) > 0.7 * WIDTH
    opening = {
        name: (mesh.shape_keys[name][pairs[:, 0], 2] - mesh.shape_keys[name][pairs[:, 1], 2]).max() / WIDTH
        for name in NAMES
    }
    assert opening["aa"] >= 0.45 and opening["oh"] > 0.3 and all(opening[name] > 0.1 for name in VISEMES)
    assert abs(opening["happy"]) < 0.01 and abs(opening["blinkLeft"]) < 1e-6
    inner = np.concatenate([part(mesh, name) for name in ("Mouth", "Tongue", "Teeth")])
    assert mesh.weights[np.setdiff1d(inner, part(mesh, "Skin")), 1].min() == 1
    x, y, z = (mesh.vertices[inner] - [0, 0, 1.5]).T
    assert ((x / 0.08) ** 2 + (y / 0.1) ** 2 + (z / 0.12) ** 2).max() < 1.001  # inside the head
    teeth = mesh.vertices[part(mesh, "Teeth"), 2] - 1.455
    up = mesh.shape_keys["aa"][pairs[:, 0], 2].max()
    behind = mesh.vertices[part(mesh, "Teeth"), 1] - mesh.vertices[pairs, 1].min()
    assert 0 < behind.min() < 0.2 * WIDTH
    assert teeth.min() < 0 and teeth.max() > up  # they hang into the open mouth and reach above its lip


def test_what_moves_where(built):
    data, result = built
    keys, at = result.mesh.shape_keys, result.mesh.vertices
    assert list(keys) == NAMES
    for name, key in keys.items():
        amount = np.linalg.norm(key, axis=1)
        moved = amount > 0
        assert amount.max() > 0.002, name
        assert at[moved, 1].max() < 0 and at[moved, 2].min() > 1.36, name
        assert moved[: len(data.vertices)].mean() < 0.5
    eyes = {"blinkLeft": FACE["leftEye"], "blinkRight": FACE["rightEye"]}
    for name, eye in eyes.items():
        moved = np.abs(keys[name]).max(1) > 0
        assert (np.abs(at[moved, 0] - eye["center"][0]) < 1.3 * EYE[0]).all()
    assert keys["lookLeft"][:, 0].max() > 0.003 > -keys["lookLeft"][:, 0].min() * 100
    assert keys["lookUp"][:, 2].max() > 0.002 and keys["lookDown"][:, 2].min() < -0.002
    corner = np.abs(at - [WIDTH / 2, 0, 1.455])[:, [0, 2]].max(1) < 0.15 * WIDTH
    assert keys["happy"][corner, 2].max() > 0.004 and keys["sad"][corner, 2].min() < -0.004


def test_a_blink_covers_the_whole_eye_with_skin_from_below_it_and_a_line_of_lashes(built):
    data, result = built
    mesh, centre = result.mesh, np.array(FACE["leftEye"]["center"])[[0, 2]]
    shut = mesh.vertices + mesh.shape_keys["blinkLeft"]
    lid = np.isin(mesh.triangles, lids(mesh)).any(1) & (mesh.vertices[mesh.triangles[:, 0], 0] > 0)
    corners, uvs = shut[mesh.triangles[lid]], mesh.corner_uvs[lid]
    front = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 1] < 0
    corners, uvs = corners[front], uvs[front]
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        for radius in (0.2, 0.6, 0.95):
            x, z = radius * np.array([np.cos(angle), np.sin(angle)])
            p = centre + np.array([x, z]) * EYE
            a, b, c = corners[:, :, [0, 2]].transpose(1, 0, 2)
            side = [(q - o)[:, 0] * (p - o)[:, 1] - (q - o)[:, 1] * (p - o)[:, 0] for o, q in ((a, b), (b, c), (c, a))]
            over = np.min(side, 0) >= -1e-9
            assert over.any(), (angle, radius)
            line = -0.5 * (1 - x * x) ** 0.45
            if abs(z - line) > 0.3:  # away from the lashes: the colour of what lies below the eye
                assert (uvs[over][:, :, 1].max(1) < centre[1] - 1.1 * EYE[1]).all(), (angle, radius)
    if len(data.vertices) > 1000:  # before the skin, but for the eye's corners
        moved = np.flatnonzero(np.abs(mesh.shape_keys["blinkLeft"]).max(1) > 0)
        moved = moved[np.abs(mesh.vertices[moved, 0] - centre[0]) < EYE[0]]
        assert (((shut[moved] - [0, 0, 1.5]) / [0.08, 0.1, 0.12]) ** 2).sum(1).min() > 1
    rest = mesh.vertices[lids(mesh)] - [0, 0, 1.5]
    assert ((rest / [0.08, 0.1, 0.12]) ** 2).sum(1).max() < 1  # and behind it at rest
    dark = uvs[(uvs[:, :, 1] > centre[1]).all(1)]
    assert len(dark)


def front_at(corners: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of triangles (T, 3, 3) seen from the front: y of the foremost at places (N, 2) of x and z, and which; infinite
    where none is.
    """
    flat = corners[:, :, [0, 2]]
    near = np.flatnonzero(((flat.min(1) <= places.max(0)) & (flat.max(1) >= places.min(0))).all(1))
    corners, (a, b, c) = corners[near], flat[near].transpose(1, 0, 2)
    (bx, bz), (cx, cz) = (b - a).T, (c - a).T
    x, z = np.moveaxis(places[:, None] - a, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        s, t = (x * cz - z * cx) / (bx * cz - bz * cx), (z * bx - x * bz) / (bx * cz - bz * cx)
        y = corners[:, 0, 1] + s * (corners[:, 1, 1] - corners[:, 0, 1]) + t * (corners[:, 2, 1] - corners[:, 0, 1])
        y = np.where((s >= 0) & (t >= 0) & (s + t <= 1), y, np.inf)
    return y.min(1), near[y.argmin(1)]


def shut_eyes(data: SkinnedMesh) -> tuple[SkinnedMesh, np.ndarray, np.ndarray]:
    """The mesh with its face, its triangles' corners with both eyes shut, and which of these are the lids'."""
    mesh = build_face(data, FACE, "head").mesh
    shut = mesh.vertices + mesh.shape_keys["blinkLeft"] + mesh.shape_keys["blinkRight"]
    return mesh, shut[mesh.triangles], np.isin(mesh.triangles, lids(mesh)).any(1)


@pytest.mark.parametrize("across", [True, False])
def test_shut_lids_lie_before_a_ridge_within_the_eye(across):
    """Finer than the lids' quads, and higher than lids usually lie before the skin (1 mm)."""
    data = head(160, 240)
    x, _, z = np.abs(
        np.abs(data.vertices - [0, 0, FACE["leftEye"]["center"][2]]) - [FACE["leftEye"]["center"][0], 0, 0]
    ).T
    ridge = (z if across else x) < 0.0014
    data.vertices[ridge & (data.vertices[:, 1] < 0), 1] -= 0.003
    _, corners, lid = shut_eyes(data)
    a, b = (x.ravel() for x in np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41)))
    for side in (1, -1):
        centre = np.array([side * 0.033, 1.53])
        places = centre + (np.column_stack([a, b]) * EYE)[np.hypot(a, b) < 0.97]
        assert (np.ptp(front_at(corners[~lid], places)[0])) > 0.003
        ahead = front_at(corners[~lid], places)[0] - front_at(corners[lid], places)[0]
        assert ahead.min() > 0 and ahead.max() < 0.012  # and does not stand out like a goggle


def test_lashes_are_the_foremost_of_shut_eyes_on_a_flat_face_too(built):
    data, _ = built
    data = dataclasses.replace(data, vertices=np.maximum(data.vertices, [-np.inf, -0.07, -np.inf]))
    mesh, corners, _ = shut_eyes(data)
    at = np.linspace(-0.8, 0.8, 9)
    height = (1 - (at / 1.18) ** 2) ** 0.45 * EYE[1]
    for side in (1, -1):
        for share, dark in ((-0.45, True), (-0.53, True), (-0.2, False), (-0.75, False)):
            places = np.column_stack([side * 0.033 + at * EYE[0], 1.53 + share * height])
            v = mesh.corner_uvs[front_at(corners, places)[1]][:, :, 1]
            assert ((v > 1.53).all(1) == dark).all(), share


def test_lids_on_their_way_are_out_of_the_skin_and_wait_behind_all_of_it(built):
    """As a tracker's half shut eyes show them, in a straight line between open and shut."""
    mesh, face = built[1].mesh, np.isin(built[1].mesh.triangles, lids(built[1].mesh)).any(1)
    way = mesh.shape_keys["blinkLeft"] + mesh.shape_keys["blinkRight"]
    a, b = (x.ravel() for x in np.meshgrid(np.linspace(-1.2, 1.2, 61), np.linspace(-1.4, 1.4, 61)))
    for side in (1, -1):
        places = np.array([side * 0.033, 1.53]) + np.column_stack([a, b]) * EYE
        skin = front_at(mesh.vertices[mesh.triangles[~face]], places)[0]
        for weight, most in ((0.0, 0.0), (0.25, 0.02), (0.5, 0.005), (0.75, 0.0)):
            lid = front_at((mesh.vertices + weight * way)[mesh.triangles[face]], places)[0]
            seen = np.isfinite(lid) & np.isfinite(skin)
            hidden = (lid > skin)[seen].mean() if seen.any() else 1.0
            assert hidden == 1 if weight == 0 else hidden <= most, (side, weight, hidden)


def test_what_a_shape_turns_over_has_no_outline():
    """Slivers below the mouth: of some triangles one corner lies nearly on the edge between the others."""
    data = head()
    middle = data.vertices[data.triangles].mean(1) - FACE["mouth"]["center"]
    taken: set[int] = set()
    for i, j, k in data.triangles[(np.abs(middle) < [0.02, 0.05, 0.02]).all(1) & (middle[:, 2] < -0.008)].tolist():
        if taken.isdisjoint((i, j, k)):
            taken |= {i, j, k}
            data.vertices[i] += 0.998 * ((data.vertices[j] + data.vertices[k]) / 2 - data.vertices[i])
    result = build_face(data, FACE, "head")
    mesh, moved = result.mesh, result.mesh.vertices + result.mesh.shape_keys["aa"]

    def normals(points):
        a, b, c = points[mesh.triangles].transpose(1, 0, 2)
        out = np.cross(b - a, c - a)
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-20)

    turned = ((normals(mesh.vertices) * normals(moved)).sum(1) < 0) & (mesh.material_index == 0)
    assert turned.any() and result.bare[turned].all()


def test_a_material_of_the_users_own_is_not_taken_for_the_mouth():
    data = head(30, 40)
    data.materials = ["Mouth", "Teeth"]
    mesh = build_face(data, FACE, "head").mesh
    assert mesh.materials[:2] == ["Mouth", "Teeth"] and set(mesh.materials[2:]) == set(PARTS.values())
    assert (np.bincount(mesh.material_index, minlength=5)[2:] > 0).all()


def test_the_lids_take_their_colours_from_plain_skin_and_the_darkest_line_of_the_eye():
    """A texture over x and z: skin, a dark ring of glasses below the eye, and lashes inside the eye's upper half."""
    texture = np.full((1000, 100, 3), 200, np.uint8)
    row = 1000 - 1 - ((np.array([1.5125, 1.515]) % 1) * 1000).astype(int)
    texture[row[1] : row[0]] = 40
    lash = 1000 - 1 - int((1.53 + 0.7 * EYE[1]) % 1 * 1000)
    texture[lash - 1 : lash + 2] = 0
    mesh = build_face(head(), FACE, "head", texture=texture).mesh
    v = np.unique(np.round(mesh.corner_uvs[np.isin(mesh.triangles, lids(mesh)).any(1)][:, :, 1], 5))
    below = v[v < 1.53]
    assert below.min() > 1.515 or below.max() < 1.513  # where its lowest pixel begins
    assert v[v > 1.53].max() < 1.53 + 0.95 * EYE[1]


def test_lids_in_a_visor_are_as_the_visor_and_not_as_the_plating_below_it():
    texture = np.full((1000, 100, 3), 200, np.uint8)
    top, bottom = (1000 - 1 - int(v % 1 * 1000) for v in (1.545, 1.514))
    texture[top:bottom] = 40
    mesh = build_face(head(), FACE, "head", texture=texture).mesh
    v = mesh.corner_uvs[np.isin(mesh.triangles, lids(mesh)).any(1)][:, :, 1]
    assert (texture[1000 - 1 - (v % 1 * 1000).astype(int), 0] == 40).all()


def test_visemes_differ(built):
    fields = [built[1].mesh.shape_keys[name].ravel().astype(float) for name in VISEMES]
    for a, b in itertools.combinations(fields, 2):
        assert a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) < 0.97


def test_displaced_skin_stays_on_the_head(built):
    _, result = built
    mesh = result.mesh
    skin = part(mesh, "Skin")
    skin = skin[mesh.vertices[skin, 2] > 1.42]
    for name in NAMES:
        moved = skin[np.abs(mesh.shape_keys[name][skin]).max(1) > 0]
        x, y, z = (mesh.vertices[moved] + mesh.shape_keys[name][moved] - [0, 0, 1.5]).T
        radius = np.sqrt((x / 0.08) ** 2 + (y / 0.1) ** 2 + (z / 0.12) ** 2)
        assert radius.min() > 0.85 and radius.max() < 1.08, name


def test_lids_and_lips_are_bare_of_outlines_and_nothing_else_is(built):
    _, result = built
    mesh = result.mesh
    on_lids = np.isin(mesh.triangles, lids(mesh)).all(1)
    assert on_lids.any() and result.bare[on_lids].all()
    at = mesh.vertices[mesh.triangles].mean(1)[result.bare & ~on_lids] - FACE["mouth"]["center"]
    assert (np.abs(at) < [WIDTH, 1, WIDTH]).all() and np.abs(at[:, 0]).max() > 0.45 * WIDTH
    assert (mesh.material_index[result.bare] == mesh.materials.index("Skin")).all()


def test_it_is_the_same_every_time():
    one, two = (build_face(head(30, 40), FACE, "head").mesh for _ in range(2))
    assert one.vertices.tobytes() == two.vertices.tobytes() and one.triangles.tobytes() == two.triangles.tobytes()
    assert all(one.shape_keys[name].tobytes() == two.shape_keys[name].tobytes() for name in NAMES)


def test_mixed_up_eyes_and_missing_sizes_are_no_trouble():
    bare = {name: {"center": FACE[name]["center"]} for name in ("leftEye", "rightEye", "mouth")}
    bare["leftEye"], bare["rightEye"] = bare["rightEye"], bare["leftEye"]
    result = build_face(head(30, 40), bare, "head")
    moved = np.abs(result.mesh.shape_keys["blinkLeft"]).max(1) > 0
    assert result.mesh.vertices[moved, 0].min() > 0
    found = result.landmarks.parts
    assert found["leftEye"].center[0] > 0 and 0.01 < found["mouth"].half_width < 0.04


def test_a_mouth_is_cut_through_large_triangles_that_reach_behind_hair():
    data = head(7, 8)  # a column of vertices in the middle, and one on each side, behind a lock of hair
    lock = np.array([[0.04, -0.13, 1.4], [0.1, -0.13, 1.4], [0.1, -0.13, 1.5], [0.04, -0.13, 1.5]])
    lock = np.concatenate([lock, lock - [0.14, 0, 0]])
    plate = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], np.int32) + len(data.vertices)
    haired = dataclasses.replace(
        data,
        vertices=np.concatenate([data.vertices, lock]),
        triangles=np.concatenate([data.triangles, plate]),
        corner_uvs=np.concatenate([data.corner_uvs, np.zeros((4, 3, 2), np.float32)]),
        material_index=np.concatenate([data.material_index, np.zeros(4)]).astype(np.int32),
        weights=np.concatenate([data.weights, np.tile(np.float32([0, 1]), (8, 1))]),
    )
    result = build_face(haired, FACE, "head")
    assert not result.warnings and set(VISEMES) <= set(result.mesh.shape_keys)


def test_a_mouth_off_the_head_gives_no_visemes_and_says_so():
    below = FACE | {"mouth": {"center": [0.0, 0.0, 1.3], "width": WIDTH}}
    result = build_face(head(), below, "head")
    assert [warning["code"] for warning in result.warnings] == ["no_mouth"]
    assert not set(VISEMES) & set(result.mesh.shape_keys) and "blinkLeft" in result.mesh.shape_keys
    assert result.mesh.materials == ["Skin"]


@pytest.mark.parametrize(
    "change",
    [
        {"mouth": {"center": [0.0, 3.0, -2.0]}},
        {"mouth": {"center": [0.0, -0.1, 1.6]}},
        {"leftEye": {"center": [0.3, 0.0, 1.53]}},
        {"leftEye": {"center": FACE["rightEye"]["center"]}},
        {"rightEye": {}},
        {"mouth": {"center": [0.0, float("nan"), 1.45]}},
    ],
)
def test_markers_that_make_no_face_are_refused_in_a_sentence(change):
    with pytest.raises(AvatarError, match=r"^[A-Z].*\.$") as failure:
        build_face(head(20, 24), FACE | change, "head")
    assert failure.value.code == "face_markers"


@pytest.fixture(scope="module")
def synced():
    return build_face(head(), FACE, "head", perfect_sync=True)


def test_perfect_sync_gives_all_52_shapes_each_on_its_side(synced):
    mesh = synced.mesh
    assert set(SYNC_SHAPES) <= set(mesh.shape_keys) and len(SYNC_SHAPES) == 52
    assert set(NAMES) <= set(mesh.shape_keys) and synced.warnings == []
    for shape in SYNC_SHAPES.values():
        length = np.linalg.norm(mesh.shape_keys[shape.name], axis=1)
        assert length.max() > 0.001
        if shape.side:
            left = length[mesh.vertices[:, 0] > 0].sum() / length.sum()
            assert left > 0.9 if shape.side == "Left" else left < 0.1


def test_perfect_sync_folds_no_skin_and_moves_only_the_head(synced):
    mesh = synced.mesh
    skin = mesh.triangles[mesh.material_index == mesh.materials.index("Skin")]

    def normals(points):
        corners = points[skin]
        return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])

    rest = normals(mesh.vertices)
    area = np.linalg.norm(rest, axis=1)
    for shape in SYNC_SHAPES.values():
        moved = mesh.shape_keys[shape.name] + (mesh.shape_keys[shape.with_] if shape.with_ else 0)
        turned = (normals(mesh.vertices + moved) * rest).sum(1) < 0
        assert area[turned].sum() < 1e-3 * area.sum(), shape.name
        assert not np.linalg.norm(moved, axis=1)[mesh.weights[:, 1] < 0.5].any()


def test_the_jaw_closed_by_mouth_close_shuts_the_lips(synced):
    keys, pairs = synced.mesh.shape_keys, lips(synced.mesh)
    apart = {name: keys[name][pairs[:, 0]] - keys[name][pairs[:, 1]] for name in ("jawOpen", "mouthClose")}
    assert np.linalg.norm(apart["jawOpen"], axis=1).max() > 0.3 * WIDTH
    assert np.linalg.norm(apart["jawOpen"] + apart["mouthClose"], axis=1).max() < 0.02 * WIDTH


def test_a_face_without_mouth_and_lids_lists_the_shapes_that_it_lacks():
    face = {**FACE, "mouth": {"center": [0.0, -0.1, 1.38], "width": WIDTH}}
    result = build_face(head(), face, "head", closing=False, perfect_sync=True)
    told = next(entry["message"] for entry in result.warnings if entry["code"] == "perfect_sync")
    lacking = {name for name in SYNC_SHAPES if name not in result.mesh.shape_keys}
    assert {"jawOpen", "tongueOut", "eyeBlinkLeft"} <= lacking and all(name in told for name in lacking)
