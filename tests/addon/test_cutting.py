"""Faces that join an arm to the body are taken out of a mesh, and what opens is closed."""

import bpy
import numpy as np


def mesh_of(vertices, triangles):
    mesh = bpy.data.meshes.new("cut")
    mesh.from_pydata(vertices, [], triangles)
    return bpy.data.objects.new("cut", mesh)


def no_arms(vertices):
    return np.zeros((len(vertices), 2))


def test_a_flap_that_is_left_alone_is_not_doubled(addon):
    """Blender crashes on two faces with the same corners."""
    vertices = [(0, 0, 0), (2, 1, 0), (2, -1, 0), (4, 0, 0), (0, 2, 0), (0, -2, 0), (4, 2, 0), (4, -2, 0)]
    flap, gone = [(0, 2, 1), (1, 2, 3)], [(0, 1, 4), (2, 0, 5), (1, 3, 6), (3, 2, 7)]
    obj = mesh_of(vertices, flap + gone)
    addon("mesh.cutting").cut_and_cap(obj, np.array([2, 3, 4, 5]), no_arms(vertices))
    assert len(obj.data.polygons) == 2 and not obj.data.validate()


def test_a_cap_on_the_corners_of_a_face_is_taken_away(addon):
    """As `bmesh.ops` leaves it where a triangle is its own hole, whether or not this Blender fills such a hole."""
    import bmesh  # only there once bpy is

    obj = mesh_of([(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)], [(0, 1, 2), (0, 2, 1), (1, 2, 3), (1, 0, 2)])
    bm = bmesh.new()
    bm.from_mesh(obj.data)
    assert len(bm.faces) == 4
    skin, double, cap, again = bm.faces
    assert addon("mesh.cutting")._without_doubles(bm, [double, cap, again]) == [cap]
    assert set(bm.faces) == {skin, cap}
    bm.free()


def test_what_opens_is_closed(addon):
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [half for a, b, c, d in quads for half in ((a, b, c), (a, c, d))]
    obj = mesh_of(corners, triangles)
    addon("mesh.cutting").cut_and_cap(obj, np.array([0, 1]), no_arms(corners))
    assert len(obj.data.polygons) == len(triangles) and not obj.data.validate()


def test_a_cap_shows_nothing_that_is_painted_between_the_places_of_its_rim(addon):
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    sides = [(k, (k + 1) % 4, (k + 1) % 4 + 4, k + 4) for k in range(4)]
    triangles = [half for a, b, c, d in sides for half in ((a, b, c), (a, c, d))] + [(0, 2, 1), (0, 3, 2)]
    obj = mesh_of(corners, triangles)
    layer = obj.data.uv_layers.new(name="UVMap")
    for polygon in obj.data.polygons:
        for k in polygon.loop_indices:
            layer.data[k].uv = (polygon.index / 10, 0.5)
    addon("mesh.cutting").cut_and_cap(obj, np.array([8, 9]), no_arms(corners))
    data = obj.data.uv_layers[0].data
    for polygon in obj.data.polygons[8:]:
        assert len({tuple(data[k].uv) for k in polygon.loop_indices}) == 1


def test_no_cap_joins_an_arm_to_the_body(addon):
    """A cut from the armpit's front around the hand to its back leaves one opening between arm and body."""
    ring = [(np.cos(a), np.sin(a), z) for z in (0, 1) for a in np.linspace(0, 2 * np.pi, 8, endpoint=False)]
    walls = [(k, (k + 1) % 8, (k + 1) % 8 + 8, k + 8) for k in range(8)]
    lid = [(8, 8 + k, 9 + k) for k in range(1, 7)]
    triangles = [half for a, b, c, d in walls for half in ((a, b, c), (a, c, d))] + lid
    arms = no_arms(ring)
    arms[[8, 9, 10, 11, 0, 1, 2, 3], 0] = 1
    obj = mesh_of(ring, triangles)
    cutting = addon("mesh.cutting")
    cutting.cut_and_cap(obj, np.arange(16, 22), arms)
    caps = [
        set(p.vertices)
        for p in obj.data.polygons
        if {p.vertices[0] > 7, p.vertices[1] > 7, p.vertices[2] > 7} == {True}
    ]
    arm = {8, 9, 10, 11}
    assert all(not arm & cap or cap <= arm for cap in caps)
    assert any(cap <= arm for cap in caps) and any(not arm & cap for cap in caps)


def test_the_arms_share_counts_their_three_bones(addon):
    names = ["hips", "leftShoulder", "leftUpperArm", "leftHand", "rightLowerArm"]
    shares = addon("mesh.cutting").arm_shares(np.array([[0.1, 0.2, 0.3, 0.4, 0.0], [0.5, 0, 0, 0, 0.5]]), names)
    assert np.allclose(shares, [[0.7, 0], [0, 0.5]])
