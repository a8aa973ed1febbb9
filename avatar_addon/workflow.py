# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps from a picture to a VRM file. Each is a generator (see tasks.py); `make_avatar` is the steps in
sequence.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import export as vrm_export
from . import parts
from .avatar import before_rig, migration, packed_file, painting, scene, step_states
from .avatar.scene import Avatar
from .client import cluster, session
from .client.process import jobs
from .client.process.tasks import Stage, Steps, Wait
from .errors import AvatarError
from .face import carried_shapes, eye_bones, live, materials
from .face.synthesis import lids
from .face.synthesis.build import build_face as synthesise_face
from .files import copy_whole
from .generated import Generated, taken_over
from .humanoid import bones as humanoid_bones
from .humanoid.match_armature import match_armature
from .look import settings, spring_bones
from .mesh import blender_mesh
from .pose import bake, preview
from .publish import steps
from .render import pictures
from .report.report import Report
from .request import Request
from .viewer.page import write_page
from .vrm import expressions0, setup
from .vrm.addon import need_addon
from .vrm.spec.human_bones import BONES, humanoid_problems


@dataclass
class Made:
    """What `make_avatar` returns. metrics: the engines' and the file's."""

    avatar: Avatar
    metrics: dict[str, float]
    warnings: list[dict[str, str]]
    vrm: Path | None
    sheet: Path | None
    report: Report  # without checks for a part that ends before the file


def make_avatar(context: bpy.types.Context, request: Request) -> Steps:
    """Picture -> avatar in the scene, and its files; a part of that where the request says so (parts.py). A cancelled
    run leaves nothing behind; a failed one keeps the steps that succeeded.
    """
    pictures.start_probe()
    need_addon()
    metrics: dict[str, float] = {}
    avatar, clock = None, parts.Clock()
    try:
        begun = parts.begin(context, request)
        avatar = yield from begun or generate(
            context, request, metrics, (0.0, parts.BEGINS["rig"] / parts.ENDS[request.until])
        )
        if request.group:
            metrics["front_match"] = avatar.record.front_match = yield from _front_match(avatar, request)
        clock.lap("open" if request.begun else "generate")
        left = parts.to_do(avatar, request)
        at = parts.scale(request, left)
        for step in parts.STEPS_TO[request.until]:
            if step in left:
                avatar = yield from _step(step, context, avatar, request, metrics, at)
                clock.lap(step)
        if request.until:
            _add_provenance(avatar, parameters=parts.parameters(request), metrics=metrics, seconds=clock.laps)
            parts.leave(avatar, request)
            return Made(avatar, metrics, _warnings(avatar), None, None, Report(avatar.name))
        yield Stage("export", at(parts.BEGINS["export"]), "Writing the VRM file")
        vrm = request.vrm or Path(avatar.record.job_folder) / f"{bpy.path.clean_name(avatar.name)}.vrm"
        export(avatar, vrm, request.vrm_version)
        if not request.vrm:
            avatar.record.steps.export = 0  # the user has no file yet: this one is for the record of the run
        yield Stage("report", at(0.84), "Checking the avatar")
        report = yield from steps.keep_report(avatar, vrm, at(0.84))
        clock.lap("export")
        if request.sheet:
            yield Stage("sheet", at(0.87), "Drawing the contact sheet")
            pictures.contact_sheet(avatar, request.sheet)
            if avatar.record.perfect_sync and avatar.mesh.data.shape_keys:
                name = f"{request.sheet.name.removesuffix('.png').removesuffix('.sheet')}.perfect_sync.png"
                pictures.perfect_sync_sheet(avatar, request.sheet.with_name(name))
            clock.lap("sheet")
        if request.page:
            yield Stage("page", at(0.93), "Writing the viewer's page")
            write_page(request.page, vrm, avatar.name, report.to_dict())
        _add_provenance(avatar, parameters=parts.parameters(request), metrics=metrics, seconds=clock.laps)
        files = {"vrm": vrm} | ({"sheet": request.sheet} if request.sheet else {})
        files |= {"page": request.page} if request.page else {}
        recorded = (yield from _record(avatar, files, report)) if request.record else None
        if request.blend and (recorded or not request.receipt):
            yield Stage("blend", 0.98, "Saving the .blend file")
            packed_file.save(avatar, request.blend)
        if request.receipt and recorded:
            copy_whole(Path(recorded["receipt"]), request.receipt)
        elif request.receipt:
            yield from steps.write_receipt(avatar, files, report, request.receipt, request.blend)
    except AvatarError as error:
        if error.code == "cancelled" and avatar:
            shutil.rmtree(avatar.record.job_folder, ignore_errors=True)
            scene.remove(scene.Avatar(avatar.mesh, avatar.mesh.find_armature()))
        raise
    return Made(avatar, metrics, _warnings(avatar), request.vrm, request.sheet, report)


def _step(
    step: str,
    context: bpy.types.Context,
    avatar: Avatar,
    request: Request,
    metrics: dict[str, float],
    at: Callable[[float], float],
) -> Steps:
    """One of the steps from the rig to VRM; returns the Avatar. at: see parts.scale."""
    begins = {name: at(fraction) for name, fraction in parts.BEGINS.items()}
    if step == "rig":
        options, span = request.rigger_options, (begins["rig"], begins["pose"])
        return (yield from rig(context, avatar, request.rigger, options, request.skeleton_seed, metrics, span))
    if step == "pose":
        yield Stage("pose", begins["pose"], "Straightening into the T-pose")
        pose(avatar)
    elif step == "face":
        yield from face_if_possible(avatar, (begins["face"], begins["vrm"]))
    elif step == "vrm":
        yield Stage("vrm", begins["vrm"], "Setting up VRM")
        set_up_vrm(avatar, request.author)
    return avatar


def _warnings(avatar: Avatar) -> list[dict[str, str]]:
    return [{"code": warning.code, "message": warning.message} for warning in avatar.record.warnings]


def _record(avatar: Avatar, files: dict[str, Path], report: Report) -> Steps:
    """Keeps the run and returns the worker's result; None where that fails, for which no finished avatar is lost."""
    try:
        return (yield from steps.record(avatar, files, report, steps.Target.from_preferences(), (0.94, 1.0)))
    except (AvatarError, OSError) as error:
        if getattr(error, "code", "") == "cancelled":
            raise
        reason = str(error).rstrip(".")
        scene.add_warnings(
            avatar,
            [{"code": "record", "message": f"The avatar is complete, but its run could not be recorded: {reason}."}],
        )
        return None


def _front_match(avatar: Avatar, request: Request) -> Steps:
    """From 0 to 1, how well the mesh's front matches the picture."""
    with jobs.job_folder(_parent_folder(avatar), keep=False) as folder:
        render = pictures.front(avatar, folder / "front.png")
        job = jobs.Job("match_front", picture=request.picture, render=render, markers=request.markers)
        return float((yield Wait(job, 0.44, 0.45))["match"])


def _add_provenance(avatar: Avatar, **more: dict[str, Any]) -> None:
    """Adds to what the avatar's record tells of how it was made."""
    provenance = json.loads(avatar.record.provenance or "{}")
    for name, entries in more.items():
        provenance[name] = provenance.get(name, {}) | entries
    avatar.record.provenance = json.dumps(provenance, default=str)


def _where(result: dict[str, Any]) -> dict[str, str]:
    """For the receipt: the cluster's job that an engine's result is of."""
    return (
        {f"cluster_{result['cluster_job'].partition('-')[0]}": result["cluster_job"]} if "cluster_job" in result else {}
    )


def generate(
    context: bpy.types.Context, request: Request, metrics: dict[str, float] | None = None, span=(0.0, 1.0)
) -> Steps:
    """Picture -> a mesh object in the scene with its record. Returns an Avatar without an armature."""
    generated = yield from wait_for_mesh(request, span)
    avatar = place_mesh(context, generated)
    if metrics is not None:
        metrics |= (generated.result.get("metrics") or {}) | {"generate_time_s": generated.seconds}
    return avatar


def wait_for_mesh(request: Request, span=(0.0, 1.0)) -> Steps:
    """The first half of `generate`: returns what the generator has made."""
    with jobs.job_folder(session.jobs_folder()) as folder:
        if request.generated:
            return taken_over(request, folder)
        job = cluster.job(
            "generate",
            engine=request.engine,
            picture=request.picture,
            out_dir=folder,
            seed=request.seed,
            options=request.engine_options,
            markers=request.markers,
            pictures=request.pictures,
        )
        started = time.perf_counter()
        result = yield Wait(job, *span)
        return Generated(request, folder, result, time.perf_counter() - started)


def place_mesh(context: bpy.types.Context, generated: Generated) -> Avatar:
    """The second half of `generate`: the mesh into the scene, under the request's name."""
    request, result, folder = generated.request, generated.result, generated.job_folder
    scene.object_mode()
    avatar = Avatar(scene.import_mesh(generated.path, request.avatar_name, context), None)
    record = avatar.record
    migration.mark(record)
    record.group, record.group_name = request.group, request.group_name
    record.run, record.job_folder = folder.name, str(folder)
    record.picture, record.engine, record.seed = str(request.picture), request.engine, request.seed
    record.label, record.perfect_sync = result["label"], request.perfect_sync
    _add_provenance(
        avatar,
        parameters=request.parameters() | _where(result),
        weights=result.get("weights") or {},
        settings=result.get("settings") or {},
    )
    scene.store_landmarks(avatar, result.get("landmarks") or {})
    scene.add_warnings(avatar, result.get("warnings") or [])
    step_states.done(avatar, "mesh")
    return avatar


def _parent_folder(avatar: Avatar) -> Path:
    """Where the avatar's mesh came from, so that its jobs lie together; on another machine, where jobs are
    kept there.
    """
    folder = Path(avatar.record.job_folder)
    return folder if avatar.record.job_folder and folder.is_dir() else session.jobs_folder()


def rig(
    context,
    avatar: Avatar,
    rigger: str,
    options: dict | None = None,
    seed: int = 0,
    metrics: dict | None = None,
    span=(0.0, 1.0),
    by_hand: dict[str, list[float]] | None = None,
) -> Steps:
    """Mesh -> armature, weights and humanoid bones. Returns the rigged Avatar. by_hand: joints in glTF's axes."""
    yield Stage("rig", span[0], "Sending the mesh to the rigger")
    scene.object_mode()
    remove_face(avatar)
    with jobs.job_folder(_parent_folder(avatar), keep=False) as folder:
        mesh, texture = painting.write_painted(avatar, folder / "mesh.npz", folder / "texture.png")
        known = by_hand or scene.read_joints(avatar)
        joints = {name: point for name, point in known.items() if name in BONES or name == "headTop"}
        job = cluster.job(
            "rig",
            rigger=rigger,
            mesh=mesh,
            texture=texture,
            out_dir=folder,
            seed=seed,
            joints=joints or None,
            options=options or {},
        )
        started = time.perf_counter()
        result = yield Wait(job, *span)
        seconds = time.perf_counter() - started
        _need(avatar)
        scene.object_mode()
        preview.back(context, avatar)
        is_kept = before_rig.keep(avatar)
        avatar = scene.apply_rig(avatar, Path(result["rig"]), context)
        if result.get("turn"):
            scene.turn_upright(avatar, np.array(result["turn"]))
    avatar.record.rigger = rigger
    _add_provenance(
        avatar,
        parameters={"rigger": rigger, "rigger_options": options or {}, "rigger_seed": seed} | _where(result),
        weights=result.get("weights") or {},
    )
    scene.add_warnings(avatar, result.get("warnings") or [])
    step_states.done(avatar, "rig")
    set_humanoid(avatar, result.get("humanoid") or match_humanoid(avatar))
    if is_kept:
        before_rig.keep_joints(avatar)
    if metrics is not None:
        metrics |= {f"rig_{name}": value for name, value in (result.get("metrics") or {}).items()} | {
            "rig_time_s": seconds
        }
    return avatar


def match_humanoid(avatar: Avatar) -> dict[str, str]:
    """VRM bone -> bone name by the matcher; its doubts become the avatar's warnings. Raises AvatarError for what is
    no humanoid.
    """
    found = match_armature(avatar.armature)
    humanoid_bones.keep_finding(avatar.armature, found)
    if not found.humanoid:
        raise AvatarError(f"{found.reason} Assign the bones by hand in the Humanoid Bones panel.", "humanoid")
    scene.add_warnings(avatar, [{"code": "humanoid_unsure", "message": doubt} for doubt in found.doubts])
    bones = avatar.armature.data.bones
    return {name: bones[index].name for name, index in found.mapping.items()}


def set_humanoid(avatar: Avatar, assigned: dict[str, str]) -> None:
    """Assigns the humanoid bones, where they make a valid humanoid. Raises AvatarError with the first thing that is
    wrong.
    """
    problems = humanoid_problems(assigned, scene.bone_parents(avatar.armature))
    if problems:
        raise AvatarError(
            f"The skeleton is not a VRM humanoid: {problems[0]} Assign the bones by hand in the Humanoid Bones panel.",
            "humanoid",
        )
    setup.set_humanoid(avatar.armature, assigned)


def pose(avatar: Avatar) -> list[str]:
    """Makes the T-pose the rest pose: arms along X, legs straight, feet on the ground; the face and all shape keys
    come along.

    Returns sentences on what the user should know. Raises AvatarError.
    """
    _need_rig(avatar)
    scene.object_mode()
    preview.back(bpy.context, avatar)
    posed = bake.is_posed(avatar.armature)
    skeleton = bake.read_skeleton(avatar.armature)
    notes = bake.bake(avatar, bake.t_pose_moves(avatar, skeleton), skeleton)
    if posed:
        notes.append("The T-pose is made from the rest pose. The current pose was cleared; undo restores it.")
    step_states.done(avatar, "pose")
    return notes


def pose_to_rest(avatar: Avatar) -> list[str]:
    """Makes the pose that is shown the rest pose, as `pose` does the T-pose."""
    _need_rig(avatar)
    scene.object_mode()
    notes = preview.apply_shown_pose(bpy.context, avatar)
    step_states.done(avatar, "pose")
    return notes


def face(avatar: Avatar, span=(0.0, 1.0)) -> Steps:
    """Mouth, eyelids, visemes and expressions as shape keys, at the record's face markers, which are searched for
    when there are none.
    """
    _need_humanoid(avatar)
    yield Stage("face", span[0], "Cutting the mouth and creating the expressions")
    scene.object_mode()
    remove_face(avatar)
    if not avatar.record.has_face:
        yield from locate_face(avatar, span)
    own = carried_shapes.read(avatar.mesh)
    data = blender_mesh.read_mesh(avatar.mesh)
    head = setup.get_humanoid(avatar.armature)["head"]
    texture = scene.texture_pixels(avatar)
    result = synthesise_face(
        data,
        scene.read_face(avatar),
        head,
        texture=texture,
        style=live.style_of(avatar, texture),
        closing=live.knows_eyes(avatar),
        perfect_sync=avatar.record.perfect_sync,
    )
    avatar.record.mesh_without_face = _keep_mesh(avatar.mesh)
    materials.settle(avatar.name, result.mesh, result.bare, result.cards)
    result.mesh.shape_keys = own.carried(data, result.mesh.vertices, result.mesh.shape_keys) | result.mesh.shape_keys
    blender_mesh.set_mesh(avatar.mesh, result.mesh)
    own.settle(avatar.mesh)
    scene.store_face(avatar, result.landmarks)
    scene.add_warnings(avatar, [*result.warnings, *own.notes()])
    step_states.done(avatar, "face")
    return avatar


def face_if_possible(avatar: Avatar, span) -> Steps:
    """`face`, but markers that are on no face cost the expressions only, with a warning: nobody has looked at
    them yet.
    """
    try:
        yield from face(avatar, span)
    except AvatarError as error:
        if error.code != "face_markers":
            raise
        scene.add_warnings(
            avatar, [{"code": "no_face", "message": f"The avatar has no visemes or blinks yet. {error}"}]
        )


def locate_face(avatar: Avatar, span=(0.0, 1.0)) -> Steps:
    """Searches the face markers on the mesh and stores them."""
    with jobs.job_folder(_parent_folder(avatar), keep=False) as folder:
        mesh, texture = painting.write_painted(avatar, folder / "mesh.npz", folder / "texture.png")
        result = yield Wait(
            jobs.Job("locate_face", mesh=mesh, texture=texture, joints=scene.read_joints(avatar) or None), *span
        )
    _need(avatar)
    found = scene.face_in_blender(result["face"])
    face = eye_bones.corrected(avatar, found)
    scene.store_face(avatar, face)
    if face is found or face.confidence.get("mouth", 0.0) < lids.SURE:
        scene.add_warnings(avatar, result.get("warnings") or [])


def remove_face(avatar: Avatar) -> None:
    """Takes the face step back, so that what comes before it can be done again."""
    kept = avatar.record.mesh_without_face
    if kept is None:
        return
    old = avatar.mesh.data
    name = old.name
    avatar.record.mesh_without_face = None
    avatar.mesh.data = kept
    kept.use_fake_user = False
    if old.users == 0:
        bpy.data.meshes.remove(old)
    kept.name = name


def _keep_mesh(obj: bpy.types.Object) -> bpy.types.Mesh:
    kept = obj.data
    obj.data = kept.copy()
    obj.data.name, kept.name = kept.name, f"{kept.name} without face"
    return kept


def set_up_vrm(avatar: Avatar, author: str = "") -> None:
    """Expressions, look-at, materials, thumbnail and meta in the VRM Add-on's properties."""
    _need_humanoid(avatar)
    preview.back(bpy.context, avatar)  # the thumbnail is of the avatar at rest
    missing = setup.set_expressions(avatar.armature, avatar.mesh)
    if missing and not {"no_face", "no_mouth", "no_lids"} & {entry.code for entry in avatar.record.warnings}:
        sentence = f"These expressions move nothing yet: {', '.join(missing)}. Make the face to give them shape keys."
        scene.add_warnings(avatar, [{"code": "no_expressions", "message": sentence}])
    if avatar.record.has_face:
        found = scene.read_face(avatar).parts
        eyes = (np.array(found["leftEye"].center) + found["rightEye"].center) / 2
        head = setup.get_humanoid(avatar.armature)["head"]
        setup.set_look_at(avatar.armature, tuple(eyes - np.array(avatar.armature.data.bones[head].head_local)))
    settings.set_defaults(avatar)
    spring_bones.set_default(avatar)
    old = avatar.armature.data.vrm_addon_extension.vrm1.meta.thumbnail_image
    image = pictures.thumbnail(avatar)
    made_with = f"{setup.MADE_WITH}: {avatar.record.label}" if avatar.record.label else setup.MADE_WITH
    setup.set_meta(avatar.armature, setup.Meta(avatar.name, author, made_with=made_with, thumbnail=image))
    if old and old.users == 0:
        bpy.data.images.remove(old)
    step_states.done(avatar, "vrm")


def export(avatar: Avatar, path: Path, version: str = "1.0") -> Path:
    """Writes the VRM file. Raises AvatarError."""
    _need_humanoid(avatar)
    scene.object_mode()
    written = vrm_export.export(avatar.armature, path, version)
    if version == "0.0" and (lost := expressions0.dropped(avatar.armature)):
        sentence = f"VRM 0.x cannot store {', '.join(lost[:6])}; export as VRM 1.0 to keep it."
        scene.add_warnings(avatar, [{"code": "vrm0_dropped", "message": sentence}])
    step_states.done(avatar, "export")
    return written


def _need_rig(avatar: Avatar) -> None:
    _need(avatar)
    if avatar.armature is None:
        raise AvatarError("The avatar has no skeleton yet; rig it first.", "no_rig")


def _need_humanoid(avatar: Avatar) -> None:
    _need_rig(avatar)
    need_addon()
    humanoid_bones.need_humanoid(avatar.armature)


def _need(avatar: Avatar) -> None:
    """Raises AvatarError when the user deleted the avatar while the backend was busy with it."""
    try:
        alive = all(obj.name in bpy.data.objects for obj in avatar.objects)
    except ReferenceError:
        alive = False
    if not alive:
        raise AvatarError("The avatar was deleted in the meantime; start again.", "deleted")
