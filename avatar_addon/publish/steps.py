# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes after the avatar: the report card, the run folder and MLflow, the bucket, the frontend's lists. Steps as
in workflow.py.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from .. import export as vrm_export
from ..avatar import packed_file, scene
from ..avatar.scene import Avatar
from ..client import session
from ..client.process import jobs
from ..client.process.tasks import Stage, Steps, Wait
from ..errors import AvatarError
from ..files import copy_whole
from ..report import report as report_card
from ..report.limits import FAIL
from ..vrm.spec.vrm_file import VrmFile


@dataclass
class Target:
    """Where models go.

    urls: label -> template of a public address with {bucket} and {key}; lists: the frontend's files that name its
    models.
    """

    bucket: str = ""
    endpoint: str = ""
    prefix: str = ""
    profile: str = ""
    region: str = ""
    urls: dict[str, str] = field(default_factory=dict)
    lists: list[Path] = field(default_factory=list)
    variable: str = "AllowedAvatarModels"
    replace_listed: bool = False  # the new version takes the place of the one that is listed
    tracking_uri: str = ""

    @classmethod
    def from_preferences(cls) -> Target:
        """The add-on's preferences; an empty target where the checkout runs without being installed."""
        preferences = session.preferences()
        if preferences is None:
            return cls()
        texts = {
            name: getattr(preferences, name).strip()
            for name in ("bucket", "endpoint", "prefix", "region", "tracking_uri")
        }
        texts["profile"] = preferences.profile_name.strip()
        addresses = {"LAN": preferences.lan_url.strip(), "CDN": preferences.cdn_url.strip()}
        lists = [Path(bpy.path.abspath(path)) for path in (preferences.go_list, preferences.js_list) if path.strip()]
        urls = {name: address for name, address in addresses.items() if address}
        variable = preferences.list_variable.strip() or cls.variable
        return cls(**texts, urls=urls, lists=lists, variable=variable, replace_listed=preferences.replace_listed)


def may_reach(target: Target) -> bool:
    """Whether Blender lets us speak to the bucket: always to this machine itself, elsewhere if online access is
    allowed.
    """
    return session.may_reach(target.endpoint)


def examine(avatar: Avatar, folder: Path, version: str = "1.0", at: float = 0.0) -> Steps:
    """Writes the avatar as a VRM into `folder`, checks that file and keeps the report on the avatar. Returns (path,
    report).
    """
    yield Stage("export", at, "Writing the VRM file")
    path = vrm_export.export(avatar.armature, folder / f"{bpy.path.clean_name(avatar.name)}.vrm", version)
    yield Stage("report", at, "Checking the avatar")
    return path, (yield from keep_report(avatar, path, at))


def report_of(path: Path, at: float = 0.0) -> Steps:
    """The report card of a .vrm file, with what the backend sees on pictures of the avatar. Returns the Report. Raises
    OSError, and AvatarError where it is cancelled.
    """
    report = report_card.make_report(path)
    answer = None
    with jobs.job_folder(session.jobs_folder(), keep=False) as folder:
        params = report_card.views(report, folder)
        try:
            answer = (yield Wait(jobs.Job("look_over", **params), at, at)) if params else None
        except AvatarError as error:
            if error.code == "cancelled":
                raise
    report_card.add_seen(report, answer)
    return report


def keep_report(avatar: Avatar, path: Path, at: float = 0.0) -> Steps:
    """The report card of a file that was written from this avatar, stored in its record for the panel. Returns the
    Report.
    """
    report = yield from report_of(path, at)
    checks = avatar.record.checks
    checks.clear()
    avatar.record.card_outdated = False
    for check in report.checks:
        entry = checks.add()
        for name, value in check.to_dict().items():
            setattr(entry, "name" if name == "id" else name, value)
    return report


def record(
    avatar: Avatar, files: dict[str, Path], report: report_card.Report, target: Target, span=(0.0, 1.0)
) -> Steps:
    """Makes the run folder and lets MLflow have it when it can. files: vrm, and sheet where there is one. Returns
    the worker's result.
    """
    result = yield from _write_run(avatar, files, report, session.runs_folder(), target.tracking_uri, span)
    avatar.record.run_folder = str(result["run_folder"])
    packed_file.remember(avatar, str(result["run_id"]), files["vrm"])
    if avatar.record.job_folder:
        shutil.rmtree(avatar.record.job_folder, ignore_errors=True)  # its mesh lies in the run now
        avatar.record.job_folder = ""
    return result


def write_receipt(
    avatar: Avatar, files: dict[str, Path], report: report_card.Report, path: Path, blend: Path | None = None
) -> Steps:
    """The receipt alone, of an avatar that leaves no run folder. blend: written before it, since it comes last."""
    with jobs.job_folder(session.jobs_folder(), keep=False) as folder:
        result = yield from _write_run(avatar, files, report, folder, None, (0.94, 1.0))
        packed_file.remember(avatar, str(result["run_id"]), files["vrm"])
        if blend:
            packed_file.save(avatar, blend)
        copy_whole(Path(result["receipt"]), path)


def _write_run(
    avatar: Avatar, files: dict[str, Path], report: report_card.Report, runs: Path, tracking_uri: str | None, span
) -> Steps:
    """A run folder below `runs`. tracking_uri: None keeps it from MLflow. Returns the worker's result."""
    yield Stage("record", span[0], "Recording the run")
    made = avatar.record
    provenance = json.loads(made.provenance or "{}")
    parameters = provenance.get("parameters", {})
    parameters["engine_options"] = {**provenance.get("settings", {}), **parameters.get("engine_options", {})}
    raw = _raw_mesh(avatar)
    with jobs.job_folder(session.jobs_folder(), keep=False) as folder:
        picture = packed_file.picture_of(avatar, folder)
        if picture is None and made.picture:
            raise AvatarError(
                (
                    f"The picture {bpy.path.basename(made.picture)} that the avatar was made from no longer exists;"
                    " restore it or choose it again."
                ),
                "no_picture",
            )
        picture = picture or _portrait(avatar, folder / "portrait.png")
        rigged = scene.export_glb(avatar, folder / "rigged.glb")
        files = {**files, "rigged": rigged} | ({"raw": raw} if raw else {})
        job = jobs.Job(
            "record",
            runs=runs,
            run_id=made.run or folder.name,
            name=avatar.name,
            picture=picture,
            files=files,
            report=report.to_dict(),
            parent=packed_file.parent(avatar),
            tracking_uri=tracking_uri or "",
            track=tracking_uri is not None,
            online=bpy.app.online_access,
            warnings=[{"code": warning.code, "message": warning.message} for warning in made.warnings],
            versions=versions(),
            parameters=parameters,
            **{key: provenance.get(key, {}) for key in ("weights", "seconds", "metrics")},
        )
        return (yield Wait(job, *span))


def _portrait(avatar: Avatar, path: Path) -> Path:
    """The thumbnail, in place of the picture that an avatar from elsewhere was never made from. Raises AvatarError."""
    image = avatar.armature.data.vrm_addon_extension.vrm1.meta.thumbnail_image
    if image is None:
        raise AvatarError("The avatar has no thumbnail yet; run the step VRM Settings first.", "no_picture")
    return scene.write_image(image, path)


def _raw_mesh(avatar: Avatar) -> Path | None:
    """The generator's mesh: in its job's folder, later in the run's."""
    places = [Path(avatar.record.job_folder) / "mesh.glb"] if avatar.record.job_folder else []
    places += sorted(Path(avatar.record.run_folder).glob("*_raw.glb")) if avatar.record.run_folder else []
    return next((place for place in places if place.is_file()), None)


def versions() -> dict[str, str]:
    """Of what runs in Blender; the backend adds its own."""
    return {"blender": bpy.app.version_string}


def check(avatar: Avatar, version: str = "1.0") -> Steps:
    """The report card alone. Returns the report."""
    with jobs.job_folder(session.jobs_folder(), keep=False) as folder:
        _, report = yield from examine(avatar, folder, version, 0.1)
    return report


def promote(avatar: Avatar, name: str, target: Target, override: str = "", version: str = "1.0") -> Steps:
    """Checks, records and promotes the avatar as `{name}-v{N}.vrm`; name: "" for the avatar's. Returns the index entry
    with `urls`.

    Raises AvatarError: report (a FAIL and no reason to promote it all the same), and the backend's sentences.
    """
    if not target.bucket:
        raise AvatarError("No bucket is set; enter one in the add-on's preferences.", "no_bucket")
    named = yield Wait(jobs.Job("model_name", given=name.strip(), usual=avatar.name), 0.0, 0.05)
    with jobs.job_folder(session.jobs_folder(), keep=False) as folder:
        path, report = yield from examine(avatar, folder, version, 0.05)
        failed = [entry.title for entry in report.checks if entry.status == FAIL]
        if failed and not override.strip():
            what = f"The avatar fails {len(failed)} of {len(report.checks)} checks ({', '.join(failed[:3])})"
            raise AvatarError(f"{what}; fix it or give a reason to promote it anyway.", "report")
        recorded = yield from record(avatar, {"vrm": path}, report, target, (0.2, 0.4))
        more = {"run_folder": recorded["run_folder"], "override": override.strip()}
        job = _promotion(target, path, named["name"], report, **more)
        entry = yield Wait(job, 0.4, 1.0)
    avatar.record.promoted_key = entry["key"]
    avatar.record.promoted_url = next(iter(entry["urls"].values()), "")
    return entry


def promote_file(vrm: Path, name: str, target: Target, report: report_card.Report, run: str = "") -> Steps:
    """Promotes a file as it is. The same content again is the version that it is already. run: the recorded run that
    the file is of. Returns the index entry with `urls`. Raises AvatarError, as `promote` does.
    """
    named = yield Wait(jobs.Job("model_name", usual=name), 0.0, 0.05)
    failed = [entry.title for entry in report.checks if entry.status == FAIL]
    if failed:
        what = f"The avatar fails {len(failed)} of {len(report.checks)} checks ({', '.join(failed[:3])})"
        raise AvatarError(f"{what}, so it was not promoted; fix it in Blender and promote it there.", "report")
    folder = session.runs_folder() / run
    more = {"run_id": run, "run_folder": folder if run and folder.is_dir() else None, "once": True}
    return (yield Wait(_promotion(target, vrm, named["name"], report, **more), 0.05, 1.0))


def _promotion(target: Target, file: Path, name: str, report: report_card.Report, **more: Any) -> jobs.Job:
    """The backend's job that promotes a file. more: its parameters that depend on where the file comes from."""
    return jobs.Job(
        "promote",
        file=file,
        name=name,
        bucket=target.bucket,
        endpoint=target.endpoint,
        prefix=target.prefix,
        profile=target.profile,
        region=target.region,
        urls=target.urls,
        tracking_uri=target.tracking_uri,
        online=bpy.app.online_access,
        report=report.to_dict(),
        **more,
    )


def record_file(vrm: Path, name: str, report: report_card.Report, tracking_uri: str = "") -> Steps:
    """A run folder for a VRM file that somebody exported; the same content has one only. Returns the run's id; "" for
    a file without the thumbnail that stands for its picture.
    """
    with jobs.job_folder(session.jobs_folder(), keep=False) as folder:
        thumbnail = VrmFile(vrm).thumbnail() if report.promotable else None
        if not thumbnail:
            return ""
        picture = folder / "thumbnail.png"
        picture.write_bytes(thumbnail)
        job = jobs.Job(
            "record",
            runs=session.runs_folder(),
            run_id=f"vrm-{report.sha256[:16]}",
            name=name,
            picture=picture,
            files={"vrm": vrm},
            report=report.to_dict(),
            tracking_uri=tracking_uri,
            online=bpy.app.online_access,
            versions=versions(),
        )
        result = yield Wait(job)
        return str(result["run_id"])


def register(avatar: Avatar, target: Target, apply: bool) -> Steps:
    """Adds the promoted model to the frontend's lists, or with `apply` off only shows how. Returns the worker's
    result with its `diff`.
    """
    key = avatar.record.promoted_key
    if not key:
        raise AvatarError("This avatar has not been promoted yet; promote it first.", "not_promoted")
    if not target.lists:
        raise AvatarError("No list is set; choose the Go and JavaScript files in the add-on's preferences.", "no_lists")
    job = jobs.Job(
        "register",
        model=Path(key).name,
        files=target.lists,
        variable=target.variable,
        apply=apply,
        replace=target.replace_listed,
    )
    return (yield Wait(job))


def run_address(avatar: Avatar) -> Steps:
    """The address of the run's page: on the MLflow server that has it, else the page in the run folder."""
    if not avatar.record.run_folder:
        raise AvatarError("This avatar has no recorded run yet; make or promote it first.", "no_run")
    result = yield Wait(jobs.Job("run_url", run_folder=avatar.record.run_folder))
    return result["url"]
