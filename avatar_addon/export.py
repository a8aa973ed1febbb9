# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the .vrm file: through the VRM Add-on, checked, all or nothing."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import json
import struct
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import bpy

from .errors import AvatarError
from .humanoid import bones
from .look import spring_bones_vrm0
from .vrm import expressions0
from .vrm.addon import exporter_of_today, extension, need_addon
from .vrm.spec.vrm_file import VrmFile, VrmFileError

RECORD = "avatar_forge"  # our properties on objects and scenes
JSON_START, JSON_CHUNK = 20, 0x4E4F534A  # of a GLB file (glTF 2.0 specification, 4.4)


def export(armature: bpy.types.Object, path: Path, version: str = "1.0") -> Path:
    """Writes `path`; a file that was there is replaced only by a complete new one. Raises AvatarError."""
    need_addon()
    bones.need_humanoid(armature)
    extension(armature).spec_version = version
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"avatar-forge-{uuid.uuid4().hex}.part.vrm")
    try:
        with _unconstrained(armature), _as_version(armature, version):
            _run(armature, part)
        _leave_out_records(part)
        VrmFile(part)
        part.replace(path)
    except VrmFileError as error:
        raise AvatarError(f"The VRM Add-on wrote an unusable file ({error}); report this.", "export_failed") from error
    finally:
        part.unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def _as_version(armature: bpy.types.Object, version: str) -> Iterator[None]:
    if version != "0.0":
        yield
        return
    with spring_bones_vrm0.also_as_vrm0(armature), expressions0.also_as_vrm0(armature):
        yield


@contextlib.contextmanager
def _unconstrained(armature: bpy.types.Object) -> Iterator[None]:
    """Without constraints that the file cannot hold: the exporter would write the pose they pull bones into."""
    live = [
        one
        for bone in armature.pose.bones
        for one in bone.constraints
        if not one.mute and one.type not in expressions0.NODE_CONSTRAINTS
    ]
    try:
        for one in live:
            one.mute = True
        yield
    finally:
        for one in live:
            one.mute = False


def _run(armature: bpy.types.Object, path: Path) -> None:
    said = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            _selected(armature),
            exporter_of_today(),
        ):
            outcome = bpy.ops.export_scene.vrm(
                filepath=str(path),
                armature_object_name=armature.name,
                export_only_selections=True,
                ignore_warning=True,
                enable_advanced_preferences=True,
                export_try_sparse_sk=True,  # a face's shapes move few of the vertices: a fraction of the file's size
            )
    except OSError:
        raise
    except Exception as error:  # the add-on raises what it likes; the user gets its last words, not its traceback
        if "No space left" in str(error):
            raise OSError(errno.ENOSPC, "no space left on the disk", str(path.parent)) from error
        print(said.getvalue(), file=sys.stderr)  # for a bug report
        raise AvatarError(f"The VRM file could not be written ({_last_line(str(error))}).", "export_failed") from error
    if outcome != {"FINISHED"} or not path.exists():
        reason = "; ".join(complaints(armature)[:2]) or "the VRM Add-on cancelled without a word"
        raise AvatarError(f"The VRM file could not be written: {reason}; fix that and export again.", "export_failed")


@contextlib.contextmanager
def _selected(armature: bpy.types.Object) -> Iterator[None]:
    """What belongs to the armature: the add-on would write everything in the scene, the startup file's cube and other
    avatars too.
    """
    layer = bpy.context.view_layer
    layer.update()
    parts = {armature, *armature.children_recursive} | {obj for obj in layer.objects if obj.find_armature() == armature}
    before = {obj: obj.select_get() for obj in layer.objects}
    try:
        for obj in before:
            obj.select_set(obj in parts)
        yield
    finally:
        for obj, selected in before.items():
            obj.select_set(selected)


def _leave_out_records(path: Path) -> None:
    """Takes our own properties out of the file: Blender before 5.0 counts an add-on's among the custom ones, which
    the glTF exporter writes as extras, and ours name folders of this machine and the run.
    """
    data = path.read_bytes()
    if len(data) < JSON_START or data[:4] != b"glTF":
        return  # whatever it is, it is refused as a VRM file next
    (length,) = struct.unpack_from("<I", data, 12)
    content, rest = json.loads(data[JSON_START : JSON_START + length]), data[JSON_START + length :]
    found = False
    for item in [*content.get("nodes", ()), *content.get("scenes", ())]:
        if RECORD in item.get("extras", {}):
            found = True
            del item["extras"][RECORD]
            if not item["extras"]:
                del item["extras"]
    if not found:
        return
    chunk = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    chunk += b" " * (-len(chunk) % 4)
    header = struct.pack("<4sIIII", b"glTF", 2, JSON_START + len(chunk) + len(rest), len(chunk), JSON_CHUNK)
    path.write_bytes(header + chunk + rest)


def complaints(armature: bpy.types.Object) -> list[str]:
    """What makes the VRM Add-on refuse to export, in its words; [] where it cannot be asked."""
    module = importlib.import_module(bpy.types.EXPORT_SCENE_OT_vrm.__module__)
    validator = getattr(module, "WM_OT_vrm_validator", None)
    if validator is None:  # another version of the VRM Add-on
        return []
    findings = _Findings()
    validator.detect_errors(bpy.context, findings, armature.name)
    said = [" ".join(finding.message.split()).rstrip(".") for finding in findings if finding.severity == 0]
    return [text.replace(". ", "; ") for text in said]  # as part of one sentence


class _Findings(list):
    """Takes what the validator reports, in place of the collection property it usually fills."""

    def add(self) -> SimpleNamespace:
        self.append(SimpleNamespace(name="", message="", severity=0))
        return self[-1]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "no reason given"
