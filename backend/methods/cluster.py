# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods of a Ray cluster: a batch there, and what it offers (docs/cluster.md). `making` has single engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .params import Texts, Word
from .registry import Job, method


@method("cluster_batch")
def cluster_batch(
    job: Job,
    address: str,
    shared: Path,
    out: Path,
    items: Texts,
    options: dict[str, Any] | None = None,
    token: Word = "",
) -> dict[str, Any]:
    """{run, attached, avatars: rows of the batch's summary}. items: {name: picture}; options: other fields of
    `cluster.client.Batch`.
    """
    from ..cluster.client import Batch, ClusterRun
    from ..cluster.jobs_api import JobsApi

    batch = Batch({name: Path(path) for name, path in items.items()}, out, shared, **(options or {}))
    run = ClusterRun(batch, JobsApi(address, token))
    attached = not run.start()
    return {
        "run": run.job,
        "attached": attached,
        "avatars": job.run(run.follow, job.progress, lambda: job.is_abandoned),
    }


@method("cluster_offer")
def cluster_offer(job: Job, address: str, shared: Path | None = None, token: Word = "") -> dict[str, Any]:
    """See `cluster.offer.describe`. shared: a folder that must take files here."""
    from ..cluster import offer
    from ..cluster.client import try_folder
    from ..cluster.jobs_api import JobsApi

    found: dict[str, Any] = job.run(offer.describe, JobsApi(address, token))
    if shared:
        try_folder(shared)
    return found
