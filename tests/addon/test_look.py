# SPDX-License-Identifier: GPL-3.0-or-later
"""The look as the file has it: styles of the materials, outline, gaze, spring bones; each tried, and taken back."""

import numpy as np
import pytest

from avatar_addon.report.report import make_report
from avatar_addon.vrm.spec.vrm_file import VrmFile
from tests.addon import chained
from tests.addon.vrm_surgery import Surgery

STYLES = {"MTOON": {"VRMC_materials_mtoon", "KHR_materials_unlit"}, "UNLIT": {"KHR_materials_unlit"}, "PBR": set()}


@pytest.fixture
def saved(addon, tmp_path):
    """`saved(avatar)`: the avatar exported and read back."""
    return lambda avatar, version="1.0": VrmFile(
        addon("export").export(avatar.armature, tmp_path / "look.vrm", version)
    )


@pytest.fixture
def light(avatar):
    """The avatar without shape keys: the exporter of VRM 0.x takes seconds for those of a whole face."""
    avatar.mesh.shape_key_clear()
    return avatar


@pytest.fixture
def figure(bpy, addon):
    return chained.make(addon, bpy)


def by_name(file):
    return {material["name"]: material for material in file.json["materials"]}


def extensions(material):
    return set(material.get("extensions", {})) - {
        "KHR_materials_emissive_strength",
        "KHR_materials_specular",
        "KHR_materials_ior",
    }


def nodes(file, springs):
    return [[file.json["nodes"][joint["node"]]["name"] for joint in spring["joints"]] for spring in springs]


def test_each_style_is_what_the_file_says_and_the_first_comes_back_as_it_was(bpy, avatar, saved):
    first = saved(avatar)
    pictures = len(first.json["images"])
    for style in ("UNLIT", "PBR", "MTOON"):
        assert bpy.ops.avatar_forge.set_style(style=style) == {"FINISHED"}
        file = saved(avatar)
        for name, material in by_name(file).items():
            assert extensions(material) == STYLES[style], name
            textured = "baseColorTexture" in by_name(first)[name]["pbrMetallicRoughness"]
            assert ("baseColorTexture" in material["pbrMetallicRoughness"]) == textured, name
        assert len(file.json["images"]) == pictures
    assert file.json["materials"] == first.json["materials"]


@pytest.mark.parametrize("style", STYLES)
def test_the_report_has_no_complaint_in_any_style(bpy, avatar, addon, tmp_path, style):
    bpy.ops.avatar_forge.set_style(style=style)
    avatar.record.look.outline_width = 0.003
    report = make_report(addon("export").export(avatar.armature, tmp_path / "style.vrm"))
    assert [(check.id, check.figure) for check in report.checks if check.status != "PASS"] == []


def test_old_files_have_the_styles_too(bpy, light, saved):
    shaders = {}
    for style in STYLES:
        bpy.ops.avatar_forge.set_style(style=style)
        file = saved(light, "0.0")
        shaders[style] = {entry["shader"] for entry in file.vrm["materialProperties"]}
        assert all(
            ("KHR_materials_unlit" in material.get("extensions", {})) == (style != "PBR")
            for material in file.json["materials"]
        )
    assert shaders == {"MTOON": {"VRM/MToon"}, "UNLIT": {"VRM_USE_GLTFSHADER"}, "PBR": {"VRM_USE_GLTFSHADER"}}


def test_shadow_and_outline_follow_the_sliders_but_spare_the_mouth(avatar, saved):
    before = saved(avatar)
    look = avatar.record.look
    look.shadow, look.shadow_colour, look.softness = 0.5, (0.5, 0.4, 0.6), 1.0
    look.outline_width, look.outline_colour = 0.004, (0.1, 0.2, 0.3)
    file = saved(avatar)
    for name, material in by_name(file).items():
        toon, old = (m["extensions"]["VRMC_materials_mtoon"] for m in (material, by_name(before)[name]))
        if name.endswith((" Mouth", " Teeth", " Tongue")):
            assert toon["outlineWidthMode"] == "none"
            assert toon["shadeColorFactor"] == pytest.approx(old["shadeColorFactor"])
            continue
        assert toon["shadeColorFactor"] == pytest.approx([0.75, 0.7, 0.8])
        assert toon["shadingToonyFactor"] == pytest.approx(0.0)
        if name.endswith((" Face", " MouthCards")):  # the outline of lids and cards would be seen on the skin
            assert toon["outlineWidthMode"] == "none"
            continue
        assert (toon["outlineWidthMode"], toon["outlineWidthFactor"]) == ("worldCoordinates", pytest.approx(0.004))
        assert toon["outlineColorFactor"] == pytest.approx([0.1, 0.2, 0.3])
    assert any(name.endswith(" Face") for name in by_name(file))
    assert len(file.primitives()) == len(before.primitives())
    assert [len(p.positions) for p in file.primitives()] == [len(p.positions) for p in before.primitives()]
    look.outline_width = 0.0
    assert not [modifier for modifier in avatar.mesh.modifiers if modifier.type == "NODES"]


def test_a_material_with_a_look_of_its_own_does_not_follow(bpy, avatar, addon):
    look, settings = addon("vrm.materials"), addon("look.settings")
    avatar.record.look.outline_width = 0.002
    skin = settings.materials(avatar)[0]
    skin.avatar_forge_look.own = True
    assert skin.avatar_forge_look.outline_width == pytest.approx(0.002)
    bpy.ops.avatar_forge.set_style(style="UNLIT")
    assert [look.style_of(m) for m in settings.materials(avatar)] == ["MTOON"] + ["UNLIT"] * (
        len(settings.materials(avatar)) - 1
    )
    bpy.ops.avatar_forge.set_style(style="PBR", material=skin.name)
    skin = settings.materials(avatar)[0]
    assert (look.style_of(skin), skin.avatar_forge_look.own) == ("PBR", True)
    assert not [modifier for modifier in avatar.mesh.modifiers if modifier.type == "NODES"]
    skin.avatar_forge_look.own = False
    assert settings.style(avatar) == "UNLIT"


def test_setting_up_vrm_again_keeps_the_look(bpy, avatar, addon):
    bpy.ops.avatar_forge.set_style(style="PBR")
    avatar.record.look.sideways = 35.0
    addon("workflow").set_up_vrm(avatar, "Tester")
    assert addon("look.settings").style(avatar) == "PBR"
    assert avatar.record.look.sideways == pytest.approx(35.0)


def test_cut_out_hair_stays_cut_out_in_every_style(bpy, addon):
    look = addon("vrm.materials")
    addon("vrm.addon").need_addon()
    image = bpy.data.images.new("Hair", 4, 4, alpha=True)
    material = bpy.data.materials.new("Hair")
    for alpha in ("MASK", "BLEND"):
        addon("versions").node_tree(material)
        surface = look.Surface(image, (1.0, 0.5, 0.5, 1.0), None, alpha, 0.4, True)
        for build, style in ((look._build_pbr, "PBR"), (look._build_unlit, "UNLIT"), (look._build_toon, "MTOON")):
            build(material, surface)
            found = look.read_surface(material)
            assert (look.style_of(material), found.alpha, found.image, found.double_sided) == (
                style,
                alpha,
                image,
                True,
            )
        material.vrm_addon_extension.mtoon1.enabled = False


def test_the_gaze_is_written_as_it_is_set(light, saved):
    look = light.record.look
    look.sideways, look.up, look.down = 40.0, 30.0, 20.0
    new, old = saved(light).vrm["lookAt"], saved(light, "0.0").vrm["firstPerson"]
    assert new["type"] == "expression"
    assert [
        new[f"rangeMap{side}"]["inputMaxValue"]
        for side in ("HorizontalInner", "HorizontalOuter", "VerticalUp", "VerticalDown")
    ] == [pytest.approx(v) for v in (40, 40, 30, 20)]
    assert old["lookAtTypeName"] == "BlendShape"
    assert (old["lookAtHorizontalOuter"]["xRange"], old["lookAtVerticalDown"]["xRange"]) == (
        pytest.approx(40),
        pytest.approx(20),
    )


def test_trying_the_gaze_moves_the_eyes_and_back(bpy, avatar):
    keys, look = avatar.mesh.data.shape_keys.key_blocks, avatar.record.look
    look.sideways = look.up = 60.0
    look.yaw, look.pitch = 30.0, 60.0
    assert {name: keys[name].value for name in ("lookLeft", "lookRight", "lookUp", "lookDown")} == pytest.approx(
        {"lookLeft": 0.5, "lookRight": 0.0, "lookUp": 1.0, "lookDown": 0.0}
    )
    bpy.ops.avatar_forge.rest_gaze()
    assert (keys["lookLeft"].value, keys["lookUp"].value, look.yaw) == (0.0, 0.0, 0.0)


def test_eyes_follow_a_target(bpy, avatar, addon):
    assert bpy.ops.avatar_forge.follow_gaze() == {"FINISHED"}
    target = bpy.context.view_layer.objects.active
    eyes = addon("vrm.look_at").eyes_at(avatar.armature)
    assert np.linalg.norm(np.array(target.location) - eyes) == pytest.approx(1.0, abs=1e-3)
    target.location.x += 1.0  # 45 degrees to the avatar's left
    bpy.context.view_layer.update()
    look_at = avatar.armature.data.vrm_addon_extension.vrm1.look_at
    look_at.update_all_previews(bpy.context)  # the VRM Add-on's timer does, in a window
    keys = avatar.mesh.data.shape_keys.key_blocks
    assert keys["lookLeft"].value == pytest.approx(45 / 60, abs=0.02)
    assert max(keys[name].value for name in ("lookRight", "lookUp", "lookDown")) < 0.02
    bpy.ops.avatar_forge.rest_gaze()
    assert keys["lookLeft"].value == 0.0
    assert not [obj for obj in bpy.data.objects if obj.name.startswith("Gaze")]


def test_eye_bones_turn_to_where_the_gaze_goes(bpy, figure, saved):
    avatar, labels = figure
    look = avatar.record.look
    look.gaze = "expression"
    look.gaze = "bone"
    assert [look.turn_in, look.turn_out, look.turn_up, look.turn_down] == [pytest.approx(v) for v in (8, 12, 8, 10)]
    look.yaw, look.pitch = 90.0, 0.0
    bones = {label: avatar.armature.pose.bones[name] for name, label in labels.items()}
    bpy.context.view_layer.update()
    for eye, angle in (("leftEye", 12.0), ("rightEye", 8.0)):
        bone = bones[eye]
        turn = np.array((bone.matrix @ bone.bone.matrix_local.inverted()).to_3x3())
        ahead = turn @ (0, -1, 0)
        assert np.degrees(np.arctan2(ahead[0], -ahead[1])) == pytest.approx(angle, abs=0.01)  # to +X, the avatar's left
    look.yaw, look.pitch = 0.0, -90.0
    bpy.context.view_layer.update()
    down = np.array((bones["leftEye"].matrix @ bones["leftEye"].bone.matrix_local.inverted()).to_3x3()) @ (0, -1, 0)
    assert np.degrees(np.arcsin(down[2])) == pytest.approx(-10, abs=0.01)
    bpy.ops.avatar_forge.rest_gaze()
    assert np.allclose(bones["leftEye"].matrix_basis, np.eye(4))
    assert saved(avatar).vrm["lookAt"]["type"] == "bone"


def test_chains_become_springs_with_colliders_that_push_nothing_at_rest(figure, addon, saved):
    avatar, labels = figure
    assert addon("look.spring_bones").set_default(avatar) == 10
    assert addon("look.spring_bones").set_default(avatar) == 0
    file = saved(avatar)
    springs = file.json["extensions"]["VRMC_springBone"]
    chains = [[labels.get(name, ":end") for name in chain] for chain in nodes(file, springs["springs"])]
    assert sorted(chain[0] for chain in chains) == [":hair"] * 3 + [":skirt"] * 6 + [":tail"]
    for spring, chain in zip(springs["springs"], nodes(file, springs["springs"]), strict=True):
        above = [file.parents[joint["node"]] for joint in spring["joints"]]
        assert above[1:] == [joint["node"] for joint in spring["joints"][:-1]]  # each hangs from the one before
        assert chain[-1].endswith("_end")
        for joint in spring["joints"]:
            assert 0.001 <= joint["hitRadius"] <= 0.05
            assert (
                0.2 < joint["stiffness"] < 4
                and 0 <= joint["gravityPower"] < 0.3 * joint["stiffness"]
                and joint["dragForce"] < 1
            )
    sizes = {}
    for group in springs["colliderGroups"]:
        collider = springs["colliders"][group["colliders"][0]]
        (shape,) = collider["shape"].values()
        place = file.world[collider["node"]]
        ends = [(place @ [*shape[end], 1])[:3] for end in ("offset", "tail") if end in shape]
        sizes[group["name"].removeprefix("Avatar Forge ")] = shape["radius"]
        for spring in springs["springs"]:
            if springs["colliderGroups"].index(group) not in spring.get("colliderGroups", []):
                continue
            for joint, tail in zip(spring["joints"], spring["joints"][1:], strict=False):
                at = file.world[tail["node"], :3, 3]
                distance = addon("look.spring_figures").to_segment(at[None], ends[0], ends[-1])[0][0]
                assert distance > shape["radius"] + joint["hitRadius"] - 0.003, (group["name"], spring["name"])
    assert sizes["head"] == pytest.approx(0.11, abs=0.04) and sizes["leftUpperLeg"] == pytest.approx(0.045, abs=0.01)
    assert {"hips", "neck", "rightUpperLeg", "leftUpperArm"} <= set(sizes)


def test_old_files_have_the_springs_too_and_the_scene_does_not_keep_them(bpy, figure, addon, saved):
    avatar, labels = figure
    addon("look.spring_bones").set_default(avatar)
    before = set(bpy.data.objects)
    file = saved(avatar, "0.0")
    old = file.vrm["secondaryAnimation"]
    assert len(old["boneGroups"]) == 10
    roots = [labels[file.json["nodes"][group["bones"][0]]["name"]] for group in old["boneGroups"]]
    assert sorted(set(roots)) == [":hair", ":skirt", ":tail"]
    assert all(
        group["stiffiness"] > 0 and group["hitRadius"] > 0 and group["colliderGroups"] for group in old["boneGroups"]
    )
    assert all(collider["radius"] > 0.01 for group in old["colliderGroups"] for collider in group["colliders"])
    assert set(bpy.data.objects) == before


def test_a_chain_is_switched_off_changed_removed_and_added(bpy, figure, addon, saved):
    avatar, labels = figure
    springs = addon("look.spring_bones")
    springs.set_default(avatar)
    look = avatar.record.look
    first = saved(avatar).json["extensions"]["VRMC_springBone"]
    tail = next(chain for chain in look.chains if chain.kind == "tail")
    tail.on = False
    assert (tail.on, tail.drag) == (False, pytest.approx(0.3))
    assert len(saved(avatar).json["extensions"]["VRMC_springBone"]["springs"]) == 9
    tail.on = True
    again = saved(avatar).json["extensions"]["VRMC_springBone"]
    assert sorted(again["springs"], key=str) == sorted(first["springs"], key=str)
    before = [joint.stiffness for joint in springs.spring_of(avatar.armature, tail.name).joints]
    tail.stiffness = 2 * before[0]
    assert [j.stiffness for j in springs.spring_of(avatar.armature, tail.name).joints] == pytest.approx(
        [2 * b for b in before]
    )
    root, bones = tail.name, len(avatar.armature.data.bones)
    look.active_chain = look.chains.find(root)
    bpy.ops.avatar_forge.chain_kind(kind="ear")
    assert look.chains[root].kind == "ear" and not springs.spring_of(avatar.armature, root).collider_groups
    bpy.ops.avatar_forge.remove_chain()
    assert len(look.chains) == 9 and len(avatar.armature.data.bones) == bones - 1
    avatar.armature.data.bones.active = avatar.armature.data.bones[root]
    assert bpy.ops.avatar_forge.add_chain() == {"FINISHED"}
    assert look.chains[root].kind == "tail" and len(springs.spring_of(avatar.armature, root).joints) == 5
    avatar.armature.data.bones.active = avatar.armature.data.bones[
        next(name for name, label in labels.items() if label == "head")
    ]
    with pytest.raises(RuntimeError, match="humanoid bone head"):
        bpy.ops.avatar_forge.add_chain()
    for _ in range(10):
        look.active_chain = 0
        bpy.ops.avatar_forge.remove_chain()
    assert not [obj for obj in bpy.data.objects if obj.type == "EMPTY"]


def test_springs_that_were_there_are_kept_and_listed(bpy, figure, addon):
    avatar, labels = figure
    springs = avatar.armature.data.vrm_addon_extension.spring_bone1.springs
    root = next(name for name, label in labels.items() if label == ":tail")
    spring = springs.add()
    spring.vrm_name = "Mine"
    for bone in (root, avatar.armature.data.bones[root].children[0].name):
        spring.joints.add().node.bone_name = bone
    addon("look.spring_bones").set_default(avatar)
    assert [(s.vrm_name, len(s.joints)) for s in springs] == [("Mine", 2)]
    assert [chain.name for chain in avatar.record.look.chains] == [root]
    assert bpy.ops.avatar_forge.find_chains() == {"FINISHED"}
    assert len(springs) == 10 and len(springs[0].joints) == 2


def test_springs_swing_while_played_and_come_back(bpy, figure, addon):
    avatar, labels = figure
    addon("look.spring_bones").set_default(avatar)
    hair = [name for name, label in labels.items() if label == ":hair"]
    bones, scene = avatar.armature.pose.bones, bpy.context.scene
    objects = set(bpy.data.objects)
    bpy.ops.avatar_forge.play_springs()
    turned = []
    for frame in range(1, 40):
        scene.frame_set(frame)
        turned.append(max(bones[name].matrix_basis.to_quaternion().angle for name in hair))
    assert 3 < np.degrees(max(turned)) < 120
    bpy.ops.avatar_forge.stop_springs()
    assert max(np.abs(np.array(bone.matrix_basis) - np.eye(4)).max() for bone in bones) < 1e-5
    assert not avatar.armature.data.vrm_addon_extension.spring_bone1.enable_animation
    assert set(bpy.data.objects) == objects and scene.frame_current == 1


def test_the_report_names_springs_that_viewers_cannot_run(figure, addon, saved, tmp_path):
    avatar, _ = figure
    addon("look.spring_bones").set_default(avatar)
    saved(avatar)
    path = tmp_path / "look.vrm"
    assert {check.id: check.status for check in make_report(path).checks}["springs"] == "PASS"
    for spoil, word in (
        (lambda springs: springs[0]["joints"].reverse(), "order"),
        (lambda springs: springs.append(springs[0]), "share"),
    ):
        surgery = Surgery(VrmFile(path))
        spoil(surgery.json["extensions"]["VRMC_springBone"]["springs"])
        surgery.write(tmp_path / "broken.vrm")
        check = next(check for check in make_report(tmp_path / "broken.vrm").checks if check.id == "springs")
        assert check.status == "FAIL" and word in check.figure
