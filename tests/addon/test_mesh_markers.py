"""The markers on a mesh: shown where the joints are, corrected, and what is made of them."""

import json

import numpy as np
import pytest

from tests.addon import small_character

MARKERS = ("hips", "neck", "head") + tuple(
    side + part
    for side in ("left", "right")
    for part in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
)


@pytest.fixture
def on_mesh(addon):
    return addon("picture.on_mesh")


@pytest.fixture
def unrigged(bpy, addon):
    """The small character as a mesh without bones, which knows its joints, as a generator tells them."""
    built = small_character.build(rigged=False)
    first = np.array(built.meshes[0].data.vertices[0].co)
    addon("avatar.scene").select(bpy.context, built.meshes[0])
    avatar = wait(addon, addon("intake.objects").use_selected(bpy.context))
    shift = np.array(avatar.mesh.data.vertices[0].co) - first  # it was put over the origin
    joints = {name: (np.array(small_character.bones()[name][1]) + shift).tolist() for name in MARKERS}
    avatar.record.joints = json.dumps(joints)
    return avatar


def wait(addon, steps):
    return addon("client.process.tasks").Task("Test", steps, addon("client.session").worker).wait()


def check(bpy, addon, on_mesh, avatar):
    wait(addon, on_mesh.check(bpy.context, avatar))
    return on_mesh.root_of(bpy.context.scene)


def test_markers_stand_at_the_joints_and_rig_the_mesh(bpy, addon, on_mesh, unrigged, monkeypatch):
    faces = []  # that step has tests of its own
    monkeypatch.setattr(addon("workflow"), "face_if_possible", lambda avatar, _span: iter(faces.append(avatar) or ()))
    root = check(bpy, addon, on_mesh, unrigged)
    shown = on_mesh.shown(root)
    assert set(shown) == {*MARKERS, "leftEye", "rightEye", "mouth"}
    assert unrigged.mesh.hide_get() and not root.hide_get()
    assert addon("avatar.scene").find_avatar(bpy.context).mesh == unrigged.mesh  # a marker is active
    elbow = shown["leftLowerArm"]
    place = np.array(json.loads(unrigged.record.joints)["leftLowerArm"])
    assert np.allclose(elbow.location, place, atol=1e-4)
    elbow.location.x += 0.05
    elbow.location.z += 0.02
    avatar = wait(addon, addon("by_hand").rig_with_markers(bpy.context, "geometric"))
    assert on_mesh.root_of(bpy.context.scene) is None and not avatar.mesh.hide_get()
    kept = json.loads(avatar.record.mesh_before_rig["avatar_forge_joints"])
    assert np.allclose(kept["leftLowerArm"], place + [0.05, 0, 0.02], atol=0.004)  # in the middle of the arm
    states = addon("workflow_states").states(avatar)
    assert [states[step].state for step in ("rig", "pose")] == ["done", "done"] and faces == [avatar]


def test_bones_moved_in_edit_mode_are_taken_over(bpy, addon, on_mesh, unrigged):
    avatar = wait(addon, addon("workflow").rig(bpy.context, unrigged, "geometric"))
    bpy.ops.object.mode_set(mode="EDIT")
    bone = avatar.armature.data.edit_bones["leftLowerArm"]
    bone.head.z += 0.03
    place = np.array(bone.head)
    bpy.ops.object.mode_set(mode="OBJECT")
    root = check(bpy, addon, on_mesh, avatar)
    assert np.allclose(on_mesh.shown(root)["leftLowerArm"].location, place, atol=1e-4)
    on_mesh.remove(bpy.context.scene)
    assert not avatar.mesh.hide_get()


def test_right_markers_mirror_the_left_ones(bpy, addon, on_mesh, unrigged):
    root = on_mesh.show(bpy.context, unrigged, joints(unrigged), {}, [])
    shown = on_mesh.shown(root)
    shown["leftHand"].location.z -= 0.1
    on_mesh.mirror(bpy.context.scene)
    assert shown["rightHand"].location.z == pytest.approx(shown["leftHand"].location.z)
    assert on_mesh.moved(root) == {"leftHand", "rightHand"}


def joints(avatar):
    return {name: np.array(place) for name, place in json.loads(avatar.record.joints).items()}


def test_a_joint_lies_in_the_middle_of_the_limb_it_was_dragged_to(on_mesh):
    """Overlapping shells are one limb; where the normals contradict each other, every two crossings are."""
    spans = on_mesh.solid_spans
    nested = [(0.0, True), (0.1, True), (0.2, False), (0.3, False)]
    assert spans([*nested, (0.5, True), (0.6, False)]) == [(0.0, 0.3), (0.5, 0.6)]
    assert spans([(0.0, False), (0.1, True), (0.2, False), (0.4, True)]) == [(0.0, 0.1), (0.2, 0.4)]
