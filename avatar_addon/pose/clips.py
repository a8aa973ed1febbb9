# SPDX-License-Identifier: GPL-3.0-or-later
"""Animation clips (VRMA files): our motions written as clips, and clips of others shown on the avatar, through the VRM
Add-on.

A clip has the turns of the humanoid bones, the place of the hips and the weights of expressions, so it moves every VRM
avatar. It belongs to no avatar: arms hang no farther down than a wide body lets them, and less where the one that the
clip was made on needs more room.
"""

from __future__ import annotations

import contextlib
import io
import uuid
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..avatar.scene import Avatar
from ..errors import AvatarError, reason_of
from ..speech import animation
from ..speech import text as speech
from ..vrm.addon import extension, need_addon
from . import expression_keys, preview

CLIPS = ("Idle", "Walk", "Wave", "Nod", "Think", "Talk")  # of the motions, those that are written as clips
SUFFIX = ".vrma"


def export_clip(
    context: bpy.types.Context, avatar: Avatar, name: str, path: Path, keys: speech.Keys | None = None
) -> Path:
    """Writes one of our motions. keys: what the mouth says (`speech.track`), for "Talk". What is shown ends. Raises
    AvatarError.
    """
    need_addon()
    armature, where = avatar.armature, context.scene
    preview.back(context, avatar)
    frames = where.frame_start, where.frame_end
    values = _shape_key_values(avatar)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"avatar-forge-{uuid.uuid4().hex}.part{SUFFIX}")
    try:
        preview.show_motion(context, avatar, name, speech.length(keys) + 0.3 if keys else None)
        first, last = where.frame_preview_start, where.frame_preview_end
        if keys:
            expression_keys.insert(armature, keys, first)
        where.frame_start, where.frame_end = first, last + 1  # the last frame is the first again
        with _unseen(armature):
            _run("export_scene", part, armature)
        part.replace(path)
    except OSError as error:
        reason = reason_of(error)
        sentence = f"The clip {path.name} could not be written ({reason}); choose another folder."
        raise AvatarError(sentence, "clip") from error
    finally:
        part.unlink(missing_ok=True)
        preview.back(context, avatar)
        where.frame_start, where.frame_end = frames
        for block, value in values.items():
            block.value = value
    return path


def spoken(sentence: str) -> speech.Keys | None:
    """What the mouth does for a sentence; None where there is nothing to say."""
    cues = speech.cues(sentence)
    return speech.track(cues, animation.START) if cues else None


def show_clip(context: bpy.types.Context, avatar: Avatar, path: Path) -> None:
    """Plays a VRMA file on the avatar in the preview range; `preview.back` takes it away. Raises AvatarError."""
    need_addon()
    armature, where = avatar.armature, context.scene
    if not path.is_file():
        raise AvatarError(f"There is no file {path.name}; check the path.", "no_clip")
    preview.back(context, avatar)
    preview.begin(context, avatar, path.stem)
    data = armature.data.animation_data
    before, objects = data.action if data else None, set(bpy.data.objects)
    try:
        with _gaze_kept(armature), _unseen(armature):
            _run("import_scene", path, armature)
        action = armature.animation_data.action if armature.animation_data else None
        if action is None or action.frame_range[1] <= action.frame_range[0]:
            raise AvatarError(f"{path.name} has no animation of a humanoid; choose another file.", "clip")
        action.name = preview.ACTION + path.stem
    except AvatarError:
        expression_keys.adopt(armature, before)
        preview.back(context, avatar)
        raise
    finally:
        for obj in set(bpy.data.objects) - objects:  # the target that the clip's gaze follows
            bpy.data.objects.remove(obj)
    expression_keys.adopt(armature, before)
    where.use_preview_range = True
    where.frame_preview_start, where.frame_preview_end = (round(frame) for frame in action.frame_range)
    where.sync_mode = "FRAME_DROP"
    where.frame_set(where.frame_preview_start)


def _run(kind: str, path: Path, armature: bpy.types.Object) -> None:
    """`export_scene` or `import_scene` of the VRM Add-on. Raises AvatarError with its last words."""
    operator = getattr(bpy.ops, kind).vrma
    try:
        said = io.StringIO()  # its tracebacks; what is wrong is in the exception
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            outcome = operator(filepath=str(path), armature_object_name=armature.name)
    except Exception as error:
        lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
        reason = lines[-1].rstrip(".") if lines else "no reason given"
        raise AvatarError(f"The VRM Add-on could not use the clip ({reason}); try another file.", "clip") from error
    if outcome != {"FINISHED"}:
        raise AvatarError("The VRM Add-on could not use the clip; check that it is a VRMA file.", "clip")


@contextlib.contextmanager
def _unseen(armature: bpy.types.Object) -> Iterator[None]:
    """Meshes are not computed anew in each frame, which takes most of the time and changes nothing."""
    seen = [obj for obj in armature.children_recursive if obj.type == "MESH" and not obj.hide_viewport]
    for obj in seen:
        obj.hide_viewport = True
    try:
        yield
    finally:
        for obj in seen:
            obj.hide_viewport = False


@contextlib.contextmanager
def _gaze_kept(armature: bpy.types.Object) -> Iterator[None]:
    look_at = extension(armature).vrm1.look_at
    before = look_at.enable_preview, look_at.preview_target_bpy_object
    try:
        yield
    finally:
        look_at.enable_preview, look_at.preview_target_bpy_object = before


def _shape_key_values(avatar: Avatar) -> dict[bpy.types.ShapeKey, float]:
    keys = avatar.mesh.data.shape_keys
    return {block: block.value for block in keys.key_blocks} if keys else {}
