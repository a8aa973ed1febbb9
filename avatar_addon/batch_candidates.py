# SPDX-License-Identifier: GPL-3.0-or-later
"""The batch's --candidates: several avatars of one picture, of which the best or all are kept as files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bpy

from . import candidates, workflow
from .avatar import packed_file
from .batch_summary import Lines
from .client import session
from .client.process.tasks import Task
from .files import copy_whole
from .picture import cards
from .request import Request

KINDS = ("vrm", "sheet", "page", "receipt")


def make(request: Request, pick: str, says: Lines, name: str, turnaround: bool = False) -> workflow.Made:
    """The avatar, or the best of its candidates as the request's files. pick: "all" also keeps every candidate's, as
    NAME-1.vrm and so on. turnaround: the picture is a model sheet, which is cut first. Raises AvatarError.
    """
    if turnaround:
        steps = cards.from_sheet(request.picture)
        cut = Task(f"Cut {name}", steps, session.worker).wait(says.progress)
        request.picture, request.pictures, said = cut
        for sentence in said:
            says.note(name, sentence)
    if request.candidates == 1:
        made: workflow.Made = Task(f"Make {name}", workflow.make_avatar(bpy.context, request), session.worker).wait(
            says.progress
        )
        return made
    assert request.vrm
    out = request.vrm.parent
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=out) as folder:
        steps = candidates.make_candidates(bpy.context, request, Path(folder))
        found = Task(f"Make {name}", steps, session.worker).wait(says.progress)
        for one in found:
            match = f"match {one.made.metrics['front_match']:.2f}, {one.rank[0]} checks failed" if one.made else ""
            says.note(name, f"{one.request.engine}, seed {one.request.seed}: {match or one.error}")
        best = found[0]
        candidates.keep(bpy.context, best.made.avatar)
        if request.blend:
            packed_file.save(best.made.avatar, request.blend)
        for kind in KINDS:
            source, target = getattr(best.request, kind), getattr(request, kind)
            if source and target:
                copy_whole(source, target)
        if pick == "all":
            for path in sorted(Path(folder).iterdir()):
                path.replace(out / path.name)
        return best.made


def names_in(text: str) -> tuple[str, ...]:
    """The names in a list with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
