"""Files that other programs wrote: brought in as they are, and out again as VRM without a surprise."""

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.addon import small_character as small


@pytest.fixture
def bring(bpy, addon, tmp_path):
    """bring(name, **options) writes what is in the scene, empties it, and brings the file in."""

    def run(name="a.glb", **options):
        path = tmp_path / name
        if path.suffix == ".fbx":
            bpy.ops.export_scene.fbx(filepath=str(path), add_leaf_bones=False)
        elif path.suffix == ".glb":
            bpy.ops.export_scene.gltf(filepath=str(path))
        for picture in tmp_path.glob("*.png"):
            picture.unlink()
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        steps = addon("intake.objects").bring_in(bpy.context, path, licensed=True, **options)
        return addon("client.process.tasks").Task("Bring", steps, addon("client.session").worker).wait()

    return run


def run(addon, steps):
    return addon("client.process.tasks").Task("Test", steps, addon("client.session").worker).wait()


def notes(avatar):
    return {entry.code: entry.message for entry in avatar.record.warnings}


def ready(addon, avatar):
    """As the VRM step leaves it, without the thumbnail, which takes seconds to render."""
    addon("look.settings").set_defaults(avatar)
    addon("vrm.setup").set_meta(avatar.armature, addon("vrm.setup").Meta("ex", "me"))


def volume(addon, obj):
    data = addon("mesh.blender_mesh").read_mesh(obj)
    a, b, c = np.moveaxis(data.vertices[data.triangles], 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def document(path):
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + length])


def picture(material, path, socket="Base Color"):
    import bpy

    image = bpy.data.images.new("Skin", 8, 8)
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    shader, end = tree.nodes["Principled BSDF"], node.outputs[0]
    if socket == "Normal":
        bump = tree.nodes.new("ShaderNodeNormalMap")
        tree.links.new(end, bump.inputs["Color"])
        end = bump.outputs[0]
    tree.links.new(end, shader.inputs[socket])
    return image


@pytest.mark.parametrize("rigged", [True, False])
@pytest.mark.parametrize("turned", [False, True])
def test_hard_edges_are_not_turned_inside_out(bpy, addon, bring, rigged, turned):
    made = small.build(smooth=False, rigged=rigged)
    right = volume(addon, made.meshes[0])
    if turned:
        made.meshes[0].data.flip_normals()
    avatar = bring()
    assert volume(addon, avatar.mesh) == pytest.approx(right, rel=0.01)
    assert ("turned_out" in notes(avatar)) == turned


def test_a_missing_texture_is_told_and_named_by_a_cancelled_export(bpy, addon, bring, tmp_path):
    made = small.build()
    picture(made.meshes[0].data.materials[0], tmp_path / "skin.png")
    avatar = bring("a.fbx")
    assert "skin" in notes(avatar)["missing_texture"].lower()
    ready(addon, avatar)
    with pytest.raises(addon("errors").AvatarError, match=r"^The VRM file could not be written: .*skin.*\.$") as caught:
        addon("workflow").export(avatar, tmp_path / "out.vrm")
    assert ". " not in str(caught.value) and not list(tmp_path.glob("*.vrm"))


@pytest.mark.parametrize("hung", [("Foot",), ("UpperLeg",), ("Foot", "UpperLeg")], ids="-".join)
def test_a_rig_for_inverse_kinematics_becomes_a_humanoid(bpy, addon, bring, tmp_path, hung):
    parents = {side + part: "root" for side in ("left", "right") for part in hung}
    numbers = {}
    small.build(parents=parents, called=lambda name: f"j{numbers.setdefault(name, len(numbers))}")
    avatar = bring()
    found = addon("vrm.setup").get_humanoid(avatar.armature)
    assert {found[side + part] for side in ("left", "right") for part in hung} == {
        f"j{numbers[name]}" for name in parents
    }
    assert "rehung" in notes(avatar)
    addon("workflow").pose(avatar)
    ready(addon, avatar)
    addon("workflow").export(avatar, tmp_path / "out.vrm")


def test_a_refused_skeleton_stops_the_later_steps_with_its_sentence(bpy, addon, bring, tmp_path):
    def snake(name):
        return f"j{sorted(small.bones()).index(name)}"

    made = small.build(called=snake)
    bpy.context.view_layer.objects.active = made.armature
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in made.armature.data.edit_bones:
        bone.parent = made.armature.data.edit_bones["j0"] if bone.name != "j0" else None
    bpy.ops.object.mode_set(mode="OBJECT")
    avatar = bring()
    said = notes(avatar)["humanoid"]
    assert said.startswith("Not a humanoid") and not addon("vrm.setup").get_humanoid(avatar.armature)
    workflow = addon("workflow")
    for step in (
        lambda: run(addon, workflow.face(avatar)),
        lambda: workflow.set_up_vrm(avatar),
        lambda: workflow.export(avatar, tmp_path / "out.vrm"),
    ):
        with pytest.raises(addon("errors").AvatarError) as caught:
            step()
        assert str(caught.value) == said and caught.value.code == "humanoid"


@pytest.mark.parametrize("rigged", [True, False])
def test_long_ears_are_no_legs(bpy, addon, bring, rigged):
    import bmesh

    made = small.build(rigged=rigged)
    obj = made.meshes[0]
    group = obj.vertex_groups.get("head")
    for x, z, size in (
        (0.13, 1.88, (0.06, 0.04, 0.28)),
        (-0.13, 1.88, (0.06, 0.04, 0.28)),
        (0, 0.47, (0.24, 0.16, 0.45)),
    ):
        bm = bmesh.new()
        bm.from_mesh(obj.data)
        layer = bm.verts.layers.deform.verify()
        for vertex in bmesh.ops.create_uvsphere(bm, u_segments=16, v_segments=12, radius=1)["verts"]:
            vertex.co = (vertex.co.x * size[0] + x, vertex.co.y * size[1], vertex.co.z * size[2] + z)
            if group:
                vertex[layer][group.index] = 1.0
        bm.to_mesh(obj.data)
        bm.free()
    avatar = bring()
    assert "turned" not in notes(avatar)
    tips = [v.co for v in avatar.mesh.data.vertices if v.co.z > 2.0]
    assert tips and min(abs(tip.x) for tip in tips) > 0.05


@pytest.mark.parametrize("socket", ["Normal", "Emission Color", "Roughness"])
def test_another_map_is_no_base_colour(bpy, addon, bring, tmp_path, socket):
    made = small.build()
    picture(made.meshes[0].data.materials[0], tmp_path / "map.png", socket).pack()
    avatar = bring()
    ready(addon, avatar)
    addon("workflow").export(avatar, tmp_path / "out.vrm")
    material = document(tmp_path / "out.vrm")["materials"][0]
    assert "baseColorTexture" not in material["pbrMetallicRoughness"]
    np.testing.assert_allclose(material["pbrMetallicRoughness"]["baseColorFactor"], [0.8, 0.3, 0.2, 1], atol=0.01)


def paint(obj, red, factor=None, domain="CORNER"):
    """Vertex colours (red, 0.1, 0.1), the base colour of its material with them, times a factor."""
    import bpy

    colours = obj.data.color_attributes.new("Paint", "BYTE_COLOR", domain)
    for entry in colours.data:
        entry.color = (red, 0.1, 0.1, 1)
    tree = obj.data.materials[0].node_tree
    node = tree.nodes.new("ShaderNodeVertexColor")
    node.layer_name, end = "Paint", tree.nodes["Principled BSDF"].inputs["Base Color"]
    if factor:
        mix = tree.nodes.new("ShaderNodeMix")
        mix.data_type, mix.blend_type = "RGBA", "MULTIPLY"
        mix.inputs[0].default_value, mix.inputs[7].default_value = 1.0, factor
        tree.links.new(mix.outputs[2], end)
        end = mix.inputs[6]
    tree.links.new(node.outputs[0], end)
    bpy.context.view_layer.update()


def accessor(path, number):
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    content = document(path)
    found = content["accessors"][number]
    view = content["bufferViews"][found["bufferView"]]
    kind = {5121: np.uint8, 5123: np.uint16, 5126: np.float32}[found["componentType"]]
    size = int(found["type"][-1])
    start = 28 + length + view.get("byteOffset", 0) + found.get("byteOffset", 0)
    values = np.frombuffer(data, kind, found["count"] * size, start).reshape(-1, size)
    return values if kind is np.float32 else values / np.iinfo(kind).max


@pytest.mark.parametrize("domain", ["CORNER", "POINT"])
def test_vertex_colours_reach_the_file(bpy, addon, bring, tmp_path, domain):
    """The body has them, the head only a colour of its own."""
    body, _head = small.build(split=("head",)).meshes
    paint(body, 0.8, domain=domain)
    avatar = bring()
    ready(addon, avatar)
    path = addon("workflow").export(avatar, tmp_path / "out.vrm")
    content = document(path)
    shown = {}
    for primitive in content["meshes"][0]["primitives"]:
        colours = accessor(path, primitive["attributes"]["COLOR_0"])[:, :3]
        material = content["materials"][primitive["material"]]
        factor = material.get("pbrMetallicRoughness", {}).get("baseColorFactor", [1, 1, 1])[:3]
        assert "VRMC_materials_mtoon" not in material.get("extensions", {}) or np.allclose(colours, 1)  # ignores them
        shown[material["name"]] = colours.mean(0) * factor
    np.testing.assert_allclose(shown["Body material"], (0.8, 0.1, 0.1), atol=0.01)
    np.testing.assert_allclose(shown["head material"], (0.8, 0.3, 0.2), atol=0.01)


@pytest.mark.parametrize("dense", [False, True])
def test_vertex_colours_without_a_skeleton_become_a_texture(bpy, addon, bring, monkeypatch, dense):
    """A part's colours times its factor; a part without them keeps its own colour. Also where the mesh is made lighter
    on the way.
    """
    if dense:
        monkeypatch.setattr(addon("intake.parts"), "THINNED", 900)
        monkeypatch.setattr(addon("intake.parts"), "MOST_TRIANGLES", 600)
    made = small.build(split=("head", "leftHand"), rigged=False)
    paint(made.meshes[0], 0.8, factor=(0.5, 1, 1, 1))
    paint(made.meshes[2], 0.8)
    avatar = bring()
    assert "baked_colours" in notes(avatar) and not avatar.mesh.data.color_attributes
    assert ("decimated" in notes(avatar)) == dense and (not dense or 300 < len(avatar.mesh.data.polygons) <= 600)
    (material,) = avatar.mesh.data.materials
    image = addon("vrm.base_colour").base_image(material)
    pixels = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], 4)
    data = addon("mesh.blender_mesh").read_mesh(avatar.mesh)
    middles, uvs = data.vertices[data.triangles].mean(1), data.corner_uvs.mean(1)
    for wanted, place in (
        ((0.4, 0.1, 0.1), middles[:, 2].argmin()),
        ((0.8, 0.3, 0.2), middles[:, 2].argmax()),
        ((0.8, 0.1, 0.1), middles[:, 0].argmax()),
    ):
        column, row = (uvs[place] * image.size[:]).astype(int)
        np.testing.assert_allclose(pixels[row, column, :3] ** 2.2, wanted, atol=0.02)


def test_markers_are_where_the_eye_bones_are(bpy, addon):
    made = small.build()
    armature = made.armature
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for name, x in (("LeftEye", 0.035), ("RightEye", -0.035)):
        eye = armature.data.edit_bones.new(name)
        eye.head, eye.tail, eye.parent = (x, -0.06, 1.53), (x, -0.1, 1.53), armature.data.edit_bones["head"]
    bpy.ops.object.mode_set(mode="OBJECT")
    for name, x in (("LeftEye", 0.035), ("RightEye", -0.035)):
        bpy.ops.mesh.primitive_uv_sphere_add(segments=8, ring_count=6, radius=0.02, location=(x, -0.065, 1.53))
        ball = bpy.context.object
        ball.vertex_groups.new(name=name).add(range(len(ball.data.vertices)), 1.0, "REPLACE")
        ball.parent = armature
        ball.modifiers.new("Armature", "ARMATURE").object = armature
    small.select(armature)
    avatar = run(addon, addon("intake.objects").use_selected(bpy.context))
    wrong = {name: {"center": [x, -0.1, 1.3]} for name, x in (("leftEye", 0.08), ("rightEye", -0.08), ("mouth", 0.0))}
    found = addon("landmarks").FaceLandmarks.from_dict(wrong | {"confidence": {"eyes": 0.01, "mouth": 0.3}})
    face = addon("face.eye_bones").corrected(avatar, found).to_dict()
    for name, x in (("leftEye", 0.035), ("rightEye", -0.035)):
        assert face[name]["center"][0] == pytest.approx(x, abs=1e-3)
        assert face[name]["center"][2] == pytest.approx(1.53, abs=1e-3) and face[name]["center"][1] < -0.06
    assert face["confidence"]["eyes"] >= 0.9 and 1.42 < face["mouth"]["center"][2] < 1.5
    data = addon("mesh.blender_mesh").read_mesh(avatar.mesh)
    shown = addon("render.pictures")._head_part(avatar, data)  # of the sheet's pictures of the face
    balls = [data.groups.index(name) for name in ("LeftEye", "RightEye")]
    on_balls = (data.weights[:, balls].sum(1) > 0.5)[shown.triangles].all(1)
    assert on_balls.sum() == 2 * 80


@pytest.fixture
def expressive(bpy, addon, tmp_path):
    """A VRM of two meshes whose expressions change materials too, and one is custom."""
    addon("vrm.addon").need_addon()
    made = small.build(split=("head",))
    setup, (body, head) = addon("vrm.setup"), made.meshes
    for name in ("aa", "happy", "Wink"):
        small.add_key(head, name, where=lambda point: point.z > 1.55)
    setup.set_humanoid(made.armature, {name: name for name in small.bones()})
    setup.bind_expressions(made.armature, {name: [("head", name, 1.0)] for name in ("aa", "happy")})
    for material in (body.data.materials[0], head.data.materials[0]):
        setup.make_toon(material)
    known = made.armature.data.vrm_addon_extension.vrm1.expressions
    happy, blush = known.preset.happy, known.custom.add()
    happy.is_binary, happy.override_blink, happy.override_mouth = True, "block", "blend"
    blush.custom_name = "Blush"
    for expression, target in ((happy, (1, 0.2, 0.2, 1)), (blush, (0, 1, 0, 1))):
        bind = expression.material_color_binds.add()
        bind.material, bind.type, bind.target_value = head.data.materials[0], "color", target
    shift = happy.texture_transform_binds.add()
    shift.material, shift.scale, shift.offset = head.data.materials[0], (1, 0.5), (0.5, 0.25)
    bind = blush.morph_target_binds.add()
    bind.node.mesh_object_name, bind.index, bind.weight = "head", "Wink", 0.5
    setup.set_meta(made.armature, setup.Meta("ex", "me", made_with="test"))
    addon("export").export(made.armature, tmp_path / "a.vrm", "1.0")


def test_nothing_is_left_of_joined_meshes(bpy, addon, bring, expressive):
    avatar = bring("a.vrm")
    assert {obj.name for obj in bpy.data.objects if obj.type == "MESH"} == {avatar.mesh.name}
    addon("face.existing_shapes").bind(avatar)
    known = avatar.armature.data.vrm_addon_extension.vrm1.expressions.preset
    assert [(bind.node.mesh_object_name, bind.index) for bind in known.aa.morph_target_binds] == [
        (avatar.mesh.name, "aa")
    ]
    assert (known.happy.override_blink, known.happy.override_mouth) == ("block", "blend")


def test_vrm0_keeps_what_it_can_hold_and_says_the_rest(bpy, addon, bring, expressive, tmp_path):
    avatar = bring("a.vrm")
    addon("workflow").export(avatar, tmp_path / "old.vrm", "0.0")
    groups = document(tmp_path / "old.vrm")["extensions"]["VRM"]["blendShapeMaster"]["blendShapeGroups"]
    by_name = {group["name"]: group for group in groups}
    happy, blush = next(g for g in groups if g["presetName"] == "joy"), by_name["Blush"]
    assert happy["isBinary"] and {value["propertyName"] for value in happy["materialValues"]} == {
        "_Color",
        "_MainTex_ST",
    }
    shift = next(value for value in happy["materialValues"] if value["propertyName"] == "_MainTex_ST")
    np.testing.assert_allclose(shift["targetValue"], [1, 0.5, 0.5, 0.25], atol=1e-5)
    assert blush["presetName"] == "unknown" and blush["binds"][0]["weight"] == pytest.approx(50)
    assert "happy" in notes(avatar)["vrm0_dropped"]
    again = bring("old.vrm")
    custom = {c.custom_name: c for c in again.armature.data.vrm_addon_extension.vrm1.expressions.custom}
    np.testing.assert_allclose(custom["Blush"].material_color_binds[0].target_value, (0, 1, 0, 1), atol=0.01)


@pytest.mark.parametrize("name", ["a.vrm", "a.glb", "a.gltf", "a.fbx"])
@pytest.mark.parametrize("content", ["nothing", "eight bytes", "half", "joint"])
def test_a_damaged_file_is_refused_without_a_place_in_a_program(bpy, addon, tmp_path, capsys, name, content):
    small.build()
    whole = tmp_path / "whole.glb"
    bpy.ops.export_scene.gltf(filepath=str(whole))
    data = whole.read_bytes() if content != "nothing" else b""
    (length,) = struct.unpack_from("<I", data, 12) if data else (0,)
    wrong = document(whole) | {"skins": [{"joints": [999]}]}
    packed = json.dumps(wrong).encode().ljust(length)
    shorter = {"eight bytes": 8, "half": len(data) // 2}
    data = data[: shorter[content]] if content in shorter else data[:20] + packed[:length] + data[20 + length :]
    path = tmp_path / name
    path.write_bytes(packed if name == "a.gltf" and content == "joint" else data)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with pytest.raises(addon("errors").AvatarError) as caught:
        run(addon, addon("intake.objects").bring_in(bpy.context, path, licensed=True))
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said and not re.search(r"\.py|Location|Traceback|site-packages", said)
    assert not bpy.data.objects and "Traceback" not in "".join(capsys.readouterr())
