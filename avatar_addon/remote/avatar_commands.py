# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar commands that answer at once: what there is, and small changes to it. What takes long is in
avatar_jobs.py.
"""

from __future__ import annotations

import base64
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bpy

from .. import landmarks, receipts, workflow, workflow_states
from ..avatar import scene
from ..avatar.scene import Avatar
from ..client import cluster, engines, session, task_slot
from ..errors import reason_of
from ..humanoid import bones as humanoid_bones
from ..render import expressions, pictures
from ..vrm import setup
from ..vrm.spec.human_bones import BONES, REQUIRED, humanoid_problems
from .generation import engine
from .protocol.registry import WORDS, Later, Refusal, command, success
from .work import TABLE

MOST_PROMOTIONS, LONGEST_WORD = 5, 200  # of each run in the list of runs
AXES = "Metres in world space, at rest: Z up, the character faces -Y, its left side is +X."


# Parameters


def checked(value: Any, kind: type | tuple[type, ...], what: str) -> Any:
    """The value, if it is None or of the kind. Raises Refusal."""
    if value is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
        return value
    kinds = kind if isinstance(kind, tuple) else (kind,)
    wanted = " or ".join(WORDS.get(one, one.__name__) for one in kinds)
    raise Refusal(f"{what} has the wrong type ({type(value).__name__}); give {wanted}.")


def the_avatar(name: Any, rigged: bool = False) -> Avatar:
    """The avatar of that name, of its mesh or of its armature; without a name the selected one, or the only one.
    Raises Refusal.
    """
    checked(name, str, "avatar")
    context = bpy.context
    if not name:
        avatar = scene.find_avatar(context)
        if avatar is None:
            names = [found.name for found in avatars()]
            raise Refusal(
                f"There are several avatars, name one: {', '.join(names)}."
                if names
                else "There is no avatar yet; make one from a picture."
            )
    else:
        avatar = next((found for found in avatars() if name in (found.name, found.mesh.name)), None)
        if avatar is None:
            raise Refusal(
                f"There is no avatar {name[:60]!r}; there are"
                f" {', '.join(found.name for found in avatars()) or 'none yet'}."
            )
    if rigged and avatar.armature is None:
        raise Refusal(f"{avatar.name} has no skeleton yet; rig it first.")
    return avatar


def avatars() -> list[Avatar]:
    objects = bpy.context.scene.objects
    return [Avatar(obj, obj.find_armature()) for obj in objects if obj.type == "MESH" and obj.avatar_forge.is_avatar]


# What there is


@command("avatar_status")
def avatar_status() -> dict[str, Any]:
    backend = session.environment().state()
    chosen, reason = engine(bpy.context.scene.avatar_forge)
    running = task_slot.current()
    return {
        "backend": {"ready": backend.ready, "message": backend.message},
        "generators": _engines("generators", engines.GENERATORS),
        "riggers": _engines("riggers", engines.RIGGERS),
        "default_generator": chosen,
        "default_generator_note": reason,
        "engines_run_on": cluster.executor(),
        "online": bpy.app.online_access,
        "file": bpy.data.filepath,
        "avatars": [_described(avatar) for avatar in avatars()],
        "task": {"title": running.title, "message": running.message, "fraction": running.fraction} if running else None,
        "jobs": TABLE.active,
    }


def _engines(kind: str, known: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "label": label,
            "unavailable": engines.unavailable(kind, name),
            "options": [_option(option) for option in engines.options(kind, name) if option["type"] != "seed"],
            "models": [model["name"] for model in engines.models(kind, name)],
        }
        for name, label in known.items()
    ]


def _option(option: Mapping[str, Any]) -> dict[str, Any]:
    """What a client needs to give it: name, type, and where there are any default, low, high, choices and help."""
    said = {key: option[key] for key in ("name", "type", "default", "low", "high", "help")}
    said["choices"] = [choice["value"] for choice in option["choices"]]
    return {key: value for key, value in said.items() if value not in (None, "", [])}


def _described(avatar: Avatar) -> dict[str, Any]:
    record = avatar.record
    failed = [check.title for check in record.checks if check.status == "FAIL"]
    return {
        "name": avatar.name,
        "made_with": record.label,
        "picture": record.picture,
        "steps": {step: entry.state or "to do" for step, entry in workflow_states.states(avatar).items()},
        "failed_checks": failed,
        "warnings": [warning.message for warning in record.warnings],
        "promoted_as": record.promoted_key,
        "run_folder": record.run_folder,
    }


@command("avatar_runs")
def avatar_runs(limit=None) -> dict[str, Any]:
    """The newest finished runs by their receipts. limit: how many, 20 without."""
    folder, wanted = session.runs_folder(), max(1, min(checked(limit, int, "limit") or 20, 200))
    try:
        found = receipts.run_folders(folder)
    except OSError as problem:
        raise Refusal(
            f"The runs folder {folder} cannot be read ({reason_of(problem)}); correct it in the preferences."
        ) from problem
    return {"folder": str(folder), "count": len(found), "runs": [_run(run) for run in found[:wanted]]}


def _run(folder: Path) -> dict[str, Any]:
    """What is known of a run. Long texts are cut: one record must not keep the others from being told."""
    run: dict[str, Any] = {"run": folder.name, "folder": str(folder)}
    name = receipts.RECEIPT
    try:
        receipt = receipts.read_receipt(folder / name)
        used = receipt.get("parameters") or {}
        run |= {key: _short(receipt.get(key)) for key in ("name", "made_at")}
        run |= {key: _short(used.get(key)) for key in ("engine", "rigger")}
        counts = (receipt.get("report") or {}).get("counts")
        run["checks"] = counts and {word: counts.get(word, 0) for word in ("PASS", "WARN", "FAIL")}
        run["vrm"] = next((str(file) for file in folder.glob("*.vrm") if file.is_file()), None)
        name = receipts.PROMOTIONS
        run["promoted"] = [_promotion(entry) for entry in receipts.read_promotions(folder / name)[-MOST_PROMOTIONS:]]
    except (OSError, ValueError) as problem:
        run["error"] = f"{name} cannot be read ({reason_of(problem)}); restore or delete the folder {folder.name}."
    return run


def _promotion(entry: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: _short(entry.get(name)) for name in ("bucket", "key", "promoted_at", "override")}
    return told | {"urls": {_short(name): _short(url) for name, url in list((entry.get("urls") or {}).items())[:20]}}


def _short(text: str | None) -> str | None:
    return text and text[:LONGEST_WORD]


# Jobs


@command("avatar_jobs")
def avatar_jobs() -> dict[str, Any]:
    return {"jobs": [{key: value for key, value in state.items() if key != "result"} for state in TABLE.states()[:100]]}


@command("avatar_job")
def avatar_job(job=None) -> dict[str, Any]:
    return TABLE.need(checked(job, str, "job"))


@command("avatar_cancel")
def avatar_cancel(job=None) -> dict[str, Any]:
    """Cancels a job; without one everything that runs or waits, the sidebar's task too."""
    if checked(job, str, "job"):
        TABLE.cancel(job)
        return TABLE.need(job)
    cancelled = [state["job"] for state in reversed(TABLE.active)]
    for name in cancelled:
        TABLE.cancel(name)
    if task_slot.current():
        bpy.context.window_manager.avatar_forge.cancel = True
    return {"cancelled": cancelled}


# Humanoid bones


@command("avatar_bones")
def avatar_bones(avatar=None) -> dict[str, Any]:
    """The assignment, what is wrong with it, and every bone of the armature."""
    found = the_avatar(avatar, rigged=True)
    parents, assigned = scene.bone_parents(found.armature), setup.get_humanoid(found.armature)
    return {
        "avatar": found.name,
        "humanoid": assigned,
        "unassigned": [name for name in BONES if name not in assigned],
        "required_but_unassigned": [name for name in REQUIRED if name not in assigned],
        "problems": humanoid_problems(assigned, parents),
        "bones": [{"name": name, "parent": parent} for name, parent in parents.items()],
    }


@command("avatar_set_bones", mutates=True)
def avatar_set_bones(avatar=None, bones=None, automatic=None) -> dict[str, Any]:
    """bones: VRM bone -> bone of the armature, or null to unassign; those not named stay. automatic: by the matcher
    first.
    """
    found = the_avatar(avatar, rigged=True)
    given = checked(bones, dict, "bones") or {}
    if unknown := [name for name in given if name not in BONES]:
        raise Refusal(f"{unknown[0]!r} is no humanoid bone of VRM 1.0; they are {', '.join(BONES)}.")
    if not given and not automatic:
        raise Refusal("Nothing to assign: give bones, or set automatic.")
    assigned = workflow.match_humanoid(found) if automatic else setup.get_humanoid(found.armature)
    for name, bone in given.items():
        if checked(bone, str, name):
            assigned[name] = bone
        else:
            assigned.pop(name, None)
    if problems := humanoid_problems(assigned, scene.bone_parents(found.armature)):
        raise Refusal(
            f"That is not a VRM humanoid: {problems[0]} Nothing was assigned; correct what is missing or wrong as well."
        )
    humanoid_bones.change(found.armature, dict.fromkeys(BONES, "") | assigned)
    return avatar_bones(found.name)


# Face landmarks


@command("avatar_landmarks")
def avatar_landmarks(avatar=None) -> dict[str, Any]:
    found = the_avatar(avatar)
    record = found.record
    parts = scene.read_face(found).to_dict()
    confidence = parts.pop("confidence")
    return {
        "avatar": found.name,
        "axes": AXES,
        "placed": record.has_face,
        "face": parts if record.has_face else {},
        "confidence": confidence,
    }


@command("avatar_set_landmarks", mutates=True)
def avatar_set_landmarks(avatar=None, face=None) -> dict[str, Any]:
    """face: part -> [x, y, z] or {"center", "half_width", "half_height", "width"}, any subset of leftEye, rightEye,
    mouth, leftBrow, rightBrow, jaw. The face is made from them when it is made next (avatar_face).
    """
    found = the_avatar(avatar)
    given = checked(face, dict, "face")
    if not given:
        raise Refusal(f"Name at least one landmark: {', '.join(landmarks.PARTS)}.")
    parts = {name: _part(name, value) for name, value in given.items()}
    record, known = found.record, scene.read_face(found).to_dict()
    if not record.has_face and (missing := [name for name in landmarks.REQUIRED if name not in parts]):
        raise Refusal(f"The avatar has no landmarks yet, so {' and '.join(missing)} must be given too.")
    brows = [name for name in landmarks.BROWS if name in parts]
    if len(brows) == 1 and not record.has_brows:
        raise Refusal("Give both brows: leftBrow and rightBrow.")
    whole = {name: known.get(name, {}) | part for name, part in parts.items()}
    scene.set_face_by_hand(found, landmarks.FaceLandmarks.from_dict(whole))
    record.card_outdated = True
    return avatar_landmarks(found.name)


def _part(name: str, value: Any) -> dict[str, Any]:
    if name not in landmarks.PARTS:
        raise Refusal(f"{name!r} is no landmark; they are {', '.join(landmarks.PARTS)}.")
    part: dict[str, Any] = {"center": value} if isinstance(value, list) else checked(value, dict, name)
    sizes = landmarks.PARTS[name].sizes
    if not part or part.keys() - {"center", *sizes}:
        raise Refusal(f"{name} is [x, y, z] or an object with center{''.join(f', {size}' for size in sizes)}.")
    center = part.get("center")
    if not (isinstance(center, list) and len(center) == 3 and all(_is_length(number) for number in center)):
        raise Refusal(f"{name}'s center must be three numbers, x, y and z in metres.")
    if wrong := [size for size in sizes if size in part and not (_is_length(part[size]) and part[size] > 0)]:
        raise Refusal(f"{name}'s {wrong[0]} must be a number of metres above 0.")
    return part


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1000


# Looking at it


@command("avatar_expressions")
def avatar_expressions(avatar=None) -> dict[str, Any]:
    found = the_avatar(avatar)
    return {"avatar": found.name, "expressions": [expressions.REST, *expressions.binds(found)]}


@command("avatar_preview_expression")
def avatar_preview_expression(avatar=None, expression=None, weight=None, view=None, size=None) -> Later:
    """A PNG in base64. expression: a name, or {name: weight}; rest without. view: face or body. size: pixels
    of a side.
    """
    found = the_avatar(avatar)
    view = checked(view, str, "view") or "face"
    if view not in expressions.VIEWS:
        raise Refusal(f"view must be one of {', '.join(expressions.VIEWS)}.")
    pixels = max(64, min(checked(size, int, "size") or 384, expressions.LARGEST))
    worn = _worn(expression, weight)
    name = found.name
    pictures.start_probe()

    def poll() -> dict | None:
        if not pictures.probed():
            return None
        return success(_preview(the_avatar(name), worn, view, pixels))

    return Later(poll)


def _worn(expression: Any, weight: Any) -> dict[str, float]:
    amount = 1.0 if weight is None else weight
    worn = (
        expression
        if isinstance(expression, dict)
        else {checked(expression, str, "expression") or expressions.REST: amount}
    )
    if not all(_is_length(value) and -1 <= value <= 2 for value in worn.values()):
        raise Refusal("A weight must be a number from -1 to 2; 1 is the whole expression.")
    return worn


def _preview(avatar: Avatar, worn: dict[str, float], view: str, pixels: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="avatar-forge-") as folder:
        content = expressions.picture(avatar, worn, Path(folder) / "preview.png", pixels, view).read_bytes()
    return {
        "avatar": avatar.name,
        "expression": worn,
        "view": view,
        "format": "png",
        "width": pixels,
        "height": pixels,
        "image": base64.b64encode(content).decode("ascii"),
    }
