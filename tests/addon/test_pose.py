"""Any rest pose to the T-pose and back out of previews, on a made avatar and on one as importers leave it."""

import json
import math

import numpy as np
import pytest

VISEMES = ("aa", "ih", "ou", "ee", "oh")
A_POSE = {"leftUpperArm": (0, 45, 0), "rightUpperArm": (0, -45, 0)}
LEGS = {"leftUpperLeg": (0, -8, 0), "rightUpperLeg": (0, 8, 0), "leftFoot": (0, 8, 0), "rightFoot": (0, -8, 0)}
ARMS_DOWN = {"leftUpperArm": (0, 80, 0), "rightUpperArm": (0, -80, 0), **LEGS}
ELBOWS = {
    "leftUpperArm": (0, 40, 0),
    "rightUpperArm": (0, -20, 0),
    "leftLowerArm": (0, 0, -50),
    "rightLowerArm": (0, 30, 40),
}
POSES = {"A": A_POSE, "arms down": ARMS_DOWN, "elbows bent": ELBOWS}


def bend(avatar, pose):
    """Turns bones by degrees about the armature's axes, as with a user's hands."""
    from mathutils import Euler

    for name, degrees in pose.items():
        bone = avatar.armature.pose.bones[name]
        rest = bone.bone.matrix_local.to_3x3()
        turn = Euler([math.radians(angle) for angle in degrees]).to_matrix()
        bone.rotation_quaternion = (rest.inverted() @ turn @ rest).to_quaternion()


def points_of(data):
    flat = np.empty(len(data) * 3, np.float32)
    data.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(float)


def shapes(mesh):
    keys = mesh.shape_keys
    base = points_of(keys.reference_key.data)
    return {block.name: points_of(block.data) - base for block in keys.key_blocks[1:]}


def in_head(obj, mesh=None):
    group = obj.vertex_groups["head"].index
    return np.array([any(g.group == group and g.weight > 0.05 for g in v.groups) for v in (mesh or obj.data).vertices])


def evaluated(obj, bpy):
    graph = bpy.context.evaluated_depsgraph_get()
    mesh = obj.evaluated_get(graph).to_mesh()
    out = points_of(mesh.vertices) @ np.array(obj.matrix_world)[:3, :3].T + np.array(obj.matrix_world)[:3, 3]
    obj.evaluated_get(graph).to_mesh_clear()
    return out


def everything_shown(avatar, bpy):
    """Pose, action, range, frame: what a preview must give back."""
    bpy.context.view_layer.update()
    scene, data = bpy.context.scene, avatar.armature.animation_data
    bones = {
        bone.name: [list(bone.location), list(bone.rotation_quaternion), list(bone.scale)]
        for bone in avatar.armature.pose.bones
    }
    frames = (
        scene.use_preview_range,
        scene.frame_preview_start,
        scene.frame_preview_end,
        scene.frame_current,
        scene.sync_mode,
    )
    return json.dumps([bones, frames, data and data.action and data.action.name, bool(data and data.use_nla)])


@pytest.mark.parametrize("pose", POSES)
def test_a_posed_avatar_comes_back_with_its_face(avatar, addon, bpy, pose):
    workflow = addon("workflow")
    keys = avatar.mesh.data.shape_keys.key_blocks
    keys["happy"].value, keys["happy"].slider_max = 0.25, 2.0
    before, vertices, mouth = (
        shapes(avatar.mesh.data),
        points_of(avatar.mesh.data.vertices),
        np.array(avatar.record.mouth.center),
    )
    names, head = [key.name for key in keys], in_head(avatar.mesh)
    bend(avatar, POSES[pose])
    seen = evaluated(avatar.mesh, bpy)
    assert bpy.ops.avatar_forge.pose_to_rest() == {"FINISHED"}
    assert not addon("pose.bake").is_posed(avatar.armature)
    assert not addon("pose.t_pose").is_t_pose(avatar) and max(addon("pose.t_pose").off_t_pose(avatar).values()) > 30
    assert (
        np.quantile(np.linalg.norm(evaluated(avatar.mesh, bpy) - seen, axis=1), 0.9) < 1e-3
    )  # as it was shown, but for relaxed skin
    assert bpy.ops.avatar_forge.pose() == {"FINISHED"}
    assert addon("pose.t_pose").is_t_pose(avatar) and max(addon("pose.t_pose").off_t_pose(avatar).values()) < 0.1
    keys = avatar.mesh.data.shape_keys.key_blocks
    assert [key.name for key in keys] == names and keys["happy"].value == 0.25 and keys["happy"].slider_max == 2
    after = shapes(avatar.mesh.data)
    for name in VISEMES:
        moved = np.linalg.norm(after[name], axis=1) > 1e-4
        assert moved.sum() > 20 and head[moved].all()
        np.testing.assert_allclose(after[name], before[name], atol=2e-5)  # the head has not turned
    back = points_of(avatar.mesh.data.vertices)
    assert np.quantile(np.linalg.norm(back - vertices, axis=1), 0.95) < 0.01
    np.testing.assert_allclose(avatar.record.mouth.center, mouth + (back - vertices)[head].mean(0), atol=2e-3)
    kept = points_of(avatar.record.mesh_without_face.vertices)
    np.testing.assert_allclose(kept, back[: len(kept)], atol=2e-3)  # the mesh without a face is there too
    addon("client.process.tasks").Task("Face", workflow.face(avatar), addon("client.session").worker).wait()
    assert [key.name for key in avatar.mesh.data.shape_keys.key_blocks] == names


def test_a_turned_head_takes_its_shape_keys_and_markers_along(avatar, addon, bpy):
    keys = avatar.mesh.data.shape_keys.key_blocks
    keys["oh"].relative_key = keys["aa"]
    before, whole = shapes(avatar.mesh.data), weight_of(avatar.mesh, "head") > 0.9999
    bend(avatar, {"head": (0, 0, 90)})
    mouth = np.array(avatar.record.mouth.center)
    joint = np.array(avatar.armature.data.bones["head"].head_local)
    assert bpy.ops.avatar_forge.pose_to_rest() == {"FINISHED"}
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    for name, shape in shapes(avatar.mesh.data).items():
        np.testing.assert_allclose(shape[whole], before[name][whole] @ turn.T, atol=1e-4)
    assert keys["oh"].relative_key == keys["aa"]
    np.testing.assert_allclose(np.array(avatar.record.mouth.center), joint + turn @ (mouth - joint), atol=1e-5)


@pytest.fixture
def imported(avatar, addon, bpy):
    """As an importer leaves a model: in centimetres and lying, head and body apart, custom normals, ARKit keys, a hat
    on a bone.
    """
    from mathutils import Euler, Matrix

    body, armature = avatar.mesh, avatar.armature
    bend(avatar, ARMS_DOWN)
    bpy.ops.avatar_forge.pose_to_rest()
    body.data.shape_keys.key_blocks["aa"].name = "jawOpen"
    body.data.shape_keys.key_blocks["jawOpen"].driver_add("value").driver.expression = "0.5"
    face = body.copy()
    face.data = body.data.copy()
    face.name, face.avatar_forge.is_avatar = "Face", False
    bpy.context.collection.objects.link(face)
    face.modifiers.new("Smooth", "SMOOTH").iterations = 0
    lying = Matrix.Scale(0.01, 4) @ Euler((math.radians(90), 0, 0)).to_matrix().to_4x4()
    armature.data.transform(lying.inverted())
    for obj in (body, face):
        obj.data.transform(lying.inverted(), shape_keys=True)
    avatar.record.mesh_without_face = None
    armature.matrix_world = lying
    normals = np.array([normal.vector[:] for normal in body.data.corner_normals]) + [0, 0.3, 0]
    body.data.normals_split_custom_set(normals / np.linalg.norm(normals, axis=1, keepdims=True))
    hat = bpy.data.objects.new("Hat", None)
    bpy.context.collection.objects.link(hat)
    hat.parent, hat.parent_type, hat.parent_bone = armature, "BONE", "leftHand"
    bone = armature.data.bones["leftHand"]
    bone["mine"] = 3
    with addon("mesh.armature").editing(armature):
        hand = armature.data.edit_bones["leftHand"]
        hand.roll = 0.7
        hand.parent.tail = hand.head
        hand.use_connect = True
    bpy.context.view_layer.update()
    return avatar, face, hat


def test_an_imported_model_is_baked_as_a_whole(imported, addon, bpy):
    avatar, face, hat = imported
    body, armature = avatar.mesh, avatar.armature
    assert not addon("pose.t_pose").is_t_pose(avatar) and max(
        addon("pose.t_pose").off_t_pose(avatar).values()
    ) == pytest.approx(80, abs=0.5)
    bone = armature.data.bones["leftHand"]
    on_hand = (armature.matrix_world @ bone.matrix_local).inverted() @ hat.matrix_world
    normals = np.array([normal.vector[:] for normal in body.data.corner_normals])
    sharp = sum(edge.use_edge_sharp for edge in body.data.edges)
    modifiers = [(m.name, m.type) for m in (*body.modifiers, *face.modifiers)]
    bend(avatar, {"leftUpperArm": (10, 20, 30)})  # a pose that is not asked for
    assert bpy.ops.avatar_forge.pose() == {"FINISHED"}
    assert addon("pose.t_pose").is_t_pose(avatar) and max(addon("pose.t_pose").off_t_pose(avatar).values()) < 0.1
    world = np.array(
        [
            armature.matrix_world @ armature.data.bones[name].head_local
            for name in ("leftUpperArm", "leftLowerArm", "leftHand")
        ]
    )
    np.testing.assert_allclose(np.ptp(world, axis=0)[1:], 0, atol=1e-4)
    assert world[0, 0] < world[1, 0] < world[2, 0]
    bone = armature.data.bones["leftHand"]
    assert bone["mine"] == 3 and bone.use_connect
    bpy.context.view_layer.update()
    now = (armature.matrix_world @ bone.matrix_local).inverted() @ hat.matrix_world
    np.testing.assert_allclose(np.array(now), np.array(on_hand), atol=1e-4)  # so the roll came along as well
    a, b = evaluated(body, bpy), evaluated(face, bpy)
    np.testing.assert_allclose(a, b, atol=1e-5)  # both meshes went the same way
    assert a[:, 2].min() == pytest.approx(0, abs=0.01) and np.ptp(a[:, 0]) > 0.7 * np.ptp(a[:, 2])
    assert [(m.name, m.type) for m in (*body.modifiers, *face.modifiers)] == modifiers
    drivers = body.data.shape_keys.animation_data.drivers
    assert [d.data_path for d in drivers] == ['key_blocks["jawOpen"].value']
    moved = np.linalg.norm(shapes(body.data)["jawOpen"], axis=1) > 1e-2  # centimetres
    assert moved.sum() > 20 and in_head(body)[moved].all()
    turned = np.array([normal.vector[:] for normal in body.data.corner_normals])
    assert sum(edge.use_edge_sharp for edge in body.data.edges) == sharp
    loops = np.array([loop.vertex_index for loop in body.data.loops])
    hand, head = (weight_of(body, name)[loops] > 0.99 for name in ("leftHand", "head"))
    np.testing.assert_allclose(turned[head], normals[head], atol=5e-3)
    c, s = math.cos(math.radians(80)), math.sin(math.radians(80))
    np.testing.assert_allclose(turned[hand], normals[hand] @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T, atol=2e-2)


def weight_of(obj, name):
    group = obj.vertex_groups[name].index
    return np.array([sum(g.weight for g in v.groups if g.group == group) for v in obj.data.vertices])


def test_a_preview_shows_what_apply_makes_and_back_restores_all(avatar, addon, bpy):
    bend(avatar, ELBOWS)
    bpy.ops.avatar_forge.pose_to_rest()
    bend(avatar, {"head": (0, 0, 30)})
    avatar.armature.pose.bones["spine"].location.x = 0.01
    before = everything_shown(avatar, bpy)
    assert not bpy.ops.avatar_forge.pose_back.poll()
    assert bpy.ops.avatar_forge.preview_t_pose() == {"FINISHED"}
    live = addon("pose.preview")
    assert live.shown(avatar.armature) == "T-Pose"
    worst = dict(live.bends(avatar.armature))
    assert worst["leftLowerArm"] == pytest.approx(50, abs=2) and list(worst.values()) == sorted(
        worst.values(), reverse=True
    )
    previewed = evaluated(avatar.mesh, bpy)
    assert bpy.ops.avatar_forge.pose_back() == {"FINISHED"}
    assert everything_shown(avatar, bpy) == before and not live.shown(avatar.armature)
    bpy.ops.avatar_forge.preview_t_pose()
    assert bpy.ops.avatar_forge.pose() == {"FINISHED"}
    assert not live.shown(avatar.armature) and addon("pose.t_pose").is_t_pose(avatar)
    assert np.quantile(np.linalg.norm(evaluated(avatar.mesh, bpy) - previewed, axis=1), 0.9) < 1e-3


@pytest.mark.parametrize("start", ["T", "A"])
def test_poses_and_animations_stand_on_the_ground_and_leave_nothing(avatar, addon, bpy, start):
    if start == "A":
        bend(avatar, A_POSE)
        bpy.ops.avatar_forge.pose_to_rest()
    scene, armature = bpy.context.scene, avatar.armature
    armature.pose.bones["head"].rotation_mode = "XYZ"
    armature.pose.bones["head"].rotation_euler.z = 0.1
    armature.pose.bones["head"].keyframe_insert("rotation_euler", frame=3)
    mine = armature.animation_data.action
    scene.frame_set(5)
    before, lives = everything_shown(avatar, bpy), addon("pose.preview")
    names = lives.pose_names(avatar)
    hands = {}
    for name in names:
        assert bpy.ops.avatar_forge.show_pose(name=name) == {"FINISHED"}
        points = evaluated(avatar.mesh, bpy)
        assert points[:, 2].min() == pytest.approx(0, abs=0.03)
        hands[name] = armature.pose.bones["leftHand"].head.z - armature.pose.bones["leftUpperArm"].head.z
    assert hands["Arms Up"] > 0.1 > -0.1 > hands["Arms Down"]
    for name in ("Walk", "Wave", "Turn"):
        assert bpy.ops.avatar_forge.show_motion(name=name) == {"FINISHED"}
        assert [a.name for a in bpy.data.actions if a != mine] == [f"Avatar Forge: {name}"] and scene.use_preview_range
        first, last = scene.frame_preview_start, scene.frame_preview_end
        lowest, poses = [], []
        for frame in np.linspace(first, last + 1, 7):
            scene.frame_set(int(frame))
            lowest.append(evaluated(avatar.mesh, bpy)[:, 2].min())
            poses.append(np.array([bone.matrix for bone in armature.pose.bones]))
        assert max(map(abs, lowest)) < 0.03, lowest
        np.testing.assert_allclose(poses[0], poses[-1], atol=1e-4)  # it loops
        assert np.abs(poses[2] - poses[0]).max() > 0.02
    assert bpy.ops.avatar_forge.pose_back() == {"FINISHED"}
    assert everything_shown(avatar, bpy) == before and list(bpy.data.actions) == [mine]
    assert armature.animation_data.action == mine and armature.pose.bones["head"].rotation_euler.z == pytest.approx(0.1)


def test_speech_over_a_walk_ends_with_it(avatar, bpy):
    scene = bpy.context.scene
    before = scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end
    bpy.ops.avatar_forge.show_motion(name="Walk")
    scene.avatar_forge.sentence = "Hello"
    bpy.ops.avatar_forge.speak()
    bpy.ops.avatar_forge.pose_back()
    assert (
        scene.use_preview_range,
        scene.frame_preview_start,
        scene.frame_preview_end,
    ) == before and not bpy.data.actions


def test_shared_data_are_made_single_and_a_hidden_armature_is_told(avatar, addon, bpy):
    bend(avatar, A_POSE)
    other = bpy.data.objects.new("Other", avatar.mesh.data)
    points = points_of(other.data.vertices)
    bpy.ops.avatar_forge.pose_to_rest()
    assert avatar.mesh.data != other.data and avatar.mesh.data.shape_keys
    np.testing.assert_array_equal(points_of(other.data.vertices), points)
    avatar.armature.hide_set(True)
    with pytest.raises(addon("errors").AvatarError, match="hidden"):
        addon("workflow").pose(avatar)
