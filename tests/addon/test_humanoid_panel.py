# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid panel's operators: found, assigned, confirmed, mirrored; undone, kept in the file, and the VRM
Add-on's all the time.
"""

import numpy as np
import pytest

from tests.addon.test_humanoid import skeleton

RUN = ("EXEC_DEFAULT", True)  # with an undo step of its own, as a button makes one


@pytest.fixture
def foreign(bpy, addon):
    """(armature alone in the scene, truth): bones without names, as an importer leaves them."""
    names, parents, heads, truth = skeleton()
    module = addon("mesh.armature")
    armature = module.make_armature(
        "Foreign", module.Bones(names, parents, heads, heads + [0.0, 0.03, 0.01]), bpy.context.scene.collection
    )
    bpy.context.view_layer.objects.active = armature
    bpy.ops.ed.undo_push(message="Start")
    return armature, truth


def vrm(armature, name):
    """What the VRM Add-on's panels show, of VRM 1.0 and 0.x."""
    ext = armature.data.vrm_addon_extension
    old = {entry.bone: entry.node.bone_name for entry in ext.vrm0.humanoid.human_bones}
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return getattr(ext.vrm1.humanoid.human_bones, snake).node.bone_name, old[name]


def states(addon, bpy):
    bones = addon("humanoid.bones")
    return bones.snapshot(bones.find_armature(bpy.context)).states


def test_bones_of_a_foreign_armature_are_found_and_one_undo_takes_them_back(bpy, addon, foreign):
    armature, truth = foreign
    assert bpy.ops.avatar_forge.find_bones(*RUN) == {"FINISHED"}
    assert addon("humanoid.bones").assigned_bones(armature) == truth
    assert vrm(armature, "leftHand") == (truth["leftHand"],) * 2
    assert vrm(armature, "leftThumbProximal")[1] == truth["leftThumbMetacarpal"]  # as VRM 0.x calls it
    assert {state.kind for state in states(addon, bpy).values()} == {"assigned", "optional"}
    snapshot = addon("humanoid.bones").snapshot(armature)
    assert (
        snapshot.finding.humanoid and snapshot.finding.confidence > 0.8 and snapshot.groups["Left Fingers"] == (15, "")
    )
    bpy.ops.ed.undo()
    assert not addon("humanoid.bones").assigned_bones(bpy.data.objects["Foreign"])
    bpy.ops.ed.redo()
    assert addon("humanoid.bones").assigned_bones(bpy.data.objects["Foreign"]) == truth


def test_a_wrong_bone_is_blamed_and_put_right_by_the_suggestion(bpy, addon, foreign):
    truth = foreign[1]
    bpy.ops.avatar_forge.find_bones(*RUN)
    assert bpy.ops.avatar_forge.assign_bone(*RUN, name="leftHand", bone=truth["rightToes"]) == {"FINISHED"}
    assert {name: state.kind for name, state in states(addon, bpy).items() if state.word} == {
        "leftHand": "twice",
        "rightToes": "twice",
    }
    assert bpy.ops.avatar_forge.assign_bone(*RUN, name="rightToes") == {"FINISHED"}
    state = states(addon, bpy)["leftHand"]
    assert state.kind == "order" and state.suggestion == truth["leftHand"]
    bpy.ops.ed.undo()
    assert states(addon, bpy)["rightToes"].kind == "twice"
    bpy.ops.ed.undo()
    assert states(addon, bpy)["leftHand"].kind == "assigned"
    with pytest.raises(RuntimeError, match="no bone 'nothing'"):
        bpy.ops.avatar_forge.pick_bone(name="leftHand", bone="nothing")


def test_what_another_panel_changes_is_seen_at_once(bpy, addon, foreign):
    armature, truth = foreign
    bpy.ops.avatar_forge.find_bones()
    armature.data.vrm_addon_extension.vrm1.humanoid.human_bones.left_hand.node.bone_name = ""
    assert states(addon, bpy)["leftHand"].kind == "missing"
    armature.data.avatar_forge.left_hand = truth["leftHand"]  # the panel's field
    assert vrm(armature, "leftHand") == (truth["leftHand"],) * 2
    armature.data.bones[truth["leftHand"]].name = "renamed"
    assert states(addon, bpy)["leftHand"].bone == "renamed" == armature.data.avatar_forge.left_hand
    bpy.ops.object.mode_set(mode="EDIT")
    armature.data.edit_bones["renamed"].parent = None
    assert not bpy.ops.avatar_forge.mirror_bones.poll()
    bpy.ops.object.mode_set(mode="OBJECT")
    assert states(addon, bpy)["leftHand"].kind == "order"


def test_fingers_are_mirrored(bpy, addon, foreign):
    armature, truth = foreign
    bones = addon("humanoid.bones")
    bones.change(armature, {name: bone for name, bone in truth.items() if not name.startswith("right")})
    bpy.ops.ed.undo_push(message="Left")
    assert bpy.ops.avatar_forge.mirror_bones(*RUN) == {"FINISHED"}
    assert bones.assigned_bones(armature) == truth
    assert bpy.ops.avatar_forge.mirror_bones(*RUN, side="right") == {"CANCELLED"}  # the same already
    bpy.ops.ed.undo()
    assert not any(name.startswith("right") for name in bones.assigned_bones(bpy.data.objects["Foreign"]))
    bones.change(bpy.data.objects["Foreign"], dict.fromkeys(truth, ""))
    with pytest.raises(RuntimeError, match="No bone of the left side"):
        bpy.ops.avatar_forge.mirror_bones()


def test_unsure_is_kept_in_the_file_until_it_is_confirmed(bpy, addon, foreign, tmp_path):
    armature, truth = foreign
    for name, bone in truth.items():
        armature.data.bones[bone].name = "sleeve" if name == "leftHand" else name
    bpy.ops.avatar_forge.find_bones(*RUN)
    assert states(addon, bpy)["leftHand"].kind == "unsure" and addon("humanoid.bones").snapshot(armature).unsure == 1
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "f.blend"), check_existing=False)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "f.blend"))
    armature = bpy.data.objects["Foreign"]
    state = states(addon, bpy)["leftHand"]
    assert state.kind == "unsure" and "sleeve" in state.reason and state.bone == "sleeve"
    bpy.ops.ed.undo_push(message="Loaded")
    assert bpy.ops.avatar_forge.confirm_bones(*RUN, name="leftHand") == {"FINISHED"}
    assert states(addon, bpy)["leftHand"].kind == "assigned"
    bpy.ops.ed.undo()
    assert states(addon, bpy)["leftHand"].kind == "unsure"
    bpy.ops.avatar_forge.confirm_bones()
    assert addon("humanoid.bones").snapshot(bpy.data.objects["Foreign"]).unsure == 0


def test_no_humanoid_is_a_sentence_and_changes_nothing(bpy, addon, foreign):
    armature = foreign[0]
    bpy.ops.avatar_forge.find_bones()
    with addon("mesh.armature").editing(armature):
        for bone in list(armature.data.edit_bones):
            if bone.head.x < -0.05 and bone.head.z < 1.0:
                armature.data.edit_bones.remove(bone)
    before = addon("humanoid.bones").assigned_bones(armature)
    bpy.ops.avatar_forge.find_bones()
    snapshot = addon("humanoid.bones").snapshot(armature)
    assert not snapshot.finding.humanoid and snapshot.finding.reason.startswith("Not a humanoid:")
    assert addon("humanoid.bones").assigned_bones(armature) == before and before


def test_an_avatars_card_is_outdated_and_a_row_selects_its_bone(bpy, addon, avatar):
    assert not avatar.record.card_outdated
    bpy.context.view_layer.objects.active = avatar.mesh
    hand = states(addon, bpy)["leftHand"].bone
    assert bpy.ops.avatar_forge.select_bone(name="leftHand") == {"FINISHED"}
    assert avatar.armature.data.bones.active.name == hand
    assert addon("versions").selected_bones(avatar.armature) == [hand]
    assert not avatar.record.card_outdated
    bpy.ops.avatar_forge.assign_bone(name="leftHand")
    assert avatar.record.card_outdated and states(addon, bpy)["leftHand"].kind == "missing"
    with pytest.raises(RuntimeError, match="no bone yet"):
        bpy.ops.avatar_forge.select_bone(name="leftHand")


def test_bones_of_vrm_0_from_elsewhere_are_shown_and_carried_over(bpy, addon, foreign):
    armature, truth = foreign
    addon("humanoid.bones").change(armature, truth)
    ext = armature.data.vrm_addon_extension
    ext.spec_version = "0.0"
    for name in truth:
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
        getattr(ext.vrm1.humanoid.human_bones, snake).node.bone_uuid = ""
    assert addon("humanoid.bones").assigned_bones(armature) == truth
    assert armature.data.avatar_forge.left_hand == truth["leftHand"]
    bpy.ops.avatar_forge.assign_bone(name="jaw")
    assert addon("vrm.setup").get_humanoid(armature) == truth


def test_what_is_drawn_over_the_bones_follows_the_pose(bpy, addon, foreign):
    armature, truth = foreign
    bones, overlay = addon("humanoid.bones"), addon("humanoid.overlay")
    bones.change(armature, truth)
    armature.location.x = 2.0
    bpy.context.view_layer.update()
    names, heads, _ = overlay.posed(armature)
    k = names.index(truth["leftHand"])
    np.testing.assert_allclose(
        heads[k], armature.matrix_world @ armature.data.bones[truth["leftHand"]].head_local, atol=1e-5
    )
    pick = overlay.start_picking(armature)
    assert len(pick.names) == len(armature.data.bones)
    overlay.unregister()
    assert overlay.picking_now is None
