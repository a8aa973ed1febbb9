# SPDX-License-Identifier: GPL-3.0-or-later
"""Several avatars from one picture, by seed or by generator, to choose one from.

Each is a complete avatar with a run of its own. In the scene all but one are hidden; those that are not kept leave the
scene, and stay in their runs.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy

from . import workflow
from .avatar import scene
from .avatar.scene import Avatar
from .client.process.tasks import Stage, Steps, Wait
from .errors import AvatarError
from .report.limits import FAIL, WARN
from .request import Request
from .vrm.addon import extension


@dataclass
class Candidate:
    """An avatar to choose; made: None where it failed, with the reason in `error`."""

    request: Request
    made: workflow.Made | None = None
    error: str = ""

    @property
    def rank(self) -> tuple[int, int, float]:
        """Smaller is better: failed checks, warnings, and how far the front is from the picture."""
        if self.made is None:
            return (1 << 30, 0, 0.0)
        counts = self.made.report.counts
        return (counts[FAIL], counts[WARN], -self.made.metrics.get("front_match", 0.0))


def requests_of(request: Request, folder: Path | None = None) -> list[Request]:
    """One request for each candidate: the generators in turn, and for each the next seed.

    folder: where each writes NAME-K.vrm, its sheet and its receipt; None writes no files beside the runs.
    """
    engines = request.candidate_engines or (request.engine,)
    group = f"{uuid.uuid4().hex[:12]}-candidates"
    made = []
    for k in range(request.candidates):
        engine = engines[k % len(engines)]
        own = request.engine_options if engine == request.engine else {}
        made.append(
            replace(
                request,
                name=f"{request.avatar_name} {k + 1}",
                engine=engine,
                engine_options=own,
                seed=request.seed + k // len(engines),
                candidates=1,
                candidate_engines=(),
                group=group,
                blend=None,
                generated=None,
                group_name=request.avatar_name,
                vrm=None,
                sheet=None,
                page=None,
                receipt=None,
            )
        )
        if folder:
            stem = f"{request.avatar_name}-{k + 1}"
            made[-1].vrm, made[-1].receipt = folder / f"{stem}.vrm", folder / f"{stem}.receipt.json"
            made[-1].sheet = folder / f"{stem}.sheet.png" if request.sheet else None
            made[-1].page = folder / f"{stem}.html" if request.page else None
    return made


def make_candidates(context: bpy.types.Context, request: Request, folder: Path | None = None) -> Steps:
    """Makes them one after the other; returns every Candidate, best first. One that fails does not stop the others.

    folder: as in `requests_of`. Raises AvatarError when all fail, and when it is cancelled: complete candidates stay in
    the scene.
    """
    wanted = requests_of(request, folder)
    found: list[Candidate] = []
    for k, one in enumerate(wanted):
        part = f"Candidate {k + 1} of {len(wanted)}"
        candidate = Candidate(one)
        try:
            steps = workflow.make_avatar(context, one)
            candidate.made = yield from _within(steps, k / len(wanted), (k + 1) / len(wanted), part)
        except AvatarError as error:
            if error.code == "cancelled":
                raise
            candidate.error = str(error)
        found.append(candidate)
        _show_only(context, next((c.made.avatar for c in reversed(found) if c.made), None), one.group)
    found.sort(key=lambda candidate: candidate.rank)
    if found[0].made is None:
        raise AvatarError(found[0].error, "no_candidate")
    show(context, found[0].made.avatar)
    return found


def _within(steps: Steps, start: float, end: float, part: str) -> Generator[Wait | Stage, Any, Any]:
    """The same steps as a part of a longer task."""
    span = end - start
    answer, error = None, None
    while True:
        try:
            step = steps.throw(error) if error else steps.send(answer)
        except StopIteration as last:
            return last.value
        if isinstance(step, Wait):
            step = replace(step, start=start + span * step.start, end=start + span * step.end, part=part)
        else:
            step = replace(step, fraction=start + span * step.fraction, part=part)
        answer, error = None, None
        try:
            answer = yield step
        except AvatarError as raised:
            error = raised


def candidates_of(avatar: Avatar) -> list[Avatar]:
    """All candidates that were made with this one and are still in the file, itself among them, by name."""
    group = avatar.record.group
    if not group:
        return []
    meshes = [obj for obj in bpy.data.objects if obj.type == "MESH" and obj.avatar_forge.group == group]
    return [Avatar(obj, obj.find_armature()) for obj in sorted(meshes, key=lambda obj: obj.name)]


def scores(avatar: Avatar) -> tuple[int, int, float]:
    """What a candidate in the file is ranked by, as precisely as the panel shows it."""
    record = avatar.record
    failed, warned = (sum(check.status == status for check in record.checks) for status in (FAIL, WARN))
    return failed, warned, round(record.front_match, 2)


def show(context: bpy.types.Context, avatar: Avatar) -> None:
    """Shows one candidate alone, and selects it."""
    _show_only(context, avatar, avatar.record.group)
    scene.select(context, avatar.armature or avatar.mesh)


def _show_only(context: bpy.types.Context, shown: Avatar | None, group: str) -> None:
    if shown is None:
        return
    layer = context.view_layer
    for avatar in candidates_of(shown):
        if avatar.armature and (image := extension(avatar.armature).vrm1.meta.thumbnail_image):
            image.preview_ensure()  # for the panel
        for obj in avatar.objects:
            if obj.name in layer.objects:
                obj.hide_set(avatar.mesh != shown.mesh)
            obj.hide_render = avatar.mesh != shown.mesh


def keep(context: bpy.types.Context, avatar: Avatar, name: str = "") -> int:
    """Removes the other candidates from the scene; their runs stay. The kept one gets the name that was asked for.

    Returns how many were removed.
    """
    others = [one for one in candidates_of(avatar) if one.mesh != avatar.mesh]
    for other in others:
        scene.remove(other)
    wanted = name or avatar.record.group_name
    avatar.record.group = avatar.record.group_name = ""
    show_again = avatar.armature or avatar.mesh
    if wanted and wanted not in bpy.data.objects:
        if avatar.armature:
            avatar.armature.name = wanted
        else:
            avatar.mesh.name = wanted
    scene.select(context, show_again)
    return len(others)
