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


def test_markers_stand_at_the_joints_and_rig_the_mesh(bpy, addon, on_mesh, unrigged):
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
    assert [states[step].state for step in ("rig", "pose")] == ["done", "done"]
