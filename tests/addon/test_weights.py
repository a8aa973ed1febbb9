"""Weights help on the real avatar: planted faults fail the report's own checks, the buttons fix them, undo brings
them back.
"""

import numpy as np
import pytest


def columns(avatar, bpy):
    """(V, G) weights of the avatar's mesh."""
    mesh = avatar.mesh.data
    out = np.zeros((len(mesh.vertices), len(avatar.mesh.vertex_groups)), np.float32)
    for vertex in mesh.vertices:
        for entry in vertex.groups:
            out[vertex.index, entry.group] = entry.weight
    return out


def points(mesh):
    out = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", out)
    return out.reshape(-1, 3)


def give(obj, rows, **weights):
    """Puts vertices on these bones alone."""
    for group in obj.vertex_groups:
        group.remove(rows)
    for bone, weight in weights.items():
        obj.vertex_groups[bone].add(rows, weight, "REPLACE")


def hand_rows(avatar):
    hand = avatar.armature.data.bones["leftHand"].head_local.x
    return np.flatnonzero(points(avatar.mesh.data)[:, 0] > hand + 0.02).tolist()


@pytest.fixture
def status(avatar, addon, monkeypatch, tmp_path):
    """`status("strays")` exports the avatar and gives what the report's check says."""
    monkeypatch.setenv("AVATAR_FORGE_RUNS", str(tmp_path / "runs"))
    publish, tasks, session = addon("publish.steps"), addon("client.process.tasks"), addon("client.session")

    def card(*names):
        tasks.Task("Check", publish.check(avatar), session.worker).wait()
        return [avatar.record.checks[name].status for name in names]

    return card


def kinds(avatar):
    return [place.kind for place in avatar.record.weights.places]


def choose(avatar, bpy, kind):
    index = kinds(avatar).index(kind)
    if avatar.record.weights.shown != index:
        assert bpy.ops.avatar_forge.show_weights_place(index=index) == {"FINISHED"}
    return avatar.record.weights.place


def test_a_good_avatar_has_no_places(avatar, addon, bpy):
    assert bpy.ops.avatar_forge.find_places() == {"FINISHED"}
    assert kinds(avatar) == [] and not avatar.record.weights.partial and addon("weights.live").is_current(avatar)
    for button in (
        "show_weights_place",
        "next_weights_place",
        "bind_island",
        "smooth_weights",
        "fill_weights",
        "fix_safe_places",
    ):
        assert not getattr(bpy.ops.avatar_forge, button).poll(), button
    before = columns(avatar, bpy)
    assert bpy.ops.avatar_forge.normalise_weights() == {"FINISHED"} and bpy.ops.avatar_forge.close_cracks() == {
        "FINISHED"
    }
    np.testing.assert_allclose(columns(avatar, bpy), before, atol=1e-4)
    assert not avatar.record.card_outdated


def test_a_hand_on_the_leg_fails_the_report_until_its_limb_is_weighted_again(avatar, addon, bpy, status):
    before, rows = columns(avatar, bpy), hand_rows(avatar)
    kept = avatar.record.mesh_without_face
    give(avatar.mesh, rows, leftUpperLeg=1.0)
    carrier = bpy.data.objects.new("kept", kept)
    give(carrier, rows, leftUpperLeg=1.0)
    bpy.data.objects.remove(carrier)
    assert status("strays") == ["FAIL"]
    bpy.ops.avatar_forge.find_places()
    place = choose(avatar, bpy, "stray")
    assert place == avatar.record.weights.places[0] and avatar.record.weights.limb == "leftArm"
    assert set(addon("weights.live").vertices_of(place.vertices)) <= set(rows) and place.count > 0.9 * len(rows)
    assert bpy.ops.avatar_forge.reweight_limb() == {"FINISHED"}
    assert kinds(avatar) == [] and avatar.record.card_outdated
    after = columns(avatar, bpy)
    np.testing.assert_allclose(after.sum(1), 1, atol=1e-3)
    assert (after > 0).sum(1).max() <= 4
    np.testing.assert_allclose(after[rows], before[rows], atol=0.25)  # the same rigger, on the straightened arm
    far = points(avatar.mesh.data)[:, 0] < 0
    np.testing.assert_array_equal(after[far], before[far])
    assert status("strays", "leaks", "follow", "stretch") == ["PASS"] * 4
    assert [key.name for key in avatar.mesh.data.shape_keys.key_blocks][1:3] == ["aa", "ih"] and status(
        "viseme_aa"
    ) == ["PASS"]
    assert bpy.ops.avatar_forge.face() == {"FINISHED"}  # from the mesh without a face, whose weights were fixed, too
    bpy.ops.avatar_forge.find_places()
    assert kinds(avatar) == []
    np.testing.assert_allclose(columns(avatar, bpy)[rows], after[rows], atol=1e-5)


def test_locked_groups_keep_their_weights(avatar, bpy):
    rows = hand_rows(avatar)
    give(avatar.mesh, rows, leftHand=0.6, rightUpperLeg=0.4)
    avatar.mesh.vertex_groups["rightUpperLeg"].lock_weight = True
    bpy.ops.avatar_forge.find_places()
    choose(avatar, bpy, "leak")
    assert bpy.ops.avatar_forge.reweight_limb() == {"FINISHED"}
    assert "leak" in kinds(avatar)
    column = avatar.mesh.vertex_groups["rightUpperLeg"].index
    np.testing.assert_allclose(columns(avatar, bpy)[rows, column], 0.4, atol=1e-6)


def add_sleeve(avatar, bpy):
    """A tube around the left forearm that follows no bone; its vertices."""
    bones, mesh = avatar.armature.data.bones, avatar.mesh.data
    start, end = np.array(bones["leftLowerArm"].head_local), np.array(bones["leftHand"].head_local)
    rings, sides, first = 40, 24, len(mesh.vertices)
    along, turn = np.meshgrid(
        np.linspace(0.25, 1.2, rings), np.linspace(0, 2 * np.pi, sides, endpoint=False), indexing="ij"
    )
    tube = start + along[..., None] * (end - start) + 0.055 * np.stack([0 * turn, np.cos(turn), np.sin(turn)], -1)
    number = first + np.arange(rings * sides).reshape(rings, sides)
    nxt = np.roll(number, -1, 1)
    quads = np.stack([number[:-1], nxt[:-1], nxt[1:], number[1:]], -1).reshape(-1, 4)
    import bmesh

    bm = bmesh.new()
    bm.from_mesh(mesh)
    made = [bm.verts.new(point) for point in tube.reshape(-1, 3)]
    for quad in quads:
        bm.faces.new([made[k - first] for k in quad])
    bm.to_mesh(mesh)
    bm.free()
    return np.arange(first, first + rings * sides)


def test_a_loose_sleeve_without_weights_is_bound_to_its_bone(avatar, addon, bpy, status):
    rows = add_sleeve(avatar, bpy)
    assert status("follow")[0] != "PASS"
    bpy.ops.avatar_forge.find_places()
    place = choose(avatar, bpy, "island")
    assert place.count == len(rows) and place.loose and avatar.record.weights.bone == "leftLowerArm"
    assert bpy.ops.avatar_forge.bind_island.poll() and not bpy.ops.avatar_forge.fill_weights.poll()
    assert bpy.ops.avatar_forge.bind_island() == {"FINISHED"}
    assert kinds(avatar) == [] and status("follow", "strays") == ["PASS", "PASS"]
    column = avatar.mesh.vertex_groups["leftLowerArm"].index
    np.testing.assert_allclose(columns(avatar, bpy)[rows, column], 1)


def test_the_safe_ones_are_mended_together(avatar, bpy):
    at = points(avatar.mesh.data)
    patch = np.flatnonzero((np.abs(at[:, 2] - 0.8) < 0.02) & (at[:, 1] < 0)).tolist()
    give(avatar.mesh, patch)
    for name in ("leftUpperLeg", "rightUpperLeg", "leftUpperArm", "rightUpperArm"):
        avatar.mesh.vertex_groups[name].add(np.flatnonzero(at[:, 2] > 1.4).tolist(), 0.001, "ADD")
    bpy.ops.avatar_forge.find_places()
    assert set(kinds(avatar)) >= {"unweighted", "sum"}
    assert bpy.ops.avatar_forge.fix_safe_places() == {"FINISHED"}
    assert kinds(avatar) == [] and not bpy.ops.avatar_forge.fix_safe_places.poll()


def test_undo_brings_weights_and_places_back(avatar, addon, bpy):
    bpy.context.preferences.edit.use_global_undo = True
    give(avatar.mesh, hand_rows(avatar), leftUpperLeg=1.0)
    bpy.ops.avatar_forge.find_places()
    choose(avatar, bpy, "stray")
    spoilt = columns(avatar, bpy)
    bpy.ops.ed.undo_push(message="Spoilt")
    bpy.ops.avatar_forge.reweight_limb()
    assert kinds(avatar) == []
    bpy.ops.ed.undo_push(message="Fixed")
    bpy.ops.ed.undo()
    avatar = addon("avatar.scene").find_avatar(bpy.context)
    np.testing.assert_array_equal(columns(avatar, bpy), spoilt)
    assert "stray" in kinds(avatar) and addon("weights.live").is_current(avatar)


def test_another_mesh_has_other_places(avatar, addon, bpy):
    give(avatar.mesh, hand_rows(avatar), leftUpperLeg=1.0)
    bpy.ops.avatar_forge.find_places()
    assert bpy.ops.avatar_forge.rig() == {"FINISHED"}
    avatar = addon("avatar.scene").find_avatar(bpy.context)
    assert not addon("weights.live").is_current(avatar) and not bpy.ops.avatar_forge.next_weights_place.poll()
