# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar commands that take long: each answers with a job at once (work.py) and runs the panel's own steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from .. import text_pictures, workflow
from ..avatar.scene import Avatar
from ..client import engines, session
from ..client.process.tasks import Stage, Steps
from ..picture import cards
from ..publish import steps as publish
from ..report.report import Report
from ..request import Request
from . import outputs
from . import pictures as reference
from .avatar_commands import checked, the_avatar
from .generation import choose_engine
from .protocol.paths import has_control
from .protocol.registry import Refusal, command
from .work import TABLE

VERSIONS = ("1.0", "0.0")


def _started(title: str, steps: Steps, undo: bool = True) -> dict[str, Any]:
    job = TABLE.start(title, steps, undo)
    state = TABLE.need(job)
    return {"job": job, "status": state["status"], "title": title}


def _need_backend() -> None:
    backend = session.environment().state()
    if not backend.ready:
        raise Refusal(backend.message)


# From a picture


@command("avatar_make", longest=reference.LONGEST_REQUEST)
def avatar_make(
    picture=None,
    picture_data=None,
    name=None,
    path=None,
    engine=None,
    rigger=None,
    seed=None,
    author=None,
    engine_options=None,
    rigger_options=None,
    markers=None,
    vrm_version=None,
    perfect_sync=None,
    replace=None,
    pictures=None,
    sheet=None,
) -> dict[str, Any]:
    """Picture -> a finished avatar. picture: a path; picture_data: the file itself in base64. path: a .vrm file to
    write as well; replace: also where one is that was not written for a client. pictures: paths of further sides, left,
    back and right; sheet: true where the picture shows the character from several sides. What is not given is as the
    sidebar's settings say.
    """
    file = _picture(picture, picture_data)
    given = _given(engine, rigger, seed, author, engine_options, rigger_options, markers, vrm_version)
    given["perfect_sync"] = checked(perfect_sync, bool, "perfect_sync")
    given["pictures"], is_sheet = _further(pictures), checked(sheet, bool, "sheet")
    name = _name(name)
    title = name or file.stem
    vrm = None if path is None else _vrm_path(path, title, replace)

    def steps() -> Steps:
        request, said = yield from _request(file, given | {"name": title if is_sheet else name, "vrm": vrm}, is_sheet)
        made = yield from workflow.make_avatar(bpy.context, request)
        if request.vrm:
            outputs.written(request.vrm)
        written = request.vrm or next(iter(sorted(Path(made.avatar.record.run_folder or ".").glob("*.vrm"))), None)
        return _told(made.avatar) | said | {"vrm": str(written) if written else None, "report": _short(made.report)}

    return _started(f"Make {title}", steps())


@command("avatar_from_text")
def avatar_from_text(text=None, name=None, path=None, seed=None, perfect_sync=None, replace=None) -> dict[str, Any]:
    """A description -> pictures by the server of the preferences -> an avatar from the first that can be used. path and
    replace as in avatar_make.
    """
    _need_backend()
    if not (checked(text, str, "text") or "").strip():
        raise Refusal("text must describe a character.")
    if reason := text_pictures.problem():
        raise Refusal(reason)
    title = _name(name) or " ".join(text.split()[:4])[:40]
    vrm = None if path is None else _vrm_path(path, title, replace)
    given = _given(None, None, seed, None, None, None, None, None)
    given["perfect_sync"] = checked(perfect_sync, bool, "perfect_sync")

    def steps() -> Steps:
        pictures_made = yield from text_pictures.make(text, given["seed"] or 0, span=(0.0, 0.4))
        file = text_pictures.first_usable(pictures_made)
        origin = text_pictures.origin_in(pictures_made, file)
        request, _ = yield from _request(file, given | {"name": title, "vrm": vrm, "text": origin, "markers": None})
        made = yield from workflow.make_avatar(bpy.context, request)
        if request.vrm:
            outputs.written(request.vrm)
        told = [{"path": entry["path"], "usable": entry["usable"]} for entry in pictures_made["pictures"]]
        return _told(made.avatar) | {"picture": str(file), "pictures": told, "report": _short(made.report)}

    return _started(f"Make {title}", steps())


@command("avatar_generate", longest=reference.LONGEST_REQUEST)
def avatar_generate(
    picture=None,
    picture_data=None,
    name=None,
    engine=None,
    seed=None,
    engine_options=None,
    markers=None,
    pictures=None,
    sheet=None,
) -> dict[str, Any]:
    """As avatar_make, the first step alone: a textured mesh in the scene."""
    file = _picture(picture, picture_data)
    given = _given(engine, None, seed, None, engine_options, None, markers, None)
    given["pictures"], is_sheet = _further(pictures), checked(sheet, bool, "sheet")
    name = _name(name)
    title = name or file.stem

    def steps() -> Steps:
        request, said = yield from _request(file, given | {"name": title if is_sheet else name}, is_sheet)
        return _told((yield from workflow.generate(bpy.context, request))) | said

    return _started(f"Generate {title}", steps())


def _picture(picture: Any, data: Any) -> Path:
    _need_backend()
    checked(picture, str, "picture")
    if checked(data, str, "picture_data"):
        return reference.from_base64(data)
    if picture:
        return reference.from_reference(picture)
    raise Refusal(reference.NO_PICTURE)


def _further(given: Any) -> dict[str, Path] | None:
    """side -> file. Raises Refusal."""
    if not checked(given, dict, "pictures"):
        return None
    for side, path in given.items():
        if side not in cards.SIDES or not isinstance(path, str):
            raise Refusal(f"pictures must be an object of paths for {', '.join(cards.SIDES)}.")
    return {side: reference.from_reference(path) for side, path in given.items()}


def _given(engine, rigger, seed, author, options, rigger_options, markers, version) -> dict[str, Any]:
    """What a client has said of a request, checked. Raises Refusal."""
    return {
        "engine": _one_of(engine, engines.GENERATORS, "engine"),
        "rigger": _one_of(rigger, engines.RIGGERS, "rigger"),
        "seed": _seed(seed),
        "author": checked(author, str, "author"),
        "engine_options": checked(options, dict, "engine_options"),
        "rigger_options": checked(rigger_options, dict, "rigger_options"),
        "markers": checked(markers, dict, "markers"),
        "vrm_version": _one_of(version, VERSIONS, "vrm_version"),
    }


def _request(picture: Path, given: dict[str, Any], sheet: bool | None = None) -> Steps:
    """(request, what the answer adds), with the generator that can run here where the client has named none, and a
    sheet cut up: `sheet` are sentences on its figures.
    """
    if given["engine"] is None:
        given["engine"] = yield from choose_engine()
    added = {}
    if sheet:
        picture, given["pictures"], added["sheet"] = yield from cards.from_sheet(picture)
    return Request.from_settings(bpy.context.scene, picture, **given), added


def _seed(value: Any) -> int | None:
    if checked(value, int, "seed") is not None and not 0 <= value < 2**31:
        raise Refusal("seed must be a whole number from 0 to 2147483647.")
    return value


def _one_of(value: Any, known, what: str) -> str | None:
    if checked(value, str, what) is not None and value not in known:
        raise Refusal(f"{what} must be one of {', '.join(known)}.")
    return value


# Steps on an avatar


@command("avatar_rig")
def avatar_rig(avatar=None, rigger=None, options=None, seed=None, t_pose=None) -> dict[str, Any]:
    """A skeleton and weights in place of those it had; then, unless t_pose is false, the T-pose as the rest pose."""
    _need_backend()
    found = the_avatar(avatar)
    request = Request.from_settings(
        bpy.context.scene,
        rigger=_one_of(rigger, engines.RIGGERS, "rigger"),
        rigger_options=checked(options, dict, "options"),
        seed=_seed(seed),
        markers={},
    )
    straight = checked(t_pose, bool, "t_pose") is not False

    def steps(on: Avatar) -> Steps:
        rigged = yield from workflow.rig(
            bpy.context, on, request.rigger, request.rigger_options, request.skeleton_seed, span=(0.0, 0.9)
        )
        if straight:
            yield Stage("pose", 0.9, "Straightening into the T-pose")
            workflow.pose(rigged)
        return rigged

    return _step("Rig", found, steps)


@command("avatar_face")
def avatar_face(avatar=None) -> dict[str, Any]:
    """Mouth, eyelids, visemes and expressions at the landmarks; made again after these were moved."""
    found = the_avatar(avatar, rigged=True)
    if not found.record.has_face:
        _need_backend()
    return _step("Face", found, workflow.face)


@command("avatar_set_up_vrm")
def avatar_set_up_vrm(avatar=None, author=None) -> dict[str, Any]:
    """Expressions, look-at, materials, meta and thumbnail in the VRM Add-on."""
    found = the_avatar(avatar, rigged=True)
    by = bpy.context.scene.avatar_forge.author if checked(author, str, "author") is None else author

    def steps(on: Avatar) -> Steps:
        yield Stage("vrm", 0.1, "Setting up VRM")
        workflow.set_up_vrm(on, by)
        return on

    return _step("VRM", found, steps)


def _step(title: str, avatar: Avatar, steps: Callable[[Avatar], Steps]) -> dict[str, Any]:
    """A step that changes the avatar; it is looked up again when its turn comes."""
    name = avatar.mesh.name

    def run() -> Steps:
        return _told((yield from steps(the_avatar(name))))

    return _started(f"{title} {avatar.name}", run())


# Out of Blender


@command("avatar_validate")
def avatar_validate(avatar=None, vrm_version=None) -> dict[str, Any]:
    """The report card of the avatar as a VRM file."""
    found, version = the_avatar(avatar, rigged=True), _version(vrm_version)
    name = found.mesh.name

    def steps() -> Steps:
        report = yield from publish.check(the_avatar(name, rigged=True), version)
        return report.to_dict() | {"promotable": report.promotable}

    return _started(f"Check {found.name}", steps())


@command("avatar_export")
def avatar_export(avatar=None, path=None, vrm_version=None, replace=None) -> dict[str, Any]:
    """Writes a VRM file. path: absolute; in a folder it is NAME.vrm. replace: also a file that was not written for a
    client.
    """
    found, version = the_avatar(avatar, rigged=True), _version(vrm_version)
    if checked(path, str, "path") is None:
        raise Refusal("Give the absolute path of the .vrm file to write.")
    file, name = _vrm_path(path, found.name, replace), found.mesh.name

    def steps() -> Steps:
        yield Stage("export", 0.1, "Writing the VRM file")
        written = outputs.written(workflow.export(the_avatar(name, rigged=True), file, version))
        return {"avatar": found.name, "vrm": str(written), "bytes": written.stat().st_size}

    return _started(f"Export {found.name}", steps(), undo=False)


@command("avatar_promote")
def avatar_promote(avatar=None, name=None, override=None) -> dict[str, Any]:
    """Checks and uploads the avatar to the bucket of the add-on's preferences as NAME-vN.vrm. override: the reason to
    promote one with failed checks. The result is the bucket's index entry and `address`, which is null while the
    preferences have no public address.
    """
    _need_backend()
    found, target = the_avatar(avatar, rigged=True), publish.Target.from_preferences()
    if not target.bucket:
        raise Refusal("No bucket is set; the user can enter one in the add-on's preferences, under Publishing.")
    if not publish.may_reach(target):
        raise Refusal(
            "Blender is not allowed to use the internet; the user can allow it in Preferences > System > Network."
        )
    model = checked(name, str, "name") or ""
    reason, mesh = checked(override, str, "override") or "", found.mesh.name
    version = bpy.context.scene.avatar_forge.vrm_version

    def steps() -> Steps:
        promoted = the_avatar(mesh, rigged=True)
        entry = yield from publish.promote(promoted, model, target, reason, version)
        return {"avatar": promoted.name, "address": promoted.record.promoted_url or None} | entry

    return _started(f"Promote {found.name}", steps())


def _version(value: Any) -> str:
    return _one_of(value, VERSIONS, "vrm_version") or bpy.context.scene.avatar_forge.vrm_version


def _name(value: Any) -> str | None:
    """Blender would end it at U+0000, and the files that are named after it would not. One of spaces counts as not
    given. Raises Refusal.
    """
    name = (checked(value, str, "name") or "").strip()
    if has_control(name):
        raise Refusal("The name contains a control character; remove it.")
    return name or None


def _vrm_path(given: Any, name: str, replace: Any) -> Path:
    in_folder = f"{bpy.path.clean_name(name)}.vrm"
    return outputs.place(checked(given, str, "path"), ".vrm", checked(replace, bool, "replace") is True, in_folder)


def _told(avatar: Avatar) -> dict[str, Any]:
    record = avatar.record
    return {
        "avatar": avatar.name,
        "made_with": record.label,
        "warnings": [warning.message for warning in record.warnings],
        "run_folder": record.run_folder,
        "size": [round(length, 3) for length in avatar.mesh.dimensions],
        "triangles": len(avatar.mesh.data.polygons),
    }


def _short(report: Report) -> dict[str, Any]:
    """Counts, and what is not in order."""
    wrong = [check.to_dict() for check in report.checks if check.status != "PASS"]
    return {"counts": report.counts, "promotable": report.promotable, "to_fix": wrong}
