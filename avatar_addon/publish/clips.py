# SPDX-License-Identifier: GPL-3.0-or-later
"""Animation clips into the bucket: the folder animations/ beside the models, with the same rules."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..client.process import jobs
from ..client.process.tasks import Stage, Steps, Wait
from ..errors import AvatarError, reason_of
from ..report.clip import clip_report
from ..report.limits import FAIL
from .steps import Target

FOLDER = "animations/"


def promote(path: Path, target: Target, override: str = "") -> Steps:
    """Checks and promotes a VRMA file as `animations/{name}-v{N}.vrma`. Returns the index entry with `urls`. Raises
    AvatarError.
    """
    if not target.bucket:
        raise AvatarError("No bucket is set; enter one in the add-on's preferences.", "no_bucket")
    yield Stage("report", 0.05, "Checking the clip")
    try:
        report = clip_report(path)
    except OSError as error:
        reason = reason_of(error)
        raise AvatarError(f"The clip {path.name} cannot be read ({reason}); check the path.", "no_clip") from error
    failed = [check["title"] for check in report["checks"] if check["status"] == FAIL]
    if failed and not override.strip():
        raise AvatarError(f"The clip fails its checks ({', '.join(failed[:3])}); choose another file.", "report")
    named = yield Wait(jobs.Job("model_name", given="", usual=path.stem), 0.05, 0.1)
    job = jobs.Job(
        "promote",
        file=path,
        name=named["name"],
        bucket=target.bucket,
        endpoint=target.endpoint,
        prefix=target.prefix + FOLDER,
        profile=target.profile,
        region=target.region,
        urls=target.urls,
        online=bpy.app.online_access,
        report=report,
        override=override.strip(),
    )
    return (yield Wait(job, 0.1, 1.0))
