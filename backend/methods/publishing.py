# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods record, sync, run_url, promote and register: what they are made of lies in `records` and `promotion`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from .params import File, FileList, Files, Notes, Numbers, Texts, Word
from .registry import Job, method


@method("record")
def record(
    job: Job,
    runs: Path,
    run_id: str,
    name: str,
    picture: File,
    files: Files,
    request: dict[str, Any] | None = None,
    parameters: dict[str, Any] | None = None,
    versions: Texts | None = None,
    weights: Texts | None = None,
    seconds: Numbers | None = None,
    metrics: Numbers | None = None,
    warnings: Notes | None = None,
    report: dict[str, Any] | None = None,
    parent: Texts | None = None,
    tracking_uri: Word = "",
    track: bool = True,
    online: bool = True,
) -> dict[str, Any]:
    """Writes the run folder and, where `track` says so, lets a process of its own send it to MLflow: {run_id,
    run_folder, receipt, tracking}. online: whether the network may be used.
    """
    from ..records import runs as records
    from ..records import tracking

    optional = {
        "request": request,
        "parameters": parameters,
        "versions": versions,
        "weights": weights,
        "seconds": seconds,
        "metrics": metrics,
        "warnings": warnings,
        "report": report,
        "parent": parent,
    }
    given: dict[str, Any] = {key: value for key, value in optional.items() if value is not None}
    folder = job.run(
        records.write_run, runs, records.Run(run_id=run_id, name=name, picture=picture, files=files, **given)
    )
    return {
        "run_id": folder.name,
        "run_folder": folder,
        "receipt": folder / records.RECEIPT,
        "tracking": tracking.send_later(runs, tracking_uri, online) if track else {},
    }


@method("sync")
def sync(job: Job, runs: Path, tracking_uri: Word = "") -> dict[str, Any]:
    """Sends to MLflow what was not sent yet."""
    from ..records import tracking

    return tracking.send_later(runs, tracking_uri)


@method("run_url")
def run_url(job: Job, run_folder: Path) -> dict[str, Any]:
    """{url}: the run's page of MLflow."""
    from ..records import tracking

    return {"url": tracking.run_url(run_folder)}


@method("promote")
def promote(
    job: Job,
    file: File,
    name: str,
    bucket: str,
    endpoint: Word = "",
    prefix: Word = "",
    profile: Word = "",
    region: Word = "",
    run_id: Word = "",
    run_folder: Path | None = None,
    report: dict[str, Any] | None = None,
    override: Word = "",
    urls: Texts | None = None,
    tracking_uri: Word = "",
    online: bool = True,
    once: bool = False,
) -> dict[str, Any]:
    """Promotes and notes it in the run folder: the index entry with `bucket`, `urls` and `resumed`."""
    from ..promotion import promote as promotion
    from ..promotion import registration
    from ..promotion.store import Target
    from ..records import runs, tracking

    templates = urls or {}
    registration.public_urls(templates, bucket, "x")  # wrong ones are refused before anything is public
    if run_folder and not run_id:
        run_id = run_folder.name
    wanted = promotion.Promotion(
        file, Target(bucket, endpoint, prefix, profile, region), name, run_id, report, override, once
    )
    entry = job.run(promotion.promote, wanted, job.progress)
    entry["urls"] = registration.public_urls(templates, entry["bucket"], entry["key"])
    if run_folder and (run_folder / runs.RECEIPT).exists():
        with contextlib.suppress(OSError):  # the model is public by now, whatever has become of its run folder
            runs.add_promotion(run_folder, entry)
        tracking.send_later(run_folder.parent, tracking_uri, online)
    return entry


@method("model_name")
def model_name(job: Job, given: Word = "", usual: Word = "") -> dict[str, Any]:
    """The `name` that a model is promoted under. Raises BackendError("bad_name")."""
    from ..promotion.names import model_name as checked_name

    return {"name": checked_name(given, usual)}


@method("register")
def register(
    job: Job,
    model: str,
    files: FileList,
    variable: str = "AllowedAvatarModels",
    apply: bool = False,
    replace: bool = False,
) -> dict[str, Any]:
    """{diff, files: [{path, listed: it was there already}], applied: [paths]}; `apply` writes what `diff` shows.
    replace: in place of the version that is listed now.
    """
    from ..promotion import registration

    patches = registration.plan(files, model, variable, replace)
    applied = registration.apply(patches) if apply else []
    return {
        "diff": "".join(patch.diff() for patch in patches),
        "files": [{"path": patch.path, "listed": not patch.changes} for patch in patches],
        "applied": applied,
    }
