"""What a mesh of unknown origin needs: which side is out, which end is up, how tall it is."""

import numpy as np
import pytest

from avatar_addon.intake import geometry
from avatar_addon.mesh import islands, outside

BOX = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
SIDES = np.array(
    [
        [0, 1, 3],
        [0, 3, 2],
        [4, 6, 7],
        [4, 7, 5],
        [0, 4, 5],
        [0, 5, 1],
        [2, 3, 7],
        [2, 7, 6],
        [0, 2, 6],
        [0, 6, 4],
        [1, 5, 7],
        [1, 7, 3],
    ]
)


def grid_box(centre, size, steps=6):
    """Points all over a box: what a figure of boxes is seen by."""
    line = np.linspace(-0.5, 0.5, steps)
    points = np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3)
    return points * size + centre


@pytest.fixture
def figure():
    """A person of boxes, 1.7 m, facing -Y: legs apart, toes in front, arms out, a head."""
    parts = [((0, 0, 1.1), (0.35, 0.2, 0.6)), ((0, 0, 1.57), (0.2, 0.2, 0.26))]
    for side in (-1, 1):
        parts += [((side * 0.12, 0, 0.4), (0.12, 0.12, 0.8)), ((side * 0.12, -0.06, 0.03), (0.1, 0.26, 0.06))]
        parts += [((side * 0.5, 0, 1.35), (0.65, 0.09, 0.09))]
    return np.concatenate([grid_box(np.array(centre), np.array(size), 12) for centre, size in parts])


def boxes(*placed):
    """(vertices, triangles) of boxes given as (centre, size, looks outwards)."""
    vertices, triangles = [], []
    for k, (centre, size, outwards) in enumerate(placed):
        vertices.append(BOX * size + centre)
        triangles.append((SIDES if outwards else SIDES[:, ::-1]) + 8 * k)
    return np.concatenate(vertices), np.concatenate(triangles)


@pytest.mark.parametrize(
    "placed, wrong",
    [
        ([((0, 0, 0), 1, True)], [False]),
        ([((0, 0, 0), 1, False)], [True]),
        ([((0, 0, 0), 1, True), ((5, 0, 0), 1, False)], [False, True]),
        ([((0, 0, 0), 1, True), ((0, 0, 0), 0.5, False)], [False, False]),  # a cavity looks inwards rightly
        ([((0, 0, 0), 1, False), ((0, 0, 0), 0.5, True)], [True, True]),
    ],
)
def test_islands_that_look_inwards(placed, wrong):
    vertices, triangles = boxes(*placed)
    np.testing.assert_array_equal(outside.inside_out(vertices, triangles), np.repeat(wrong, len(SIDES)))


def test_a_sheet_has_no_inside(figure):
    sheet = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    assert not outside.inside_out(sheet, np.array([[0, 2, 1], [0, 3, 2]])).any()


def ball():
    """(vertices, triangles) of a ball, looking outwards."""
    line, ring = np.meshgrid(np.linspace(0, np.pi, 25), np.linspace(0, 2 * np.pi, 32, endpoint=False))
    points = np.stack([np.sin(line) * np.cos(ring), np.sin(line) * np.sin(ring), np.cos(line)], -1).reshape(-1, 3)
    quads = [
        [i * 25 + j, i * 25 + j + 1, (i + 1) % 32 * 25 + j + 1, (i + 1) % 32 * 25 + j]
        for i in range(32)
        for j in range(24)
    ]
    return points, np.array([corner for a, b, c, d in quads for corner in ((a, b, c), (a, c, d))])


def split(vertices, triangles):
    """As files keep hard edges: every triangle has vertices of its own."""
    return vertices[triangles.reshape(-1)], np.arange(triangles.size).reshape(-1, 3)


@pytest.mark.parametrize("hard_edges", [False, True])
@pytest.mark.parametrize("turned", [0.0, 0.3, 1.0])
def test_faces_that_look_inwards_whatever_the_edges(turned, hard_edges):
    vertices, triangles = ball()
    wrong = np.arange(len(triangles)) >= (1 - turned) * len(triangles)
    triangles = np.where(wrong[:, None], triangles[:, ::-1], triangles)
    if hard_edges:
        vertices, triangles = split(vertices, triangles)
    found = outside.inside_out(vertices, triangles)
    solid = np.linalg.norm(np.cross(*np.moveaxis(np.diff(vertices[triangles], axis=1), 1, 0)), axis=1) > 1e-9
    np.testing.assert_array_equal(found[solid], wrong[solid])
    assert outside.inward_share(vertices, triangles) == pytest.approx(turned, abs=0.06)


def test_an_open_shell_keeps_its_sides():
    """A skirt is seen from below too: its inner side is no fault."""
    vertices, triangles = ball()
    skirt = triangles[(np.abs(vertices[triangles][:, :, 2]) < 0.6).all(1)]
    assert not outside.inside_out(*split(vertices, skirt)).any()


def test_islands_of_a_long_strip():
    strip = np.column_stack([np.arange(4000), np.arange(4000) + 1, np.arange(4000) + 2])
    labels = islands.island_of(np.concatenate([strip, strip + 5000]), 10_000)
    assert set(labels[:4002]) == {0} and set(labels[5000:9002]) == {5000} and labels[4500] == 4500


@pytest.mark.parametrize(
    "height, result", [(170.0, 1.7), (1700.0, 1.7), (66.9, 1.7), (0.016, 1.6), (1.2, 1.2), (40.0, 1.016), (7.0, 1.6)]
)
def test_scaled_to_a_human(height, result):
    factor, said = geometry.scale_to_human(height)
    assert height * factor == pytest.approx(result, rel=0.01)
    assert bool(said) == (factor != 1) and (not said or said.endswith("."))


def test_a_wished_height_is_kept():
    assert geometry.scale_to_human(1.7, 1.0)[0] == pytest.approx(1 / 1.7)


def around(axis, quarters):
    return geometry.quarter_turn(axis, quarters)


@pytest.mark.parametrize(
    "turn, word",
    [
        (np.eye(3), ""),
        (around("Z", 2), "backwards"),
        (around("Z", 1), "sideways"),
        (around("Z", 3), "sideways"),
        (around("X", 1), "lying"),
        (around("X", 3), "lying"),
        (around("X", 2), "upside down"),
        (around("Z", 2) @ around("X", 1), "lying"),
    ],
)
def test_a_figure_stands_and_looks_to_the_front(figure, turn, word):
    found, said = geometry.upright(figure @ turn.T)
    np.testing.assert_allclose(found @ turn, np.eye(3), atol=1e-12)
    assert (word in said) if word else said == ""


def test_a_ball_stays_as_it_is():
    rng = np.random.default_rng(1)
    ball = rng.normal(size=(5000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    turn, said = geometry.upright(ball)
    np.testing.assert_array_equal(turn, np.eye(3))
    assert said == ""
