# SPDX-License-Identifier: GPL-3.0-or-later
"""The matcher on armature objects, and as the humanoid step of a rig whose joints have no names."""

import numpy as np
import pytest


def skeleton():
    """(names, parents, heads, truth) of a plain figure whose bones are called bone_0 ..."""
    torso = [
        ("hips", -1, (0, 0, 0.9)),
        ("spine", 0, (0, 0, 1.0)),
        ("chest", 1, (0, 0, 1.2)),
        ("neck", 2, (0, 0, 1.4)),
        ("head", 3, (0, 0, 1.48)),
    ]
    rows = list(torso)
    for side, s in (("left", 1), ("right", -1)):
        limbs = (
            ("UpperArm", 2, (0.16, 0.02, 1.36)), ("LowerArm", None, (0.42, 0.025, 1.36)),
            ("Hand", None, (0.66, 0.02, 1.36)),
            ("UpperLeg", 0, (0.09, 0, 0.86)), ("LowerLeg", None, (0.09, -0.01, 0.48)),
            ("Foot", None, (0.09, 0.02, 0.09)),
            ("Toes", None, (0.09, -0.1, 0.02)),
        )  # fmt: skip
        for bone, parent, (x, y, z) in limbs:
            rows.append((side + bone, len(rows) - 1 if parent is None else parent, (s * x, y, z)))
        hand = next(k for k, row in enumerate(rows) if row[0] == side + "Hand")
        for finger, y in (("Index", -0.03), ("Middle", -0.005), ("Ring", 0.015), ("Little", 0.035)):
            for k, part in enumerate(("Proximal", "Intermediate", "Distal")):
                rows.append(
                    (side + finger + part, hand if k == 0 else len(rows) - 1, (s * (0.75 + 0.035 * k), y, 1.36))
                )
        for k, part in enumerate(("Metacarpal", "Proximal", "Distal")):
            rows.append(
                (
                    side + "Thumb" + part,
                    hand if k == 0 else len(rows) - 1,
                    (s * (0.69 + 0.02 * k), -0.03 - 0.025 * k, 1.35),
                )
            )
    names = [f"bone_{k}" for k in range(len(rows))]
    return (
        names,
        [row[1] for row in rows],
        np.array([row[2] for row in rows], float),
        {row[0]: f"bone_{k}" for k, row in enumerate(rows)},
    )


@pytest.fixture
def rigged(bpy, addon):
    """(Avatar with an unnamed skeleton and an empty mesh, truth)."""
    names, parents, heads, truth = skeleton()
    armature_module = addon("mesh.armature")
    bones = armature_module.Bones(names, parents, heads, heads + [0.0, 0.03, 0.01])  # tails tell nothing
    armature = armature_module.make_armature("Rig", bones, bpy.context.scene.collection)
    mesh = bpy.data.objects.new("Body", bpy.data.meshes.new("Body"))
    bpy.context.scene.collection.objects.link(mesh)
    return addon("avatar.scene").Avatar(mesh, armature), truth


def test_an_unnamed_armature_is_matched_wherever_the_object_stands(rigged, addon):
    avatar, truth = rigged
    avatar.armature.rotation_euler[2], avatar.armature.location[:] = np.pi / 2, (3.0, 1.0, -2.0)
    avatar.armature.scale = (2.0, 2.0, 2.0)
    import bpy

    bpy.context.view_layer.update()
    found = addon("humanoid.match_armature").match_armature(avatar.armature)
    bones = avatar.armature.data.bones
    assert {name: bones[k].name for name, k in found.mapping.items()} == truth
    assert np.dot(found.facing, (1.0, 0.0)) > 0.99


def test_a_rig_without_names_gets_its_humanoid_bones(rigged, addon):
    avatar, truth = rigged
    workflow, setup = addon("workflow"), addon("vrm.setup")
    addon("vrm.addon").need_addon()
    workflow.set_humanoid(avatar, workflow.match_humanoid(avatar))
    assert setup.get_humanoid(avatar.armature) == truth


def test_what_is_no_humanoid_is_one_sentence(rigged, addon, bpy):
    avatar, _ = rigged
    bpy.context.view_layer.objects.active = avatar.armature
    with addon("mesh.armature").editing(avatar.armature):
        for bone in list(avatar.armature.data.edit_bones):
            if bone.head.x < -0.05 and bone.head.z < 1.0:
                avatar.armature.data.edit_bones.remove(bone)
    with pytest.raises(addon("errors").AvatarError, match=r"Not a humanoid: .*legs"):
        addon("workflow").match_humanoid(avatar)
