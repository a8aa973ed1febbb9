# SPDX-License-Identifier: GPL-3.0-or-later
"""The method cluster_batch: a batch on a Ray cluster (docs/cluster.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .params import Texts
from .registry import Job, method


@method("cluster_batch")
def cluster_batch(
    job: Job,
    address: str,
    shared: Path,
    out: Path,
    items: Texts,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """{run, attached, avatars: rows of the batch's summary}. items: {name: picture}; options: other fields of
    `cluster.client.Batch`.
    """
    from ..cluster.client import Batch, ClusterRun
    from ..cluster.jobs_api import JobsApi

    batch = Batch({name: Path(path) for name, path in items.items()}, out, shared, **(options or {}))
    run = ClusterRun(batch, JobsApi(address))
    attached = not run.start()
    return {"run": run.job, "attached": attached, "avatars": job.run(run.follow, job.progress)}
