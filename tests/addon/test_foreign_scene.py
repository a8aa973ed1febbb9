"""Characters made in Blender by somebody else: what the avatar takes, changes, leaves, and says of it."""

import bpy as blender
import numpy as np
import pytest

from tests.addon import small_character as small


def use(addon, *objects, **options):
    small.select(*objects)
    steps = addon("intake.objects").use_selected(blender.context, **options)
    return addon("client.process.tasks").Task("Use", steps, addon("client.session").worker).wait()


def codes(avatar):
    return {entry.code: entry.message for entry in avatar.record.warnings}


def width(avatar):
    return max(v.co.x for v in avatar.mesh.data.vertices) - min(v.co.x for v in avatar.mesh.data.vertices)


def test_curves_and_loose_parts_come_along_or_are_named(bpy, addon):
    made = small.build()
    curve = bpy.data.curves.new("Hair", "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", 0.02
    spline = curve.splines.new("POLY")
    spline.points.add(3)
    for point, z in zip(spline.points, (1.6, 1.55, 1.45, 1.3), strict=True):
        point.co = (0, 0.12, z, 1)
    hair = bpy.data.objects.new("Hair", curve)
    bpy.context.collection.objects.link(hair)
    hair.parent = made.armature
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.05, location=(0, 0, 1.68))
    hat = bpy.context.object
    hat.name = "Hat"
    wire = bpy.data.meshes.new("Wire")
    wire.from_pydata([(0, 0, 0), (0, 0, 1)], [(0, 1)], [])
    edges = bpy.data.objects.new("Wire", wire)
    bpy.context.collection.objects.link(edges)
    edges.parent = made.armature
    parts = len(made.meshes[0].data.vertices) + len(hat.data.vertices)
    avatar = use(addon, made.armature, hat, height=1.0)
    assert len(avatar.mesh.data.vertices) > parts
    assert max(v.co.z for v in avatar.mesh.data.vertices) == pytest.approx(1.0, abs=0.01)
    assert all(v.groups for v in avatar.mesh.data.vertices)
    assert "Wire" in codes(avatar)["left_out"] and "Hat" in " ".join(entry.message for entry in avatar.record.warnings)
    assert "Hair" not in bpy.data.objects and "Hat" not in bpy.data.objects


@pytest.mark.parametrize("keys", [False, True])
def test_a_mirror_modifier_never_halves(bpy, addon, keys):
    import bmesh

    def named(name):
        flat = name.replace("left", "").replace("right", "")
        return flat + ("" if flat == name else ".L" if name.startswith("left") else ".R")

    made = small.build(called=named)
    obj = made.meshes[0]
    whole = obj.dimensions.x
    bm = bmesh.new()
    bm.from_mesh(obj.data)
    geometry = bm.verts[:] + bm.edges[:] + bm.faces[:]
    bmesh.ops.bisect_plane(bm, geom=geometry, plane_co=(0, 0, 0), plane_no=(1, 0, 0), clear_inner=True)
    bm.to_mesh(obj.data)
    bm.free()
    if keys:
        small.add_key(obj, "aa", where=lambda point: point.z > 1.4)
    obj.modifiers.new("Mirror", "MIRROR")
    obj.modifiers.move(1, 0)
    avatar = use(addon, made.armature)
    assert width(avatar) == pytest.approx(whole, rel=0.02)
    names = avatar.mesh.data.shape_keys.key_blocks.keys() if keys else None
    assert (names == ["Basis", "aa"]) if keys else avatar.mesh.data.shape_keys is None
    if keys:
        moved = np.array([p.co.z for p in avatar.mesh.data.shape_keys.key_blocks["aa"].data])
        rest = np.array([v.co.z for v in avatar.mesh.data.vertices])
        sides = np.array([v.co.x for v in avatar.mesh.data.vertices])
        assert (moved < rest - 0.009)[sides > 0.01].any() and (moved < rest - 0.009)[sides < -0.01].any()


def test_modifiers_that_keys_come_differently_out_of_are_refused(bpy, addon):
    made = small.build()
    obj = made.meshes[0]
    small.add_key(obj, "aa", move=(0, 0, -0.2), where=lambda point: point.z > 1.5)
    decimate = obj.modifiers.new("Weld", "WELD")
    decimate.merge_threshold = 0.06
    with pytest.raises(addon("errors").AvatarError, match=r"shape key aa; apply or remove them first\.$"):
        use(addon, made.armature)


def test_keys_that_are_on_become_the_shape_and_animation_goes(bpy, addon):
    made = small.build()
    obj = made.meshes[0]
    small.add_key(obj, "Tall head", move=(0, 0, 0.1), where=lambda point: point.z > 1.58, value=1.0)
    talks = small.add_key(obj, "aa", where=lambda point: 1.42 < point.z < 1.47)
    talks.value = 0.8
    talks.keyframe_insert("value", frame=1)
    talks.value = 0.0
    talks.keyframe_insert("value", frame=9)
    bpy.context.scene.frame_set(1)
    avatar = use(addon, made.armature)
    keys = avatar.mesh.data.shape_keys
    assert [block.value for block in keys.key_blocks[1:]] == [0.0] * 2 and keys.animation_data is None
    assert max(v.co.z for v in avatar.mesh.data.vertices) == pytest.approx(1.715, abs=0.01)
    assert "Tall head" in codes(avatar)["keys_applied"] and "animation" in codes(avatar)


def test_absolute_keys_are_refused(bpy, addon):
    made = small.build()
    small.add_key(made.meshes[0], "Tall head", where=lambda point: point.z > 1.58)
    made.meshes[0].data.shape_keys.use_relative = False
    with pytest.raises(addon("errors").AvatarError, match=r"absolute; .* first\.$"):
        use(addon, made.armature)


@pytest.mark.parametrize("how", ["object", "collection"])
def test_what_blender_does_not_evaluate_is_left_out(bpy, addon, how):
    """Its place is not known: it would be counted as part of the height, and moved twice."""
    made = small.build()
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.05, location=(0, 0, 1.68))
    hat = bpy.context.object
    hat.name, hat.parent = "Hat", made.armature
    if how == "object":
        hat.hide_viewport = True
    else:
        away = bpy.data.collections.new("Away")
        bpy.context.scene.collection.children.link(away)
        bpy.context.collection.objects.unlink(hat)
        away.objects.link(hat)
        bpy.context.view_layer.layer_collection.children["Away"].exclude = True
    avatar = use(addon, made.armature, height=1.0)
    assert codes(avatar)["left_out"].endswith("avatar: Hat.") and hat.name in bpy.data.objects
    assert max(v.co.z for v in avatar.mesh.data.vertices) == pytest.approx(1.0, abs=0.02)


def test_constraints_do_not_pull_the_t_pose_back(bpy, addon, tmp_path):
    made = small.build()
    armature = made.armature
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for side, x in (("left", 1), ("right", -1)):
        arm = [armature.data.edit_bones[side + part] for part in ("UpperArm", "LowerArm", "Hand")]
        target = armature.data.edit_bones.new(f"ik_{side}")
        for k, bone in enumerate(arm):
            bone.head = (0.15 * x + 0.15 * x * k, 0, 1.29 - 0.15 * k)
            bone.tail = (0.15 * x + 0.15 * x * (k + 1), 0, 1.29 - 0.15 * (k + 1))
        target.head, target.tail, target.use_deform = arm[2].head, arm[2].head + arm[2].vector, False
    bpy.ops.object.mode_set(mode="OBJECT")
    for side in ("left", "right"):
        reach = armature.pose.bones[f"{side}LowerArm"].constraints.new("IK")
        reach.target, reach.subtarget, reach.chain_count = armature, f"ik_{side}", 2
    avatar = use(addon, armature)
    notes = addon("workflow").pose(avatar)
    bpy.context.view_layer.update()
    assert any("constraints" in note for note in notes)
    posed = avatar.armature.pose.bones["leftHand"].matrix.translation
    assert posed.z == pytest.approx(avatar.armature.data.bones["leftUpperArm"].head_local.z, abs=0.01)
    assert addon("pose.t_pose").is_t_pose(avatar)


def test_what_others_use_stays_as_it_is(bpy, addon):
    made, stays = small.build(), bpy.data.objects.new("Other", bpy.data.meshes["Body"])
    bpy.context.collection.objects.link(stays)
    twin = bpy.data.objects.new("Twin", made.armature.data)
    bpy.context.collection.objects.link(twin)
    before = [tuple(v.co) for v in stays.data.vertices], [tuple(b.head_local) for b in twin.data.bones]
    material = stays.data.materials[0]
    avatar = use(addon, made.armature, height=1.0)
    addon("look.settings").set_defaults(avatar)
    assert before == ([tuple(v.co) for v in stays.data.vertices], [tuple(b.head_local) for b in twin.data.bones])
    assert stays.data.materials[0] == material and not material.vrm_addon_extension.mtoon1.enabled
    assert avatar.mesh.data != stays.data and avatar.armature.data != twin.data and "single" in codes(avatar)


def test_of_two_characters_the_active_one_is_taken_with_its_parts_alone(bpy, addon):
    made, other = small.build(), small.build(split=("head",))
    hats = []
    for rig in (made.armature, other.armature):
        bpy.ops.mesh.primitive_cone_add(radius1=0.1, depth=0.2, location=(0, 0, 1.75))
        hat = bpy.context.object
        hat.parent, hat.parent_type, hat.parent_bone = rig, "BONE", "head"
        hats.append(hat)
    stays = other.meshes[0].data, len(other.meshes[0].data.vertices)
    avatar = use(addon, made.armature, other.armature)
    assert avatar.armature == made.armature and hats[1].parent == other.armature
    assert other.meshes[0].data == stays[0] and len(stays[0].vertices) == stays[1]
    assert hats[1].name in codes(avatar)["left_out"] and other.meshes[0].name in codes(avatar)["left_out"]


@pytest.mark.parametrize("kind", ["objects", "override"])
def test_a_linked_character_is_refused_in_a_sentence(bpy, addon, tmp_path, kind):
    made = small.build()
    inside = bpy.data.collections.new("Character")
    for obj in (made.armature, *made.meshes):
        inside.objects.link(obj)
    bpy.context.scene.collection.children.link(inside)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.collections = ["Character"]
    linked = bpy.data.collections["Character"]
    bpy.context.scene.collection.children.link(linked)
    if kind == "override":
        linked.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
    bpy.context.view_layer.update()
    rigs = [o for o in bpy.context.view_layer.objects if o.type == "ARMATURE"]
    rig = next(o for o in rigs if bool(o.override_library) == (kind == "override"))
    with pytest.raises(addon("errors").AvatarError, match=r"make it local first .*\.$"):
        use(addon, rig)


def mirrored(made):
    made.armature.scale = (-1, 1, 1)


def far_away(made):
    made.armature.location = (1e4, -1e4, 5e3)


def with_a_stray_vertex(made):
    vertices = made.meshes[0].data.vertices
    vertices.add(1)
    vertices[-1].co = (0, 0, 900)


def edited(made):
    """As where several objects are edited at once and the active one is none of them."""
    blender.context.view_layer.objects.active = made.meshes[0]
    blender.ops.object.mode_set(mode="EDIT")
    blender.context.view_layer.objects.active = made.armature


@pytest.mark.parametrize("odd", [mirrored, far_away, with_a_stray_vertex, edited])
def test_it_stands_at_the_origin_as_it_was(bpy, addon, odd):
    made = small.build()
    odd(made)
    made.armature.select_set(True)
    steps = addon("intake.objects").use_selected(blender.context)
    avatar = addon("client.process.tasks").Task("Use", steps, addon("client.session").worker).wait()
    data = addon("mesh.blender_mesh").read_mesh(avatar.mesh)
    head = data.vertices[data.weights[:, data.groups.index("head")] > 0.5].mean(0)
    np.testing.assert_allclose(head, (0, 0, 1.5), atol=0.03)
    assert addon("vrm.setup").get_humanoid(avatar.armature)["head"] == "head"


def test_what_is_no_number_or_nothing_is_said(bpy, addon):
    made = small.build(split=("head", "leftHand"))
    made.meshes[1].scale = (0, 0, 0)
    made.meshes[2].data.vertices[3].co = (float("nan"),) * 3
    with pytest.raises(addon("errors").AvatarError, match=r"^leftHand has vertices .* first\.$"):
        use(addon, made.armature)
    made.meshes[2].data.vertices[3].co = (0.6, 0, 1.29)
    assert codes(use(addon, made.armature))["left_out"].endswith("avatar: head.")


def landmarks(addon, places, eyes, mouth):
    found = {name: {"center": list(place)} for name, place in places.items()}
    return addon("landmarks").FaceLandmarks.from_dict(found | {"confidence": {"eyes": eyes, "mouth": mouth}})


def test_two_uv_maps_and_colours_through_joining_and_the_face(bpy, addon):
    """The texture of one part is on its second UV map; another part has vertex colours."""
    made = small.build(split=("head",))
    body, head = made.meshes
    image = bpy.data.images.new("Skin", 8, 8)
    for obj, layer in ((body, "UVMap"), (head, "Second")):
        if layer == "Second":
            second = obj.data.uv_layers.new(name="Second")
            for loop in second.data:
                loop.uv = (0.25, 0.75)
        tree = obj.data.materials[0].node_tree
        node, place = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeUVMap")
        node.image, place.uv_map = image, layer
        tree.links.new(place.outputs[0], node.inputs["Vector"])
        tree.links.new(node.outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])
    colours = body.data.color_attributes.new("Paint", "BYTE_COLOR", "CORNER")
    for entry in colours.data:
        entry.color = (1, 0, 0, 1)
    avatar = use(addon, made.armature)
    data = addon("mesh.blender_mesh").read_mesh(avatar.mesh)
    on_head = data.weights[:, data.groups.index("head")] > 0.5
    corners = data.corner_uvs[on_head[data.triangles].all(1)]
    np.testing.assert_allclose(corners.reshape(-1, 2), np.broadcast_to((0.25, 0.75), (corners.size // 2, 2)), atol=1e-5)
    places = {"leftEye": (0.035, -0.1, 1.53), "rightEye": (-0.035, -0.1, 1.53), "mouth": (0, -0.1, 1.46)}
    addon("avatar.scene").store_face(avatar, landmarks(addon, places, 1.0, 1.0))
    steps = addon("workflow").face(avatar)
    addon("client.process.tasks").Task("Face", steps, addon("client.session").worker).wait()
    assert set(avatar.mesh.data.uv_layers.keys()) >= {"UVMap"}
    painted = avatar.mesh.data.color_attributes["Paint"]
    values = np.empty(len(painted.data) * 4, np.float32)
    painted.data.foreach_get("color", values)
    legs = [k for k, loop in enumerate(avatar.mesh.data.loops) if avatar.mesh.data.vertices[loop.vertex_index].co.z < 1]
    np.testing.assert_allclose(values.reshape(-1, 4)[legs], [(1, 0, 0, 1)] * len(legs), atol=0.01)


def test_no_lids_on_eyes_that_are_not_known(bpy, addon):
    made = small.build()
    avatar = use(addon, made.armature)
    places = {"leftEye": (0.035, -0.1, 1.53), "rightEye": (-0.035, -0.1, 1.53), "mouth": (0, -0.1, 1.46)}
    addon("avatar.scene").store_face(avatar, landmarks(addon, places, 0.1, 0.9))
    steps = addon("workflow").face(avatar)
    addon("client.process.tasks").Task("Face", steps, addon("client.session").worker).wait()
    names = avatar.mesh.data.shape_keys.key_blocks.keys()
    assert "aa" in names and not [name for name in names if name.startswith("blink")]
    assert "no eyelids" in codes(avatar)["no_lids"]
