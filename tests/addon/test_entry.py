"""What came from elsewhere: meshes, rigged models, VRM files, the selection; own shape keys through the face; states
of the steps; meta.
"""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

VISEMES = ("aa", "ih", "ou", "ee", "oh")


def run(addon, steps):
    return addon("client.process.tasks").Task("Test", steps, addon("client.session").worker).wait()


def new(bpy):
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)


def points(obj):
    found = np.empty(len(obj.data.vertices) * 3, np.float32)
    obj.data.vertices.foreach_get("co", found)
    return found.reshape(-1, 3)


def states(addon, avatar):
    return {name: entry.state for name, entry in addon("workflow_states").states(avatar).items()}


def said(meta):
    """What meta says; an empty field says as much as one that was never set."""
    return {
        version: {name: value for name, value in fields.items() if value not in ("", [])}
        for version, fields in meta.items()
    }


@pytest.fixture
def written(bpy, made, tmp_path):
    """written("a.glb", change) -> a file with the made avatar as another program would write it; change(mesh,
    armature) before that.
    """

    def write(name, change=lambda mesh, armature: None, rigged=True, keys=True):
        bpy.ops.wm.open_mainfile(filepath=str(made.blend))
        mesh = next(obj for obj in bpy.data.objects if obj.avatar_forge.is_avatar)
        armature = mesh.find_armature()
        mesh.property_unset("avatar_forge")
        mesh.avatar_forge.is_avatar = False
        if not keys:
            mesh.shape_key_clear()
        if not rigged:
            world = mesh.matrix_world.copy()
            mesh.parent = None
            mesh.matrix_world = world
            mesh.modifiers.clear()
            mesh.vertex_groups.clear()
            bpy.data.objects.remove(armature)
            armature = None
        change(mesh, armature)
        path = tmp_path / name
        if path.suffix == ".fbx":
            for outline in [modifier for modifier in mesh.modifiers if modifier.type == "NODES"]:
                mesh.modifiers.remove(outline)  # Blender's exporter writes no shape keys beside it
            # Embedded: Blender 5.3 has a path for a packed picture, under which there is no file.
            bpy.ops.export_scene.fbx(filepath=str(path), add_leaf_bones=False, path_mode="COPY", embed_textures=True)
        else:
            bpy.ops.export_scene.gltf(filepath=str(path))
        new(bpy)
        return path

    return write


def test_a_mesh_from_elsewhere_is_rigged_next(bpy, addon, written):
    def scramble(mesh, _armature):
        mesh.scale = (100, 100, 100)
        mesh.rotation_mode = "XYZ"
        mesh.rotation_euler = (0, 0, math.pi)
        mesh.data.flip_normals()

    path = written("generated.glb", scramble, rigged=False, keys=False)
    assert bpy.ops.avatar_forge.bring_in(filepath=str(path)) == {"FINISHED"}
    avatar = addon("avatar.scene").find_avatar(bpy.context)
    assert [obj.name for obj in bpy.data.objects] == ["generated"] and not bpy.data.actions
    at = points(avatar.mesh)
    assert at[:, 2].min() == pytest.approx(0, abs=1e-4) and 1.4 < at[:, 2].max() < 1.8
    sole, ankle = at[at[:, 2] < 0.04, 1], at[(at[:, 2] > 0.12) & (at[:, 2] < 0.2), 1]
    assert sole.min() + sole.max() < ankle.min() + ankle.max()  # the toes point to -Y
    data = addon("mesh.blender_mesh").read_mesh(avatar.mesh)
    a, b, c = np.moveaxis(data.vertices[data.triangles], 1, 0)
    assert np.einsum("ij,ij->", a, np.cross(b, c)) > 0
    said = " ".join(warning.message for warning in avatar.record.warnings)
    assert "centimetres" in said and "backwards" in said and "flipped" in said
    assert states(addon, avatar) == {"mesh": "done", "rig": "next", "pose": "", "face": "", "vrm": "", "export": ""}
    assert bpy.ops.avatar_forge.rig() == {"FINISHED"}
    assert states(addon, addon("avatar.scene").find_avatar(bpy.context))["rig"] == "done"


def test_turned_by_hand(bpy, addon, written):
    bpy.ops.avatar_forge.bring_in(filepath=str(written("mesh.glb", rigged=False, keys=False)))
    mesh = addon("avatar.scene").find_avatar(bpy.context).mesh
    before = np.ptp(points(mesh), axis=0)
    bpy.ops.avatar_forge.turn(axis="Z")
    np.testing.assert_allclose(np.ptp(points(mesh), axis=0), before[[1, 0, 2]], atol=1e-4)
    for _ in range(3):
        bpy.ops.avatar_forge.turn(axis="Z")
    bpy.ops.avatar_forge.turn(axis="X")
    np.testing.assert_allclose(np.ptp(points(mesh), axis=0), before[[0, 2, 1]], atol=1e-4)
    assert points(mesh)[:, 2].min() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", ["rigged.glb", "rigged.fbx"])
def test_a_rigged_model_goes_on_with_its_pose(bpy, addon, written, name):
    def rename(mesh, armature):
        for number, bone in enumerate(armature.data.bones):
            bone.name = f"joint{number}"
        armature.rotation_mode = "XYZ"
        armature.rotation_euler = (0, 0, math.pi)
        if name.endswith("glb"):
            mesh.data.flip_normals()

    path = written(name, rename)
    avatar = run(addon, addon("intake.objects").bring_in(bpy.context, path))
    assert {obj.type for obj in bpy.data.objects} == {"ARMATURE", "MESH"} and len(bpy.data.objects) == 2
    humanoid = addon("vrm.setup").get_humanoid(avatar.armature)
    assert {"hips", "head", "leftUpperArm", "rightFoot"} <= set(humanoid)
    data = addon("mesh.blender_mesh").read_mesh(avatar.mesh)
    a, b, c = np.moveaxis(data.vertices[data.triangles], 1, 0)
    assert np.einsum("ij,ij->", a, np.cross(b, c)) > 0
    bones = avatar.armature.data.bones
    assert bones[humanoid["leftUpperArm"]].head_local.x > 0.05 and bones[humanoid["head"]].head_local.z > 1
    assert np.array_equal(np.array(avatar.armature.matrix_world), np.eye(4)) and np.array_equal(
        np.array(avatar.mesh.matrix_world), np.eye(4)
    )
    assert set(VISEMES) <= set(avatar.mesh.data.shape_keys.key_blocks.keys())
    found = states(addon, avatar)
    assert found["rig"] == found["face"] == "done" and found["vrm"] == "next"
    addon("workflow").pose(avatar)
    low, high = addon("render.pictures")._head_box(avatar)
    assert 0.1 < high[2] - low[2] < 0.5  # the thumbnail shows the head
    addon("workflow").set_up_vrm(avatar)
    assert addon("workflow").export(avatar, path.with_suffix(".vrm")).exists()


@pytest.mark.parametrize("version", ["1.0", "0.0"])
def test_a_vrm_comes_back_as_it_was(bpy, addon, avatar, version, tmp_path):
    setup, workflow = addon("vrm.setup"), addon("workflow")
    addon("vrm.licences").apply(avatar.armature, "cc_by_nc")
    ext = avatar.armature.data.vrm_addon_extension
    ext.vrm1.meta.authors[0].value = ext.vrm0.meta.author = "Zoe"
    if version == "0.0":  # its exporter takes seconds for the keys of a whole face
        for key in avatar.mesh.data.shape_keys.key_blocks[1:]:
            if key.name not in ("aa", "ih", "ou", "ee", "oh", "blinkLeft", "blinkRight"):
                avatar.mesh.shape_key_remove(key)
    path = workflow.export(avatar, tmp_path / "zoe.vrm", version)
    humanoid, keys = setup.get_humanoid(avatar.armature), avatar.mesh.data.shape_keys.key_blocks.keys()
    new(bpy)
    back = run(addon, addon("intake.objects").bring_in(bpy.context, path, licensed=True))
    assert setup.get_humanoid(back.armature) == humanoid
    assert sorted(back.mesh.data.shape_keys.key_blocks.keys()) == sorted(keys)
    bound = back.armature.data.vrm_addon_extension.vrm1.expressions.preset
    assert [(bind.node.mesh_object_name, bind.index) for bind in bound.aa.morph_target_binds] == [
        (back.mesh.name, "aa")
    ]
    assert {bind.index for bind in bound.blink.morph_target_binds} == {"blinkLeft", "blinkRight"}
    meta = back.armature.data.vrm_addon_extension.vrm1.meta
    assert (meta.authors[0].value, meta.commercial_usage, meta.allow_redistribution) == (
        "Zoe",
        "personalNonProfit",
        True,
    )
    assert "by-nc" in meta.other_license_url
    found = states(addon, back)
    assert set(found.values()) == {"done", "next"} and found["export"] == "next"
    if version == "1.0":
        return
    workflow.set_up_vrm(back)
    again = workflow.export(back, tmp_path / "again.vrm")
    new(bpy)
    meta = run(
        addon, addon("intake.objects").bring_in(bpy.context, again, licensed=True)
    ).armature.data.vrm_addon_extension.vrm1.meta
    assert meta.authors[0].value == "Zoe" and meta.commercial_usage == "personalNonProfit"


def test_what_cannot_be_brought_in_leaves_nothing(bpy, addon, tmp_path, written):
    def failing(path, word):
        before = {name: len(getattr(bpy.data, name)) for name in ("objects", "meshes", "materials", "images")}
        with pytest.raises(RuntimeError) as error:
            bpy.ops.avatar_forge.bring_in(filepath=str(path))
        assert word in str(error.value) and "Traceback" not in str(error.value)
        assert {name: len(getattr(bpy.data, name)) for name in before} == before

    broken = tmp_path / "broken.glb"
    broken.write_bytes(b"glTF and nothing more")
    failing(broken, "cannot be imported")
    failing(tmp_path / "none.glb", "does not exist")
    wrong = tmp_path / "model.blend1"
    wrong.write_bytes(b"")
    failing(wrong, "cannot be imported")
    not_vrm = tmp_path / "no.vrm"
    shutil.copy(broken, not_vrm)
    failing(not_vrm, "VRM")
    empty = written("empty.glb", lambda mesh, _armature: bpy.data.objects.remove(mesh), rigged=False)
    failing(empty, "no mesh")


def test_the_selection_becomes_an_avatar(bpy, addon):
    assert not bpy.ops.avatar_forge.use_selected.poll()
    for z, size in ((0.5, 0.5), (1.4, 0.2)):
        bpy.ops.mesh.primitive_uv_sphere_add(radius=size, location=(0, 0, z))
    first = bpy.context.object
    first.modifiers.new("Mirror", "MIRROR")
    bpy.ops.object.select_all(action="SELECT")
    assert bpy.ops.avatar_forge.use_selected(height=1.2) == {"FINISHED"}
    avatar = addon("avatar.scene").find_avatar(bpy.context)
    assert len(bpy.data.objects) == 1 and avatar.mesh.dimensions.z == pytest.approx(1.2, abs=1e-4)
    assert not bpy.ops.avatar_forge.use_selected.poll()  # it is one already


def test_own_shape_keys_live_through_the_face(bpy, addon, avatar):
    addon("workflow").remove_face(avatar)
    mesh = avatar.mesh
    mesh.shape_key_add(name="Basis", from_mix=False)
    for name in ("jawOpen", "aa", "tail"):
        mesh.shape_key_add(name=name, from_mix=False)
    keys = mesh.data.shape_keys.key_blocks
    rest = points(mesh)
    top = rest[:, 2] > 0.82 * rest[:, 2].max()
    for vertex in np.flatnonzero(top):
        keys["jawOpen"].data[vertex].co.y -= 0.05
    keys["tail"].slider_max, keys["tail"].value = 2.0, 1.5
    avatar.record.mouth_style = "CUT"
    run(addon, addon("workflow").face(avatar))
    keys = mesh.data.shape_keys.key_blocks
    assert {"jawOpen", "aa", "aa.own", "tail"} <= set(keys.keys()) and keys["tail"].value == 1.5
    basis, moved = (np.array([point.co[:] for point in keys[name].data]) for name in ("Basis", "jawOpen"))
    shift = (moved - basis)[basis[:, 2] > 0.84 * rest[:, 2].max()]
    assert len(shift) > top.sum()  # the face's new vertices are among them
    np.testing.assert_allclose(shift, np.broadcast_to([0, -0.05, 0], shift.shape), atol=2e-4)
    assert any(
        "3 shape keys are kept" in warning.message and "aa.own" in warning.message for warning in avatar.record.warnings
    )
    run(addon, addon("workflow").face(avatar))  # again, from the mesh with its own keys
    assert {"jawOpen", "aa", "aa.own", "tail"} <= set(mesh.data.shape_keys.key_blocks.keys())
    assert run(addon, addon("workflow").rig(bpy.context, avatar, "geometric")).mesh.data.shape_keys.key_blocks.keys()[
        1:
    ] == ["jawOpen", "aa", "tail"]


def test_steps_say_what_is_outdated(bpy, addon, avatar):
    assert set(states(addon, avatar).values()) == {"done"}
    addon("workflow").pose(avatar)
    found = addon("workflow_states").states(avatar)
    assert found["face"].state == "done" and found["vrm"].state == "outdated" and found["vrm"].since == "T-Pose"
    addon("workflow").set_up_vrm(avatar)
    assert states(addon, avatar)["vrm"] == "done" and states(addon, avatar)["export"] == "outdated"
    assert addon("workflow_states").states(None)["mesh"].state == "next"


def test_a_dropped_picture_is_set_or_made(bpy, addon, picture, tmp_path):
    handler = bpy.types.AVATARFORGE_FH_picture
    assert (
        Path(picture).suffix in handler.bl_file_extensions.split(";")
        and handler.bl_import_operator == "avatar_forge.drop_picture"
    )
    assert bpy.types.AVATARFORGE_FH_model.bl_import_operator == "avatar_forge.bring_in"
    assert bpy.ops.avatar_forge.drop_picture(filepath=str(picture), make="SET") == {"FINISHED"}
    assert bpy.context.scene.avatar_forge.picture == str(picture) and not bpy.context.scene.objects
    letter = tmp_path / "letter.txt"
    letter.write_text("no picture")
    with pytest.raises(RuntimeError, match="not a readable picture"):
        bpy.ops.avatar_forge.drop_picture(filepath=str(letter))
    assert bpy.ops.avatar_forge.drop_picture(filepath=str(picture)) == {"FINISHED"}
    assert addon("avatar.scene").find_avatar(bpy.context).armature


def test_a_sheet_without_or_with_one_figure_changes_no_card(bpy, picture, tmp_path):
    settings = bpy.context.scene.avatar_forge
    card = settings.cards.add()
    card.kind, card.picture = "back", str(picture)
    blank = bpy.data.images.new("Blank", 64, 64)
    blank.file_format = "PNG"
    blank.save(filepath=str(tmp_path / "blank.png"))
    settings.picture = str(tmp_path / "blank.png")
    with pytest.raises(RuntimeError, match=r"No figure was found in the picture blank\.png"):
        bpy.ops.avatar_forge.cut_sheet()
    settings.picture = str(picture)
    assert bpy.ops.avatar_forge.cut_sheet() == {"FINISHED"}
    assert settings.picture == str(picture) and [card.kind for card in settings.cards] == ["back"]


def test_licences_and_presets(bpy, addon, avatar):
    licences, setup = addon("vrm.licences"), addon("vrm.setup")
    for name in licences.LICENCES:
        assert bpy.ops.avatar_forge.apply_licence(name=name) == {"FINISHED"}
        assert licences.current(avatar.armature) == name
    meta = avatar.armature.data.vrm_addon_extension.vrm1.meta
    meta.authors[0].value, meta.contact_information = "Zoe", "zoe@example.org"
    bpy.ops.avatar_forge.edit_meta_list(which="references")
    meta.references[0].value = "https://example.org"
    kept = said(setup.read_meta(avatar.armature))
    bpy.ops.avatar_forge.add_meta_preset(name="Zoe's")
    path = bpy.utils.preset_find("Zoe_s", "avatar_forge/meta")
    bpy.ops.avatar_forge.apply_licence(name="personal")
    bpy.ops.avatar_forge.edit_meta_list(which="references", index=0)
    meta.authors[0].value = "somebody"
    assert bpy.ops.avatar_forge.apply_preset(filepath=path, menu_idname="AVATARFORGE_MT_meta_presets") == {"FINISHED"}
    assert said(setup.read_meta(avatar.armature)) == kept
    run(addon, addon("workflow").rig(bpy.context, avatar, "geometric"))
    armature = addon("avatar.scene").find_avatar(bpy.context).armature
    assert said(setup.read_meta(armature)) == kept  # a new skeleton has it as well


def test_the_diagnostic_has_no_secrets(bpy, addon, avatar, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    monkeypatch.setenv("HOME", "/home/annabelle")
    monkeypatch.setenv("LOGNAME", "annabelle")
    diagnostic, log = addon("diagnostic"), addon("client.session").log_file()
    log.parent.mkdir(parents=True, exist_ok=True)
    earlier = log.read_bytes() if log.exists() else b""
    secrets = [
        "hunter2hunter2",
        "wJalrXUtnFEMI/K7MDENG",
        "hf_abcdefghijklmnopqrstuv",
        "AKIAIOSFODNN7EXAMPLE",
        "p4ss",
        "s1gn4ture",
        "annabelle",
        "w3bhook",
    ]
    lines = [
        "Authorization: Bearer hunter2hunter2",
        "key wJalrXUtnFEMI/K7MDENG was refused",
        "downloading with hf_abcdefghijklmnopqrstuv",
        "aws AKIAIOSFODNN7EXAMPLE",
        "GET https://ann:p4ss@store.example.org/x?X-Amz-Signature=s1gn4ture&a=1",
        "cannot read /home/annabelle/models/x.safetensors",
        '{"access_token": "hunter2hunter2"}',
        "POST https://hooks.example.org/services/w3bhook failed",
    ]
    log.write_bytes(earlier + "\n".join(lines).encode() + b"\n")
    bpy.context.window_manager.avatar_forge.error = "The file /home/annabelle/a.png cannot be read."
    try:
        assert bpy.ops.avatar_forge.copy_diagnostic() == {"FINISHED"}
        text = diagnostic.text(bpy.context)
    finally:
        log.write_bytes(earlier)
    assert [secret for secret in secrets if secret in text] == []
    assert "POST https://hooks.example.org/[hidden] failed" in text
    assert "~/models/x.safetensors" in text and "The file ~/a.png cannot be read." in text
    assert (
        f"Blender {bpy.app.version_string}" in text
        and "VRM Add-on 4." in text
        and "Steps: Mesh done" in text
        and "Preview" in text
    )


def test_joints_and_face_are_searched_on_the_models_colours(avatar, bpy, addon, tmp_path):
    """A picture that was only made in memory has no file, and its copy is black."""
    _, texture = addon("avatar.painting").write_painted(avatar, tmp_path / "mesh.npz", tmp_path / "texture.png")
    shown = np.array(bpy.data.images.load(str(texture)).pixels).reshape(-1, 4)[:, :3]
    addon("workflow").remove_face(avatar)  # and the other texture of its drawn mouth
    source = addon("avatar.scene").texture_pixels(avatar)[..., :3]
    assert np.abs(shown.mean(0) - source.mean((0, 1))).max() < 0.2 and shown.std() > 0.1
