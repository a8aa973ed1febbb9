"""The face panel: visemes by slider, brow and jaw, existing shape keys, and an avatar that speaks."""

import importlib
import wave

import numpy as np
import pytest

VISEMES = ("aa", "ih", "ou", "ee", "oh")


def run(addon, steps):
    return addon("client.process.tasks").Task("Test", steps, addon("client.session").worker).wait()


def shape(avatar, name):
    keys = avatar.mesh.data.shape_keys
    out = []
    for block in (keys.reference_key, keys.key_blocks[name]):
        points = np.empty(len(block.data) * 3, np.float32)
        block.data.foreach_get("co", points)
        out.append(points.reshape(-1, 3))
    return out[1] - out[0]


def lowest_moved(avatar):
    points = np.empty(len(avatar.mesh.data.vertices) * 3, np.float32)
    avatar.mesh.data.vertices.foreach_get("co", points)
    return points.reshape(-1, 3)[np.linalg.norm(shape(avatar, "aa"), axis=1) > 2e-4, 2].min()


def cut(avatar, addon):
    """The mouth of a flat face is drawn on cards; here its skin is cut."""
    avatar.record.mouth_style = "CUT"
    run(addon, addon("workflow").face(avatar))


def test_a_slider_changes_its_viseme_at_once_and_regenerating_keeps_it(avatar, addon, bpy):
    cut(avatar, addon)
    before = {name: shape(avatar, name) for name in VISEMES}
    aa = avatar.record.visemes.aa
    aa.strength = 0.5
    opened = np.ptp(before["aa"][:, 2])
    assert np.ptp(shape(avatar, "aa")[:, 2]) == pytest.approx(0.5 * opened, rel=0.15)
    keys = avatar.mesh.data.shape_keys.key_blocks
    assert keys["aa"].value == 1 and sum(key.value for key in keys[1:]) == 1  # it is shown
    aa.width, aa.corners = 0.2, 0.1
    live = shape(avatar, "aa")
    for name in VISEMES[1:]:
        np.testing.assert_array_equal(shape(avatar, name), before[name])
    run(addon, addon("workflow").face(avatar))
    np.testing.assert_allclose(shape(avatar, "aa"), live, atol=2e-5)
    assert bpy.ops.avatar_forge.reset_visemes() == {"FINISHED"}
    assert aa.strength == 1 and aa.width == aa.corners == 0
    np.testing.assert_allclose(shape(avatar, "aa"), before["aa"], atol=2e-5)
    assert sum(key.value for key in avatar.mesh.data.shape_keys.key_blocks[1:]) == 0


def test_the_markers_on_the_face_are_named_beside_them(avatar, bpy, extension):
    assert bpy.ops.avatar_forge.show_face_markers() == {"FINISHED"}
    labels = importlib.import_module(f"{extension.__name__}.operators.picture_markers")._labels(bpy.context)
    assert {(text, side) for text, side, _ in labels} == {
        ("Left Eye", "left"),
        ("Right Eye", "right"),
        ("Mouth", ""),
        ("Left Brow", "left"),
        ("Right Brow", "right"),
        ("Jaw", ""),
    }


def test_a_flat_face_has_mouth_cards_whose_sliders_work_and_can_be_cut(avatar, addon):
    live, names = addon("face.live"), [slot.material.name for slot in avatar.mesh.material_slots]
    assert avatar.record.mouth_style == "STYLE" and live.has_cards(avatar) and live.has_interior(avatar) is None
    assert "companion MouthCards" in names and len(names) == len(set(names))
    before = shape(avatar, "aa")
    avatar.record.visemes.aa.width = 0.3
    assert np.ptp(shape(avatar, "aa")[:, 0]) > np.ptp(before[:, 0]) + 1e-4
    cut(avatar, addon)
    assert not live.has_cards(avatar) and live.has_interior(avatar)
    avatar.record.mouth_style = "DRAWN"
    run(addon, addon("workflow").face(avatar))
    assert live.has_cards(avatar) and live.has_interior(avatar) is None


def test_a_mouth_without_teeth_and_tongue(avatar, addon):
    cut(avatar, addon)
    avatar.record.mouth_interior = False
    assert addon("face.live").has_interior(avatar)
    run(addon, addon("workflow").face(avatar))
    assert addon("face.live").has_interior(avatar) is False
    assert np.ptp(shape(avatar, "aa")[:, 2]) > 0.005
    avatar.record.visemes.oh.strength = 1.5  # sliders still work


def test_perfect_sync_is_made_measured_exported_and_taken_back(avatar, addon, tmp_path):
    workflow, custom = addon("workflow"), avatar.armature.data.vrm_addon_extension.vrm1.expressions.custom
    names = set(addon("vrm.spec.perfect_sync").SYNC_SHAPES)
    avatar.record.perfect_sync = True
    run(addon, workflow.face(avatar))
    workflow.set_up_vrm(avatar)
    assert {one.custom_name for one in custom} >= names
    preset = avatar.armature.data.vrm_addon_extension.vrm1.expressions.preset
    assert [bind.index for bind in preset.aa.morph_target_binds] == ["aa"]
    written = workflow.export(avatar, tmp_path / "synced.vrm")
    report = addon("report.report").make_report(written)
    found = next(check for check in report.checks if check.id == "perfect_sync")
    assert found.status == "PASS" and found.figure == "52 of 52 shapes" and not report.counts["FAIL"]
    avatar.record.perfect_sync = False
    run(addon, workflow.face(avatar))
    workflow.set_up_vrm(avatar)
    assert not {one.custom_name for one in custom} & names


def test_brow_and_jaw_markers_count_once_they_are_moved(avatar, addon, bpy):
    cut(avatar, addon)
    markers = addon("face.marker_objects")
    markers.show(avatar, bpy.context)
    empties = markers.shown(avatar)
    assert set(empties) == {part.attribute for part in addon("landmarks").PARTS.values()}
    assert (
        empties["left_brow"].location.z
        > empties["left_eye"].location.z
        > empties["mouth"].location.z
        > empties["jaw"].location.z
    )
    before = lowest_moved(avatar)
    bpy.ops.avatar_forge.apply_face_markers()
    assert not avatar.record.has_jaw and not avatar.record.has_brows
    markers.show(avatar, bpy.context)
    markers.shown(avatar)["jaw"].location.z += 0.01
    bpy.context.view_layer.update()
    bpy.ops.avatar_forge.apply_face_markers()
    assert avatar.record.has_jaw and not avatar.record.has_brows and not markers.shown(avatar)
    assert lowest_moved(avatar) > before + 0.003  # less skin follows the lower lip
    markers.show(avatar, bpy.context)  # placed: it stays where it was put
    assert markers.shown(avatar)["jaw"].location.z == pytest.approx(avatar.record.jaw.center.z, abs=1e-6)


def test_shape_keys_of_another_convention_are_bound(avatar, addon, bpy, tmp_path):
    names = {
        "aa": "あ",
        "ih": "い",
        "ou": "う",
        "ee": "え",
        "oh": "お",
        "blinkLeft": "ウィンク",
        "blinkRight": "ウィンク右",
        "happy": "笑い",
    }
    keys = avatar.mesh.data.shape_keys.key_blocks
    for key in list(keys[1:]):
        if key.name in names:
            key.name = names[key.name]
        else:
            avatar.mesh.shape_key_remove(key)
    assert bpy.ops.avatar_forge.bind_shape_keys() == {"FINISHED"}
    preset = avatar.armature.data.vrm_addon_extension.vrm1.expressions.preset
    assert [(bind.index, bind.weight) for bind in preset.aa.morph_target_binds] == [("あ", 1.0)]
    assert {bind.index for bind in preset.blink.morph_target_binds} == {"ウィンク", "ウィンク右"}
    assert not preset.angry.morph_target_binds
    vrm = addon("vrm.spec.vrm_file").VrmFile(addon("workflow").export(avatar, tmp_path / "mmd.vrm"))
    assert all(vrm.expressions()[name] for name in ("aa", "oh", "blink", "happy"))
    for key in list(avatar.mesh.data.shape_keys.key_blocks[1:]):
        key.name = f"Key {key.name.encode().hex()}"
    assert bpy.ops.avatar_forge.bind_shape_keys() == {"CANCELLED"}
    assert preset.aa.morph_target_binds  # what was bound stays


def what_moves(avatar, bpy, frames):
    """viseme -> values at these frames, as the viewport shows them."""
    out = []
    for frame in frames:
        bpy.context.scene.frame_set(int(frame), subframe=frame % 1)
        out.append([avatar.mesh.data.shape_keys.key_blocks[name].value for name in VISEMES])
    return np.array(out)


def test_a_sentence_is_spoken_and_stopping_leaves_nothing(avatar, addon, bpy):
    scene, keys = bpy.context.scene, avatar.mesh.data.shape_keys
    assert not bpy.ops.avatar_forge.speak.poll()
    scene.avatar_forge.sentence = "あいうえお"
    keys.key_blocks["happy"].value = 0.3
    scene.frame_set(7)
    assert bpy.ops.avatar_forge.speak() == {"FINISHED"}
    action = keys.animation_data.action
    assert scene.use_preview_range and scene.frame_preview_end > scene.frame_preview_start + 15
    values = what_moves(avatar, bpy, np.arange(scene.frame_preview_start, scene.frame_preview_end + 1, 0.5))
    loudest = values.argmax(1)[values.max(1) > 0.6]
    assert list(dict.fromkeys(loudest)) == [0, 1, 2, 3, 4]  # each vowel in its turn
    assert values[0].sum() == values[-1].sum() == 0
    scene.avatar_forge.sentence = "Hello"  # again, while it speaks
    assert bpy.ops.avatar_forge.speak() == {"FINISHED"} and len(bpy.data.actions) == 1
    assert bpy.ops.avatar_forge.stop_speaking() == {"FINISHED"}
    assert (
        not bpy.data.actions
        and not (keys.animation_data and keys.animation_data.action)
        and not scene.use_preview_range
    )
    assert scene.frame_current == 7 and keys.key_blocks["happy"].value == pytest.approx(0.3)
    assert sum(keys.key_blocks[name].value for name in VISEMES) == 0
    assert not bpy.ops.avatar_forge.stop_speaking.poll() and action is not None


def test_an_action_that_was_there_comes_back(avatar, bpy):
    block = avatar.mesh.data.shape_keys.key_blocks["happy"]
    block.keyframe_insert("value", frame=1)
    mine = avatar.mesh.data.shape_keys.animation_data.action
    bpy.context.scene.avatar_forge.sentence = "Hello"
    bpy.ops.avatar_forge.speak()
    assert avatar.mesh.data.shape_keys.animation_data.action != mine
    bpy.ops.avatar_forge.stop_speaking()
    assert avatar.mesh.data.shape_keys.animation_data.action == mine and list(bpy.data.actions) == [mine]


def test_a_wav_file_is_spoken_along(avatar, bpy, tmp_path):
    rate = 16000
    t = np.arange(rate) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) * np.exp(-(((120 * k - 750) / 300) ** 2)) for k in range(1, 20))
    sound = np.concatenate([buzz / np.abs(buzz).max(), np.zeros(rate)])
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, rate, len(sound), "NONE", ""))
        file.writeframes((sound * 20000).astype("<i2").tobytes())
    assert bpy.ops.avatar_forge.speak_sound(filepath=str(tmp_path / "a.wav")) == {"FINISHED"}
    scene = bpy.context.scene
    rate = scene.render.fps
    loud, quiet = what_moves(avatar, bpy, [scene.frame_start + 0.8 * rate, scene.frame_start + 1.9 * rate])
    assert loud.sum() > 0.4 and quiet.sum() < 0.05
    editor = scene.sequence_editor
    strips = editor.sequences_all if hasattr(editor, "sequences_all") else editor.strips_all
    assert len(strips) == bpy.app.build_options.audaspace  # without a sound system the lips move silently
    bpy.ops.avatar_forge.stop_speaking()
    assert not bpy.data.sounds and not bpy.data.actions
    (tmp_path / "b.wav").write_text("no sound")
    with pytest.raises(RuntimeError, match="WAV"):
        bpy.ops.avatar_forge.speak_sound(filepath=str(tmp_path / "b.wav"))
