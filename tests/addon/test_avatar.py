"""The whole way, and each step again: what is in the scene and in the file afterwards."""

import json

import numpy as np
import pytest

VISEMES, EMOTIONS = ("aa", "ih", "ou", "ee", "oh"), ("happy", "angry", "sad", "relaxed", "surprised")
PRESETS = [*VISEMES, "blink", "blinkLeft", "blinkRight", *EMOTIONS, "lookUp", "lookDown", "lookLeft", "lookRight"]
KEYS = [name for name in PRESETS if name != "blink"]


def run(addon, steps):
    return addon("client.process.tasks").Task("Test", steps, addon("client.session").worker).wait()


def open_vrm(addon, path):
    return addon("vrm.spec.vrm_file").VrmFile(path)


def test_the_file_is_a_complete_vrm(made, addon):
    vrm = open_vrm(addon, made.vrm)
    table = addon("vrm.spec.human_bones")
    humanoid = vrm.humanoid()
    assert vrm.version == "1.0" and set(table.REQUIRED) <= set(humanoid)
    names = {index: str(index) for index in range(len(vrm.json["nodes"]))}
    parents = {names[i]: names.get(parent) for i, parent in enumerate(vrm.parents)}
    assert table.humanoid_problems({name: names[node] for name, node in humanoid.items()}, parents) == []
    assert set(PRESETS) <= set(vrm.expressions()) and all(vrm.expressions()[name] for name in PRESETS)
    meta = vrm.vrm["meta"]
    assert meta["name"] == "companion" and meta["authors"] == ["Tester"] and "thumbnailImage" in meta
    assert "Preview" in meta["thirdPartyLicenses"]
    assert vrm.vrm["lookAt"]["type"] == "expression" and vrm.vrm["lookAt"]["offsetFromHeadBone"][1] > 0.02
    assert made.vrm.stat().st_size < 12e6


def test_the_file_says_nothing_of_this_machine(made, addon, picture):
    text = json.dumps(open_vrm(addon, made.vrm).json)
    assert "run_folder" not in text and str(picture.parent) not in text and str(made.vrm.parent) not in text


def test_the_body_stands_in_t_pose_and_every_vertex_has_weight(made, addon):
    vrm = open_vrm(addon, made.vrm)
    humanoid = vrm.humanoid()
    at = {name: vrm.world[node][:3, 3] for name, node in humanoid.items()}
    for side, sign in (("left", 1), ("right", -1)):
        for a, b in (("UpperArm", "LowerArm"), ("LowerArm", "Hand")):
            along = at[side + b] - at[side + a]
            assert sign * along[0] / np.linalg.norm(along) > np.cos(np.radians(5))
    points, triangles = [], 0
    for primitive in vrm.primitives():
        assert primitive.influence_sets == 1
        np.testing.assert_allclose(primitive.weights.sum(1), 1, atol=1e-3)
        points.append(vrm.skinned(primitive))
        triangles += len(primitive.triangles)
    points = np.concatenate(points)
    assert abs(points[:, 1].min()) < 0.01 and 1.5 < np.ptp(points[:, 1]) < 1.7
    assert triangles <= 60000


def test_expressions_move_the_face_only_and_the_right_side(made, addon):
    vrm = open_vrm(addon, made.vrm)
    head = vrm.world[vrm.humanoid()["head"]][1, 3]
    fields = {}
    for name in PRESETS:
        moved = [(p.positions, vrm.expression_field(p, name)) for p in vrm.primitives() if len(p.morphs)]
        positions, field = (np.concatenate([pair[k] for pair in moved]) for k in (0, 1))
        amount = np.linalg.norm(field, axis=1)
        assert amount.max() > 0.001, name
        assert positions[amount > 1e-5][:, 1].min() > head - 0.1, name
        fields[name] = field
        if name in ("blinkLeft", "blinkRight"):
            side = positions[amount > 0.0005][:, 0]
            assert (side > 0).all() if name == "blinkLeft" else (side < 0).all()
    visemes = [fields[name].ravel() for name in VISEMES]
    for k, a in enumerate(visemes):
        for b in visemes[k + 1 :]:
            assert a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) < 0.97


def test_two_runs_give_the_same_bytes(bpy, addon, made, picture, tmp_path):
    workflow = addon("workflow")
    request = workflow.Request(picture, name="companion", vrm=tmp_path / "again.vrm", author="Tester")
    run(addon, workflow.make_avatar(bpy.context, request))
    assert (tmp_path / "again.vrm").read_bytes() == made.vrm.read_bytes()


def test_the_file_alone_is_enough_to_go_on(avatar, addon, bpy, tmp_path):
    """Saved, loaded, and each step done again in any order."""
    scene, workflow = addon("avatar.scene"), addon("workflow")
    assert avatar.record.engine == "preview" and json.loads(avatar.record.joints)["hips"]
    assert addon("pose.t_pose").is_t_pose(avatar) and scene.has_vrm(avatar)
    count = len(avatar.mesh.data.vertices)
    run(addon, workflow.face(avatar))
    assert len(avatar.mesh.data.vertices) == count
    assert [key.name for key in avatar.mesh.data.shape_keys.key_blocks[1:]] == KEYS
    avatar = run(addon, workflow.rig(bpy.context, avatar, "geometric"))
    assert avatar.mesh.data.shape_keys is None and len(avatar.mesh.data.vertices) < count
    assert sum(obj.type == "ARMATURE" for obj in bpy.data.objects) == 1
    workflow.pose(avatar)
    run(addon, workflow.face(avatar))
    workflow.set_up_vrm(avatar, "Tester")
    assert workflow.export(avatar, tmp_path / "again.vrm").exists()


def test_vrm_0(avatar, addon, tmp_path):
    path = addon("workflow").export(avatar, tmp_path / "old.vrm", "0.0")
    vrm = open_vrm(addon, path)
    assert vrm.version == "0.0" and set(addon("vrm.spec.human_bones").REQUIRED) <= set(vrm.humanoid())
    assert all(vrm.expressions().get(name) for name in PRESETS)
    assert vrm.vrm["meta"]["author"] == "Tester"


def test_markers_are_moved_in_the_viewport(avatar, addon, bpy):
    markers = addon("face.marker_objects")
    before = np.array(avatar.record.mouth.center)
    markers.show(avatar, bpy.context)
    empties = markers.shown(avatar)
    assert set(empties) >= {"left_eye", "right_eye", "mouth"}
    np.testing.assert_allclose(empties["mouth"].matrix_world.translation, before, atol=1e-6)
    empties["mouth"].location.z += 0.008
    bpy.context.view_layer.update()
    assert bpy.ops.avatar_forge.apply_face_markers() == {"FINISHED"}
    assert not markers.shown(avatar)
    assert avatar.record.mouth.center[2] == pytest.approx(before[2] + 0.008, abs=0.003)
    assert avatar.record.mouth_confidence == 1.0


def test_a_mouth_marker_off_the_face_costs_nothing(avatar, addon, bpy):
    count = len(avatar.mesh.data.vertices)
    avatar.record.mouth.center = (0.0, 3.0, -2.0)
    with pytest.raises(addon("errors").AvatarError, match=r"\.$"):
        run(addon, addon("workflow").face(avatar))
    assert avatar.record.mesh_without_face is None or avatar.mesh.data.shape_keys
    assert len(avatar.mesh.data.vertices) <= count and avatar.armature.name in bpy.data.objects


def test_a_run_of_its_own_goes_on_without_a_face_where_the_mouth_is_marked_beside_it(bpy, addon, picture, tmp_path):
    workflow = addon("workflow")
    request = workflow.Request(picture, vrm=tmp_path / "faceless.vrm", markers={"face": {"mouth": [5, 900]}})
    made = run(addon, workflow.make_avatar(bpy.context, request))
    assert made.vrm.exists() and made.avatar.mesh.data.shape_keys is None
    assert next(w["message"] for w in made.warnings if w["code"] == "no_face").endswith(".")


def test_the_sheet_shows_every_state(made, bpy):
    image = bpy.data.images.load(str(made.sheet))
    width, height = image.size
    pixels = np.zeros(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(height, width, 4)[::-1, :, :3]
    background = pixels[2, 2]
    assert background.min() > 0.7
    tile = width // 5
    for column in range(5):
        part = pixels[:480, column * tile : (column + 1) * tile]
        assert 0.05 < (np.abs(part - background).max(-1) > 0.1).mean() < 0.7
