# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's methods record, promote and register: what they are made of lies in runs, tracking, promotion and
registration.
"""

from __future__ import annotations

from typing import Any

from ..engines import Progress
from ..promotion import promote as promotion
from ..promotion import registration
from ..promotion.store import Target
from ..records import runs, tracking


def record(params: dict[str, Any]) -> dict[str, Any]:
    """Writes the run folder and lets a process of its own send it to MLflow: {run_id, run_folder, receipt,
    tracking}.
    """
    given = {name: value for name, value in params.items() if value is not None}
    root, uri = given.pop("runs"), given.pop("tracking_uri")
    folder = runs.write_run(root, runs.Run(**given))
    return {
        "run_id": folder.name,
        "run_folder": folder,
        "receipt": folder / runs.RECEIPT,
        "tracking": tracking.send_later(root, uri),
    }


def promote(params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Promotes and notes it in the run folder: the index entry with `bucket`, `urls` and `resumed`."""
    folder, uri, templates = params["run_folder"], params["tracking_uri"], params["urls"]
    registration.public_urls(templates, params["bucket"], "x")  # wrong ones are refused before anything is public
    target = Target(*(params[name] for name in ("bucket", "endpoint", "prefix", "profile", "region")))
    wanted = promotion.Promotion(
        params["file"], target, params["name"], params["run_id"], params["report"], params["override"]
    )
    if folder and not wanted.run_id:
        wanted.run_id = folder.name
    entry = promotion.promote(wanted, progress)
    entry["urls"] = registration.public_urls(templates, entry["bucket"], entry["key"])
    if folder and (folder / runs.RECEIPT).exists():
        runs.add_promotion(folder, entry)
        tracking.send_later(folder.parent, uri)
    return entry


def register(params: dict[str, Any]) -> dict[str, Any]:
    """{diff, files: [{path, listed: it was there already}], applied: [paths]}; `apply` writes what `diff` shows."""
    patches = registration.plan(params["files"], params["model"], params["variable"])
    applied = registration.apply(patches) if params["apply"] else []
    return {
        "diff": "".join(patch.diff() for patch in patches),
        "files": [{"path": patch.path, "listed": not patch.changes} for patch in patches],
        "applied": applied,
    }
