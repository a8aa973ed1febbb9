"""Animation clips through the VRM Add-on: a motion comes back from its file as it was, and nothing stays behind."""

import numpy as np


def turns(armature, scene, frames):
    """(F, J, 3, 3) the bones as they are posed at frames."""
    found = []
    for frame in frames:
        scene.frame_set(frame)
        found.append([np.array(bone.matrix.to_3x3().normalized()) for bone in armature.pose.bones])
    return np.array(found)


def degrees(a, b):
    """(...) between rotations."""
    return np.degrees(np.arccos(np.clip((np.einsum("...ij,...ij->...", a, b) - 1) / 2, -1, 1)))


def test_a_motion_comes_back_from_its_clip(avatar, addon, bpy, tmp_path):
    clips, preview, scene = addon("pose.clips"), addon("pose.preview"), bpy.context.scene
    before = scene.frame_start, scene.frame_end, scene.use_preview_range
    path = clips.export_clip(bpy.context, avatar, "Nod", tmp_path / "nod.vrma", clips.spoken("Hello"))
    card = addon("report.clip").clip_report(path)
    assert card["counts"] == {"PASS": 7, "WARN": 0, "FAIL": 0}, card["checks"]
    preview.show_motion(bpy.context, avatar, "Nod", addon("speech.text").length(clips.spoken("Hello")) + 0.3)
    frames = range(scene.frame_preview_start, scene.frame_preview_end, 4)
    shown = turns(avatar.armature, scene, frames)
    preview.back(bpy.context, avatar)
    assert bpy.ops.avatar_forge.play_clip(filepath=str(path)) == {"FINISHED"}
    played = turns(
        avatar.armature, scene, range(scene.frame_preview_start, scene.frame_preview_start + 4 * len(frames), 4)
    )
    assert degrees(shown, shown[:1]).max() > 10
    assert degrees(shown, played).max() < 1
    arm = avatar.armature.pose.bones["leftUpperArm"].vector.normalized()
    assert 20 < np.degrees(np.arcsin(-arm.z)) < 57  # beside a wide body, too
    mouth = avatar.armature.data.vrm_addon_extension.vrm1.expressions.preset
    opened = []
    for frame in range(scene.frame_preview_start, scene.frame_preview_end):
        scene.frame_set(frame)
        opened.append(max(getattr(mouth, name).preview for name in ("aa", "ih", "ou", "ee", "oh")))
    assert max(opened) > 0.5
    assert bpy.ops.avatar_forge.pose_back() == {"FINISHED"}
    assert not bpy.data.actions and (scene.frame_start, scene.frame_end, scene.use_preview_range) == before
    assert all(block.value == 0 for block in avatar.mesh.data.shape_keys.key_blocks[1:])


def test_what_is_no_clip_is_refused_and_changes_nothing(avatar, bpy, addon, tmp_path):
    import pytest

    broken = tmp_path / "broken.vrma"
    broken.write_bytes(b"glTF nothing")
    with pytest.raises((RuntimeError, addon("errors").AvatarError)):
        bpy.ops.avatar_forge.play_clip(filepath=str(broken))
    assert not bpy.data.actions and not addon("pose.preview").shown(avatar.armature)
