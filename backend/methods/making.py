# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods generate and rig: an engine's result is files, which reach `out_dir` complete, and only if the job has
succeeded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..engines import GenerateRequest, RigRequest
from ..errors import BackendError, Cancelled
from ..protocol import encode
from ..registry import checked_options
from ..staging import Staging
from .params import File, Joints, Markers, Seed, Views
from .registry import Job, method


@method("generate")
def generate(
    job: Job,
    engine: str,
    picture: File,
    out_dir: Path,
    seed: Seed = 0,
    options: dict[str, Any] | None = None,
    markers: Markers | None = None,
    pictures: Views | None = None,
    cluster: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A `GeneratedMesh`, its mesh in `out_dir`. cluster: fields of `cluster.call.Place`, for a Ray cluster."""
    if cluster:
        params = {"engine": engine, "seed": seed, "options": options, "markers": markers}
        return _on_cluster(
            job, cluster, "generate", params, {"picture": picture, "pictures": pictures}, out_dir, "mesh"
        )
    chosen = job.engines("generators").get(engine)
    given = checked_options(chosen, options or {})

    def request(folder: Path) -> GenerateRequest:
        return GenerateRequest(picture, folder, seed, given, markers, pictures or {})

    return _produce(job, out_dir, chosen.generate, request, "mesh")


@method("rig")
def rig(
    job: Job,
    rigger: str,
    mesh: File,
    out_dir: Path,
    seed: Seed = 0,
    joints: Joints | None = None,
    options: dict[str, Any] | None = None,
    texture: File | None = None,
    cluster: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A `Rig`, its rig in `out_dir`. cluster: as for `generate`."""
    if cluster:
        params = {"rigger": rigger, "seed": seed, "joints": joints, "options": options}
        return _on_cluster(job, cluster, "rig", params, {"mesh": mesh, "texture": texture}, out_dir, "rig")
    chosen = job.engines("riggers").get(rigger)
    given = checked_options(chosen, options or {})
    request = lambda folder: RigRequest(mesh, folder, seed, joints, given, texture)  # noqa: E731
    return _produce(job, out_dir, chosen.rig, request, "rig")


def _on_cluster(
    job: Job,
    cluster: dict[str, Any],
    name: str,
    params: dict[str, Any],
    files: dict[str, Any],
    out_dir: Path,
    file_key: str,
) -> dict[str, Any]:
    """The method `name` of a worker on the cluster, which checks engine and options there."""
    from ..cluster.call import PART, Call, Place, call

    job.staging = Staging(out_dir)
    with job.staging as staging:
        given = {key: value for key, value in params.items() if value is not None}
        sent = {key: value for key, value in files.items() if value}
        order = Call(Place.read(cluster), name, given, sent, staging.folder, file_key)
        say = lambda *what: job.progress(*what, part=PART)  # noqa: E731
        result: dict[str, Any] = job.run(call, order, say, lambda: job.is_abandoned)
        if job.is_cancelled:
            raise Cancelled
        result[file_key] = staging.commit(Path(result[file_key]))
        return result


def _produce(
    job: Job, out_dir: Path, work: Callable[..., Any], make_request: Callable[[Path], Any], file_key: str
) -> dict[str, Any]:
    """make_request: of the folder that the engine writes to. file_key: the result's file."""
    job.staging = Staging(out_dir)
    with job.staging as staging:
        result = asdict(job.run(work, make_request(staging.folder), job.progress))
        made = Path(result[file_key])
        if not made.is_relative_to(staging.folder) or not made.is_file() or not made.stat().st_size:
            raise BackendError(
                "engine_failed",
                "The engine finished without a result.",
                "Choose another engine or report this with the backend's log.",
            )
        encode(result)
        if job.is_cancelled:
            raise Cancelled
        result[file_key] = staging.commit(made)
        return result
