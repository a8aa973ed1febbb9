# SPDX-License-Identifier: GPL-3.0-or-later
"""The generators that BlenderMCP's servers know, answered by our own engines: Hyper3D Rodin (its main site's form),
Hunyuan3D, Meshy.

Creating starts the panel's "Generate Mesh" as a job, and stops it where the mesh is ready; importing lets it go on
into the scene. A job that is not known has failed, in each provider's own words: an error would make a client ask for
it for two hours.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from .. import workflow
from ..avatar import scene
from ..client import cluster, engine_options, engines, session
from ..client.process import jobs
from ..client.process.tasks import Steps, Wait
from ..errors import AvatarError
from ..request import Request
from ..vrm import setup
from . import pictures
from .protocol.paths import has_control
from .protocol.registry import Later, Refusal, command
from .work import DONE, ENDED, TABLE, WAITING

URL = "avatar-forge://job/"  # what stands where a provider gives the address of its file
LOST = "Blender no longer knows this job, because it was closed or restarted; start the generation again."
POSES = ("a-pose", "t-pose")
A_POSE = 40.0  # degrees that the upper arms hang below the T-pose
QUALITY = {"standard": "fast", "high": "quality"}  # as Hunyuan3D says it -> the option "preset"


@dataclass
class Generation:
    """A client's mesh, made or in the making."""

    pose: str | None = None
    mesh: workflow.Generated | None = None
    object: str = ""  # its name in the scene, once it is there
    importing: str = ""  # the job that puts it there and poses it


_generations: dict[str, Generation] = {}


# Which engine


def engine(settings: Any) -> tuple[str, str]:
    """The generator's name, and why it is another one than wanted, or "". The first with a model that can run, unless
    the user has chosen; else the first that needs none.
    """
    if cluster.runs("generators", settings.engine):
        return settings.engine, ""  # its nodes know whether they can
    names = list(engines.GENERATORS)
    small = next(name for name in names if not engines.models("generators", name))
    wanted = [settings.engine] if settings.is_property_set("engine") else _with_model()
    if wanted == [small]:
        return small, ""
    if not all(engines.is_known("generators", name) for name in wanted):
        return "", f"The backend has not been checked yet; it is {_usual()}."
    reasons = {name: engines.unavailable("generators", name) for name in wanted}
    able = next((name for name in wanted if not reasons[name]), "")
    return (able, "") if able else (small, reasons[wanted[0]])


def _with_model() -> list[str]:
    return [name for name in engines.GENERATORS if engines.models("generators", name)]


def _usual() -> str:
    names = " or ".join(engines.label("generators", name) for name in _with_model())
    return f"{names} where that can run, else the preview engine"


def choose_engine() -> Steps:
    """Returns the name of the generator to use, once the backend has told what can run here."""
    settings = bpy.context.scene.avatar_forge
    on_cluster = cluster.runs("generators", settings.engine)
    if not on_cluster and not all(engines.is_known("generators", name) for name in (settings.engine, *_with_model())):
        hello = yield Wait(jobs.Job("hello"), 0.0, 0.02)
        engines.remember_engines(hello, session.engines_file())
    return engine(settings)[0]


def _status(name: str, mode: str) -> dict[str, Any]:
    """enabled, message and mode. The servers look for the mode in the message."""
    backend = session.environment().state()
    if not backend.ready:
        return {
            "enabled": False,
            "message": f"{name} is answered by Avatar Forge, which cannot run yet: {backend.message}",
            "mode": mode,
        }
    chosen, reason = engine(bpy.context.scene.avatar_forge)
    label = engines.GENERATORS.get(chosen, chosen) or _usual()
    instead = f" What was wanted cannot run here: {reason}" if reason and chosen else ""
    message = (
        f"{name} integration is enabled and ready to use. Mode: {mode}. Key type: none needed. It is answered"
        f" {_where()} by Avatar Forge: {label}.{instead} It makes one character from one picture (a file on this"
        " computer); text alone is not enough."
    )
    return {"enabled": True, "message": message, "mode": mode}


@command("get_hyper3d_status")
def get_hyper3d_status() -> dict[str, Any]:
    return _status("Hyper3D Rodin", "MAIN_SITE")


@command("get_hunyuan3d_status")
def get_hunyuan3d_status() -> dict[str, Any]:
    return _status("Hunyuan3D", "LOCAL_API")


@command("get_meshy_status")
def get_meshy_status() -> dict[str, Any]:
    return _status("Meshy", "LOCAL")


# Creating


def _create(picture: Path, text: str | None, quality: str | None = None, pose: str | None = None) -> str:
    """Starts the job and returns its id. Raises Refusal."""
    backend = session.environment().state()
    if not backend.ready:
        raise Refusal(backend.message)
    generation = Generation(pose)

    def steps() -> Steps:
        chosen = yield from choose_engine()
        presets = [option for option in engines.options("generators", chosen) if option["name"] == "preset"]
        known = [choice["value"] for option in presets for choice in option["choices"]]
        options = {"preset": QUALITY[quality]} if quality in QUALITY and QUALITY[quality] in known else {}
        request = Request.from_settings(
            bpy.context.scene, picture, name=picture.stem, engine=chosen, engine_options=options
        )
        generation.mesh = yield from workflow.wait_for_mesh(request, (0.02, 1.0))
        result = generation.mesh.result
        warnings = [warning["message"] for warning in result.get("warnings") or []]
        return {"engine": request.engine, "label": result["label"], "warnings": warnings}

    job = TABLE.start(f"Generate {text[:40] if text else picture.stem}", steps(), undo=False)
    _generations[job] = generation
    for forgotten in [known for known in _generations if TABLE.state(known) is None]:
        _drop(forgotten)
    return job


def _where() -> str:
    return "on your Ray cluster" if cluster.executor() == cluster.RAY else "on this computer"


def _drop(job: str) -> None:
    generation = _generations.pop(job)
    if generation.mesh and not generation.object:
        generation.mesh.discard()


def forget_all() -> None:
    """At the end of the add-on."""
    for job in list(_generations):
        _drop(job)


def _said(text: str | None, others: int = 0) -> str:
    sent = "the picture goes to no other server" if cluster.executor() == cluster.RAY else "nothing is uploaded"
    parts = [f"Started {_where()}: {sent} and no key is used."]
    if text:
        parts.append("The picture decides; the text is not used.")
    if others:
        parts.append(f"The first picture is used, the other {others} are not.")
    return " ".join(parts)


@command("create_rodin_job", longest=pictures.LONGEST_REQUEST)
def create_rodin_job(text_prompt=None, images=None, bbox_condition=None) -> dict[str, Any]:
    """images: [[suffix, base64], ...] or [path, ...]. bbox_condition: not used; a character has its own proportions."""
    try:
        picture = _rodin_picture(images)
        job = _create(picture, text_prompt)
    except (Refusal, AvatarError) as problem:
        return {"error": str(problem)}
    message = _said(text_prompt, len(images) - 1)
    return {"uuid": job, "jobs": {"uuids": [job], "subscription_key": job}, "submit_time": _now(), "message": message}


def _rodin_picture(images: Any) -> Path:
    if not images:
        raise Refusal(pictures.NO_PICTURE)
    if not isinstance(images, list):
        raise Refusal("images must be a list of [suffix, base64] pairs.")
    first = images[0]
    if isinstance(first, str):
        return pictures.from_reference(first)
    if not (isinstance(first, list) and len(first) == 2 and isinstance(first[1], str)):
        raise Refusal("images must be a list of [suffix, base64] pairs.")
    return pictures.from_base64(first[1])


@command("create_hunyuan_job", longest=pictures.LONGEST_REQUEST)
def create_hunyuan_job(text_prompt=None, image=None, quality=None) -> dict[str, Any]:
    """image: a path. quality: standard or high, where the generator knows presets."""
    try:
        job = _create(_named_picture(image), text_prompt, quality)
    except (Refusal, AvatarError) as problem:
        return {"error": str(problem)}
    return {"Response": {"JobId": job, "Message": _said(text_prompt)}}


@command("create_meshy_job", longest=pictures.LONGEST_REQUEST)
def create_meshy_job(text_prompt=None, image=None, pose_mode=None) -> dict[str, Any]:
    """pose_mode: a-pose or t-pose; the model is then also rigged when it is imported, and stands so."""
    try:
        if pose_mode is not None and pose_mode not in POSES:
            raise Refusal(f"pose_mode must be one of {', '.join(POSES)}.")
        job = _create(_named_picture(image), text_prompt, pose=pose_mode)
    except (Refusal, AvatarError) as problem:
        return {"error": str(problem)}
    return {"task_id": job, "kind": "i2m", "message": _said(text_prompt)}


@command("refine_meshy_job")
def refine_meshy_job(preview_task_id=None) -> dict[str, Any]:
    return {
        "error": "There is nothing to refine: models that Avatar Forge makes from a picture already have a texture."
    }


def _named_picture(image: Any) -> Path:
    if not image or not isinstance(image, str):
        raise Refusal(pictures.NO_PICTURE)
    return pictures.from_reference(image)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


# Polling


def _state(job: Any) -> dict[str, Any]:
    state = TABLE.state(job) if isinstance(job, str) and job in _generations else None
    return state or {"status": "failed", "fraction": 0.0, "error": LOST}


def _progress(state: dict[str, Any]) -> dict[str, Any]:
    return {
        "progress": round(100 * state["fraction"]),
        **{key: state[key] for key in ("stage", "message") if state.get(key)},
    }


@command("poll_rodin_job_status")
def poll_rodin_job_status(subscription_key=None, request_id=None) -> dict[str, Any]:
    """status_list in the main site's words, with the reason beside "Failed"; a request_id is answered as
    fal.ai does.
    """
    state = _state(subscription_key or request_id)
    if request_id and not subscription_key:
        words = {"waiting": "IN_QUEUE", "running": "IN_PROGRESS", "done": "COMPLETED"}
        failed = {"error": state["error"]} if "error" in state else {}
        return {"status": words.get(state["status"], "FAILED"), **_progress(state), **failed}
    words = {"waiting": "Waiting", "running": "Generating", "done": "Done", "cancelled": "Canceled"}
    status = [words.get(state["status"], "Failed")]
    return {"status_list": status + ([state["error"]] if "error" in state else []), **_progress(state)}


@command("poll_hunyuan_job_status")
def poll_hunyuan_job_status(job_id=None) -> dict[str, Any]:
    job = job_id.removeprefix("job_") if isinstance(job_id, str) else ""
    state = _state(job)
    status = {"waiting": "WAIT", "running": "RUN", "done": "DONE"}.get(state["status"], "FAIL")
    response: dict[str, Any] = {"Status": status, **_progress(state)}
    if status == "DONE":
        response["ResultFile3Ds"] = [{"Type": "GLB", "Url": URL + job}]
    if status == "FAIL":
        response["ErrorMessage"] = state["error"]
    return {"Response": response}


@command("poll_meshy_job_status")
def poll_meshy_job_status(task_id=None, kind=None) -> dict[str, Any]:
    state = _state(task_id)
    words = {"waiting": "PENDING", "running": "IN_PROGRESS", "done": "SUCCEEDED", "cancelled": "CANCELED"}
    reply = {"status": words.get(state["status"], "FAILED"), **_progress(state)}
    if state["status"] == DONE:
        reply["model_url"] = URL + task_id
    if "error" in state:
        reply["error"] = state["error"]
    return reply


# Importing


@command("import_generated_asset", mutates=True)
def import_generated_asset(name=None, task_uuid=None, request_id=None) -> dict[str, Any] | Later:
    return _import(task_uuid or request_id, name)


@command("import_generated_asset_hunyuan", mutates=True)
def import_generated_asset_hunyuan(name=None, zip_file_url=None) -> dict[str, Any] | Later:
    return _import(_job_of(zip_file_url), name)


@command("import_generated_asset_meshy", mutates=True)
def import_generated_asset_meshy(name=None, model_url=None, task_id=None) -> dict[str, Any] | Later:
    return _import(_job_of(model_url) or task_id, name)


def _job_of(url: Any) -> str:
    return url[len(URL) :] if isinstance(url, str) and url.startswith(URL) else ""


def _import(job: Any, name: Any) -> dict[str, Any] | Later:
    """Puts the mesh into the scene under exactly this name: a server asks for its size by it. A name that is taken is
    refused, so that neither another object's size is told nor an object of the user's gets a new name; the mesh can
    still be imported under another.
    """
    generation, state = _generations.get(job) if isinstance(job, str) else None, _state(job)
    if generation is None or "error" in state:
        return _refused(state.get("error", LOST))
    if state["status"] not in ENDED:
        return _refused(
            "The model is not ready"
            f" ({state['fraction']:.0%}{', it waits its turn' if state['status'] == WAITING else ''})."
        )
    name = name.strip() if isinstance(name, str) else ""
    if not name:
        return _refused("The model needs a name; give one.")
    if has_control(name):
        return _refused("The name contains a control character; remove it.")
    if (
        len(name.encode("utf-8")) > 56
    ):  # Blender cuts names at 63 bytes, and the mesh of a rigged one is called "NAME Mesh"
        return _refused("The name is too long; give one of at most 56 letters.")
    if generation.object:
        known = bpy.data.objects.get(generation.object)
        if known and generation.object == name:
            return _placed(known)  # the client asks again, its answer was lost
        if known:
            return _refused(
                f"This model was already imported as {generation.object}; duplicate that object to get another one."
            )
        if generation.mesh and not generation.mesh.path.is_file():  # else it was deleted or undone, and can come again
            return _refused(
                "The model's file no longer exists, because its avatar was finished and then deleted;"
                " generate it again."
            )
    if generation.importing:
        return _refused("The model is being imported.")
    if name in bpy.data.objects:
        return _refused(
            f"There is an object named {name} already; import the same job under another name, such as"
            f' name="{_free(name)}"'
        )
    if generation.pose:
        generation.importing = TABLE.start(
            f"Import {name}", _import_posed(generation, name), after=lambda: setattr(generation, "importing", "")
        )
        return TABLE.later(
            generation.importing, lambda end: end["result"] if end["status"] == DONE else _refused(end["error"])
        )
    try:
        return _placed(_take_in(generation, name).mesh)
    except (AvatarError, OSError) as problem:
        return _refused(str(problem))


def _take_in(generation: Generation, name: str) -> scene.Avatar:
    assert generation.mesh
    generation.mesh.request.name = name
    avatar = workflow.place_mesh(bpy.context, generation.mesh)
    generation.object = avatar.mesh.name
    return avatar


def _import_posed(generation: Generation, name: str) -> Steps:
    """Into the scene, a skeleton, the T-pose as the rest pose; the A-pose is one of the armature's."""
    settings = bpy.context.scene.avatar_forge
    avatar = _take_in(generation, name)
    try:
        options, seed = engine_options.rigger_options(settings), engine_options.rigger_seed(settings)
        avatar = yield from workflow.rig(bpy.context, avatar, settings.rigger, options, seed)
    except AvatarError as error:
        if error.code == "cancelled":
            scene.remove(avatar)
        raise
    workflow.pose(avatar)
    if generation.pose == "a-pose":
        _lower_arms(avatar.armature, A_POSE)
    generation.object = avatar.name
    return _placed(avatar.armature)


def _lower_arms(armature: bpy.types.Object, degrees: float) -> None:
    for name, sign in (("leftUpperArm", 1.0), ("rightUpperArm", -1.0)):
        bone = armature.pose.bones.get(setup.get_bone(armature, name))
        if bone:
            rest = bone.bone.matrix_local.to_3x3()
            turn = Matrix.Rotation(sign * math.radians(degrees), 3, "Y")
            bone.matrix_basis = (rest.inverted() @ turn @ rest).to_4x4()


def _free(name: str) -> str:
    number = 2
    while f"{name}-{number}" in bpy.data.objects:
        number += 1
    return f"{name}-{number}"


def _refused(why: str) -> dict[str, Any]:
    return {"succeed": False, "error": why}


def _placed(obj: bpy.types.Object) -> dict[str, Any]:
    """What the servers read of an imported object."""
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    meshes = [part.evaluated_get(graph) for part in (obj, *obj.children_recursive) if part.type == "MESH"]
    corners = np.array([mesh.matrix_world @ Vector(corner) for mesh in meshes for corner in mesh.bound_box])
    return {
        "succeed": True,
        "name": obj.name,
        "type": obj.type,
        "location": list(obj.location),
        "rotation": list(obj.rotation_euler),
        "scale": list(obj.scale),
        "world_bounding_box": [corners.min(0).round(4).tolist(), corners.max(0).round(4).tolist()],
    }
