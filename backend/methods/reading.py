# SPDX-License-Identifier: GPL-3.0-or-later
"""Methods that read what they are given and make no file: analyse, draft_markers, locate_face, look_over, visemes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .params import File, FileList, Joints, Markers, ParamError, Views
from .registry import Job, method


@method("analyse")
def analyse(
    job: Job, picture: File, markers: Markers | None = None, draft: bool = False, upright: Path | None = None
) -> dict[str, Any]:
    """See `backend.image.analysis.analyse`. upright: a file to write the picture to as it is meant to be seen."""
    from ..image import analysis

    if upright:
        if upright.suffix.lower() != ".png":
            raise ParamError(f"'upright' must end in .png, but is {upright.name[:200]!r}.")
        job.run(analysis.write_upright, picture, upright)
    return job.run(analysis.analyse, picture, markers, draft).to_result()


@method("cut_sheet")
def cut_sheet(job: Job, picture: File, out_dir: Path) -> dict[str, Any]:
    """The figures of a model sheet, each in a file of its own, and which side each shows (`image.sheet`)."""
    from ..image.sheet import sheet_result

    return job.run(sheet_result, picture, out_dir)


@method("match_front")
def match_front(job: Job, picture: File, render: File, markers: Markers | None = None) -> dict[str, Any]:
    """See `backend.image.match.match_front`."""
    from ..image import match

    return job.run(match.match_front, picture, render, markers)


@method("check_views")
def check_views(job: Job, picture: File, pictures: Views) -> dict[str, Any]:
    """What does not fit between the pictures of one character, before it is made (`image.views.review`)."""
    from ..image.views import review

    return job.run(review, picture, pictures)


@method("visemes")
def visemes(job: Job, sound: File) -> dict[str, Any]:
    """See `backend.speech.visemes`."""
    from .. import speech

    return job.run(speech.visemes, sound)


@method("draft_markers")
def draft_markers(
    job: Job, mesh: File, texture: File | None = None, joints: Joints | None = None, face: bool = True
) -> dict[str, Any]:
    """See `backend.geometric.draft.draft_markers`."""
    from ..geometric.draft import draft_markers as draft

    return job.run(draft, mesh, texture, joints, face)


@method("look_over")
def look_over(job: Job, views: File, pictures: FileList | None = None) -> dict[str, Any]:
    """See `backend.geometric.seen.look_over`."""
    from ..geometric.seen import look_over as look

    return job.run(look, views, pictures or [])


@method("locate_face")
def locate_face(job: Job, mesh: File, texture: File | None = None, joints: Joints | None = None) -> dict[str, Any]:
    """See `backend.geometric.face.locate_face_on_mesh`."""
    from ..geometric.face import locate_face_on_mesh

    return job.run(locate_face_on_mesh, mesh, texture, joints)
