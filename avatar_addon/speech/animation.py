# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar speaks: keys on its visemes in an action of their own, which `stop` takes away again with all it has
changed.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import bpy

from ..avatar import scene
from ..avatar.scene import Avatar
from ..client.process import jobs
from ..client.process.tasks import Steps, Wait
from ..errors import AvatarError
from ..vrm.spec.presets import VISEMES
from ..vrm.spec.shape_key_names import Bind, recognise
from . import text as speech

KEY = "avatar_forge_speech"  # on the mesh object: what was there before, as JSON
ACTION = "Avatar Forge Speech"
START = 0.3  # seconds before the first sound


def binds(avatar: Avatar) -> dict[str, list[Bind]]:
    """The shape keys behind each viseme, by their names."""
    keys = avatar.mesh.data.shape_keys
    found = recognise(block.name for block in keys.key_blocks).binds if keys else {}
    return {name: found[name] for name in VISEMES if name in found}


def is_speaking(avatar: Avatar) -> bool:
    return KEY in avatar.mesh


def speak_text(context: bpy.types.Context, avatar: Avatar, text: str) -> float:
    """Keys for a sentence; returns its seconds. Raises AvatarError."""
    spoken = speech.cues(text)
    if not spoken:
        raise AvatarError("There is nothing to say in the text; type words in Latin letters or kana.", "nothing_to_say")
    return _speak(context, avatar, speech.track(spoken, START))


def speak_sound(context: bpy.types.Context, avatar: Avatar, sound: Path) -> Steps:
    """Keys for a WAV file, which is played along. Raises AvatarError."""
    result = yield Wait(jobs.Job("visemes", sound=sound))
    keys = speech.sampled(result["weights"], result["step"], START)
    _speak(context, avatar, keys)
    _play_along(context.scene, avatar, sound)


def _speak(context: bpy.types.Context, avatar: Avatar, keys: speech.Keys) -> float:
    found = binds(avatar)
    if not found:
        raise AvatarError("The avatar has no visemes to speak with; make its face first.", "no_visemes")
    stop(context, avatar)
    shape_keys, where = avatar.mesh.data.shape_keys, context.scene
    data = shape_keys.animation_data_create()
    rate = where.render.fps / where.render.fps_base
    first, seconds = where.frame_start, speech.length(keys)
    values = {block.name: block.value for block in shape_keys.key_blocks}
    before = {
        "action": data.action.name if data.action else "",
        "values": values,
        "preview": [where.use_preview_range, where.frame_preview_start, where.frame_preview_end],
        "frame": where.frame_current,
        "sync": where.sync_mode,
    }
    avatar.mesh[KEY] = json.dumps(before)
    data.action = bpy.data.actions.new(ACTION)
    for (
        block
    ) in shape_keys.key_blocks:  # an expression that is on would be worn while speaking; the mouth is the visemes'
        if block.name in {name for bound in found.values() for name, _ in bound}:
            block.value = 0.0
    for name, amounts in _by_key(found, keys).items():
        block = shape_keys.key_blocks[name]
        for time, value in amounts:
            block.value = value
            block.keyframe_insert("value", frame=first + time * rate, options=set())
    where.use_preview_range = True
    where.frame_preview_start, where.frame_preview_end = first, int(first + (seconds + START) * rate) + 1
    where.sync_mode = "FRAME_DROP"
    where.frame_set(first)
    return seconds


def _by_key(found: dict[str, list[Bind]], keys: speech.Keys) -> dict[str, list[tuple[float, float]]]:
    """Shape key -> (seconds, value); visemes that share a shape key (ARKit's jawOpen) add up there."""
    tracks: dict[str, list[tuple[speech.Points, float]]] = {}
    for viseme, bound in found.items():
        for name, weight in bound:
            tracks.setdefault(name, []).append((keys[viseme], weight))
    out = {}
    for name, parts in tracks.items():
        times = sorted({time for points, _ in parts for time, _ in points})
        sums = [
            (time, min(sum(weight * speech.value_at(points, time) for points, weight in parts), 1.0)) for time in times
        ]
        out[name] = speech.thinned(sums, 0.0)
    return out


def _play_along(where: bpy.types.Scene, avatar: Avatar, sound: Path) -> None:
    """The sound as a strip of the sequencer, which is what the viewport's playback plays."""
    editor = where.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences  # before 4.4
    channel = max((strip.channel for strip in strips), default=0) + 1
    start = where.frame_start + round(START * where.render.fps / where.render.fps_base)
    try:
        strip = strips.new_sound(name=ACTION, filepath=str(sound), channel=channel, frame_start=start)
    except RuntimeError:  # the lips move all the same
        return
    before = json.loads(avatar.mesh[KEY])
    avatar.mesh[KEY] = json.dumps(before | {"strip": strip.name})
    where.sync_mode = "AUDIO_SYNC"


def play(context: bpy.types.Context) -> None:
    """Starts the playback from the first frame, where there is a window."""
    if context.screen and not context.screen.is_animation_playing and not bpy.app.background:
        bpy.ops.screen.animation_play()


def stop(context: bpy.types.Context, avatar: Avatar) -> None:
    """Takes the speech away: action, sound, range and values are as they were before. Nothing where the avatar does
    not speak.
    """
    if not is_speaking(avatar):
        return
    if context.screen and context.screen.is_animation_playing and not bpy.app.background:
        bpy.ops.screen.animation_cancel(restore_frame=False)
    before, where = json.loads(avatar.mesh[KEY]), context.scene
    del avatar.mesh[KEY]
    shape_keys = avatar.mesh.data.shape_keys
    if shape_keys and shape_keys.animation_data:
        action = shape_keys.animation_data.action
        shape_keys.animation_data.action = bpy.data.actions.get(before["action"]) if before["action"] else None
        if action and action.name.startswith(ACTION) and not action.users:
            bpy.data.actions.remove(action)
        if (
            before["action"] == ""
            and not shape_keys.animation_data.drivers
            and not shape_keys.animation_data.nla_tracks
        ):
            shape_keys.animation_data_clear()
        for name, value in before["values"].items():
            if name in shape_keys.key_blocks:
                shape_keys.key_blocks[name].value = value
    if "strip" in before and where.sequence_editor:
        strips = (
            where.sequence_editor.strips
            if hasattr(where.sequence_editor, "strips")
            else where.sequence_editor.sequences
        )
        strip = strips.get(before["strip"])
        if strip:
            sound = strip.sound
            strips.remove(strip)
            if sound and not sound.users:
                bpy.data.sounds.remove(sound)
    where.use_preview_range, where.frame_preview_start, where.frame_preview_end = before["preview"]
    where.sync_mode = before["sync"]
    with contextlib.suppress(ValueError):
        where.frame_set(before["frame"])


def speaker(context: bpy.types.Context) -> Avatar | None:
    """The selected avatar, if it speaks."""
    avatar = scene.find_avatar(context)
    return avatar if avatar and is_speaking(avatar) else None
