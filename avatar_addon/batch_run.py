# SPDX-License-Identifier: GPL-3.0-or-later
"""The headless run itself, inside the registered package; see batch.py for the command line and docs/batch.md for what
other programs may rely on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import bpy

from . import batch_candidates, batch_prompts
from .batch_files import check_ours
from .batch_prompts import Prompt
from .batch_summary import JsonLines, Lines, Row
from .client import cluster, engines, session
from .client.process import jobs
from .client.process.locks import hold
from .client.process.tasks import Steps, Task, Wait
from .errors import AvatarError, reason_of
from .files import digest
from .intake.importing import MODELS
from .parts import BLEND
from .publish import steps as publish
from .receipts import read_receipt
from .remote.protocol.paths import file_name, has_control
from .remote.protocol.registry import Refusal
from .report import report as report_card
from .report.limits import FAIL, PASS
from .request import Request, read_markers
from .viewer.page import write_page
from .vrm.spec.vrm_file import VrmFile, VrmFileError

MADE, FAILED, WRONG = 0, 1, 2  # exit statuses
Sides = dict[str, Path]  # left, back, right -> a further picture
Wanted = tuple[Path | Prompt, str, Sides]  # what an avatar is made from, its name, further sides
OFFLINE = "Blender is not allowed to use the internet, so nothing was promoted; start it with --online-mode."


def run(options: argparse.Namespace, pictures: list[Path], sides: list[Sides], names: list[str]) -> int:
    """Makes every avatar, prints progress and the summary; the exit status. sides: further pictures of each."""
    return _run(
        options, [(p.absolute(), name, further) for p, further, name in zip(pictures, sides, names, strict=True)]
    )


def run_prompts(options: argparse.Namespace) -> int:
    """As `run`, with the pictures that a server makes of the descriptions in a file."""
    try:
        prompts = batch_prompts.read_prompts(options.prompts)
    except AvatarError as error:
        speaker(options).refused(error, WRONG)
        return WRONG
    return _run(options, [(prompt, prompt.name, {}) for prompt in prompts])


def _run(options: argparse.Namespace, wanted: list[Wanted]) -> int:
    out, says = options.out.absolute(), speaker(options)
    try:
        target = destination(options)
        find_cluster(options)
        make_folder(out)
        check_engines(options)
    except AvatarError as error:
        says.refused(error, WRONG)
        session.close()
        return WRONG
    rows: list[Row] = []
    status = FAILED
    try:
        if options.executor == cluster.RAY:
            rows += on_cluster(options, wanted, out, target, says)
            wanted = []
        for source, name, further in wanted:
            rows.append(make(options, source, name, out, target, says, further))
            says.check()
        status = FAILED if any(row.status == "failed" for row in rows) else MADE
    except AvatarError as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt as stop:
        status = getattr(stop, "status", 130)
        raise
    finally:
        session.close()
        says.summary(rows, status)
    return status


def speaker(options: argparse.Namespace) -> Lines:
    check = options.interruption.check
    return JsonLines(check, options.json) if options.json else Lines(check)


def make_folder(out: Path) -> None:
    """A folder that is there and takes files. Raises AvatarError."""
    if has_control(str(out)):
        raise AvatarError("The output folder's name contains a control character; choose another one.", "files")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        reason = reason_of(error)
        raise AvatarError(f"The folder {out} cannot be used ({reason}); choose another one.", "files") from error


def destination(options: argparse.Namespace) -> publish.Target | None:
    """Where to promote to: as the arguments say, else with --promote as the preferences say; None: nowhere.
    Raises AvatarError.
    """
    if options.bucket:
        return publish.Target(options.bucket, options.endpoint, options.prefix, options.profile, options.region)
    if not options.promote:
        return None
    target = publish.Target.from_preferences()
    if not target.bucket:
        raise AvatarError(
            "--promote needs a bucket: give --bucket, or enter one in the add-on's preferences.", "no_bucket"
        )
    return target


def find_cluster(options: argparse.Namespace) -> None:
    """Which cluster the arguments mean, the preferences' where they name none. Raises AvatarError.

    Without --executor the preferences say where engines run, as in the panel. With it, whole avatars are made on the
    cluster, or everything here; --watch makes them here, with the cluster's engines.
    """
    cluster.use(options.executor)
    if options.executor != cluster.RAY:
        return
    kept = cluster.Settings.current()
    shared = str(options.shared.absolute()) if options.shared else kept.shared
    given = cluster.Settings(
        options.address or kept.address,
        shared,
        options.remote_shared or kept.there,
        options.remote_python or kept.python,
        options.remote_root or kept.root,
        kept.token,
    )
    if not (given.address and given.shared):
        raise AvatarError("--executor ray needs --address and --shared; see docs/cluster.md.", "no_cluster")
    if not session.may_reach(given.address):
        raise AvatarError(
            "Blender is not allowed to use the network, so it cannot reach the cluster; start it with --online-mode.",
            "offline",
        )
    cluster.use(cluster.RAY, given)


def check_engines(options: argparse.Namespace) -> None:
    """Before anything is made, whether the wanted engines are there and can run here. Raises AvatarError."""
    if options.executor == cluster.RAY:
        return  # the node that takes the avatar knows
    generators = [] if options.generated else [options.engine, *batch_candidates.names_in(options.candidate_engines)]
    needed = [("generators", "generator", name) for name in generators] + [("riggers", "rigger", options.rigger)]
    needed = [one for one in needed if not cluster.runs(one[0], one[2])]

    def steps() -> Steps:
        engines.remember_engines((yield Wait(jobs.Job("hello"))), session.engines_file())

    Task("Engines", steps(), session.worker).wait(lambda _: options.interruption.check())
    for kind, word, name in needed:
        known = engines.GENERATORS if kind == "generators" else engines.RIGGERS
        if name not in known:
            raise AvatarError(f"There is no {word} {name!r}; choose from {', '.join(known)}.", "unknown_engine")
        if reason := engines.unavailable(kind, name):
            advice = "Choose another one, or install what it needs in the add-on's preferences."
            raise AvatarError(f"The {word} {name!r} cannot run here: {reason} {advice}", "engine_unavailable")


def make(
    options: argparse.Namespace,
    source: Path | Prompt,
    name: str,
    out: Path,
    target: publish.Target | None,
    says: Lines,
    sides: Sides | None = None,
) -> Row:
    """One avatar, made, or kept where it is there already, and promoted where there is a target. Its failure is the
    row's.
    """
    row, started = Row(name, "made"), time.perf_counter()
    if isinstance(source, Path):
        row.picture = str(source)
    says.begins(name)
    try:
        _check_name(name)
        if isinstance(source, Path):
            row.sha256 = digest(_readable(source))
        with _lock(out / f".{name}.lock"):
            if not options.again and _is_there(options, name, out, source, row.sha256):
                row.status = "kept"
                says.note(name, "already exists (--again makes it again)")
            else:
                if not options.until:
                    check_ours(out, name)
                for number in range(1, options.candidates + 1) if options.pick == "all" else ():
                    check_ours(out, f"{name}-{number}")
                _make(options, source, sides or {}, name, out, row, says)
            if options.view:
                webbrowser.open(_page_of(out / f"{name}.vrm", out / f"{name}.html").as_uri())
            if options.until:
                row.files = {kind: str(path) for kind, path in _files(options, name, out).items()}
                row.note = f"{name}.blend, to go on after the step {options.until}"
            else:
                _describe(options, row, name, out)
            if target:
                row.promoted = promote(out / f"{name}.vrm", name, target, row.run, says)
                row.note = f"{name}.vrm, promoted as {row.promoted['key']}{row.note.removeprefix(f'{name}.vrm')}"
    except AvatarError as error:
        row.status, row.code, row.note = "failed", error.code, str(error)
    except OSError as error:
        reason = reason_of(error)
        row.status, row.code = "failed", "files"
        row.note = f"A file in {out} cannot be written ({reason}); free some space or choose another folder."
    row.seconds = round(time.perf_counter() - started, 2)
    says.ended(row)
    return row


def _check_name(name: str) -> None:
    """Raises AvatarError for a name that no file should have."""
    try:
        file_name(name)
    except Refusal as problem:
        raise AvatarError(f"{ascii(name)[1:-1]}: {problem} --name gives another.", "bad_name") from problem


def _page_of(vrm: Path, page: Path) -> Path:
    """The avatar's page; made now where there is none. Raises OSError."""
    return page if page.exists() else write_page(page, vrm, vrm.stem, report_card.make_report(vrm).to_dict())


def on_cluster(
    options: argparse.Namespace, wanted: list[Wanted], out: Path, target: publish.Target | None, says: Lines
) -> list[Row]:
    """All avatars on a Ray cluster; those that are here already are left out. Raises AvatarError."""
    rows, items, markers, place = [], {}, {}, cluster.Settings.current()
    for picture, name, sides in wanted:
        in_parts = options.mesh or options.until or (isinstance(picture, Path) and picture.suffix.lower() == BLEND)
        if not isinstance(picture, Path) or sides or options.turnaround or in_parts:
            raise AvatarError(
                "A cluster takes one picture an avatar so far; make this one without --executor ray.", "bad_pictures"
            )
        there = picture.is_file() and _is_there(options, name, out, picture, digest(picture))
        if there and not options.again:
            rows.append(Row(name, "kept", note=f"{name}.vrm", picture=str(picture)))
        else:
            items[name] = str(_readable(picture.absolute()))
            if placed := _markers(options.markers, picture):
                markers[name] = placed
    if not items:
        return rows
    flags = {"--no-sheet": options.no_sheet, "--no-record": options.no_record, "--blend": options.blend}
    flags["--perfect-sync"] = options.perfect_sync
    whole = options.candidates > 1
    if whole and markers:
        raise AvatarError(
            "A cluster takes no --markers together with --candidates; leave out one of them.", "bad_markers"
        )
    arguments = [flag for flag, given in flags.items() if given]
    for flag, value in (("--rigger", options.rigger), ("--author", options.author), ("--vrm", options.vrm)):
        arguments += [flag, value] if value else []
    arguments += ["--seed", str(options.seed), "--rigger-options", json.dumps(options.rigger_options)]
    arguments += [] if options.rigger_seed is None else ["--rigger-seed", str(options.rigger_seed)]
    if whole:
        arguments += ["--engine", options.engine, "--engine-options", json.dumps(options.engine_options)]
        arguments += ["--candidates", str(options.candidates), "--pick", options.pick]
        arguments += ["--candidate-engines", options.candidate_engines] if options.candidate_engines else []
    if target and not publish.may_reach(target):
        raise AvatarError(OFFLINE, "offline")
    names = ("bucket", "endpoint", "prefix", "profile", "region") if target else ()
    bucket = [(f"--{name}", getattr(target, name)) for name in names]
    arguments += ["--online-mode"] if bpy.app.online_access else []
    given = {
        "engine": options.engine,
        "seed": options.seed,
        "engine_options": options.engine_options,
        "markers": markers,
        "arguments": arguments,
        "promotion": [word for pair in bucket if pair[1] for word in pair],
        "rig_needs": whole or options.rigger != "geometric",
        "whole": whole,
        "run": options.run_id,
    } | {name: value for name in ("there", "python", "root") if (value := getattr(place, name))}
    job = jobs.Job(
        "cluster_batch",
        stall_timeout=cluster.STALL,
        address=place.address,
        shared=Path(place.shared),
        out=out,
        items=items,
        options=given,
        token=place.token,
    )
    says.begins("cluster")

    def steps() -> Steps:
        return (yield Wait(job))

    result = Task("Cluster", steps(), session.worker).wait(says.progress)
    columns = {field.name for field in fields(Row)}
    for row in result["avatars"]:
        rows.append(Row(**{key: value for key, value in row.items() if key in columns}))
        says.ended(rows[-1])
    return rows


def _files(options: argparse.Namespace, name: str, out: Path) -> dict[str, Path]:
    """kind -> what a complete avatar leaves in `out`, or a part of one."""
    if options.until:
        return {"blend": out / f"{name}.blend", "mesh": out / f"{name}.glb"}
    files = {"vrm": out / f"{name}.vrm", "receipt": out / f"{name}.receipt.json"}
    return files | ({"blend": out / f"{name}.blend"} if options.blend else {})


def _make(
    options: argparse.Namespace, source: Path | Prompt, sides: Sides, name: str, out: Path, row: Row, says: Lines
) -> None:
    picture, text = (source, {}) if isinstance(source, Path) else batch_prompts.picture_of(source, options, says)
    row.picture, row.sha256 = str(picture), digest(picture)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with _unfinished(out / f".{name}.unfinished") as folder:
        request = _request(options, picture, sides, name, folder, text)
        made = batch_candidates.make(request, options.pick, says, name, options.turnaround)
        files = _files(options, name, out)
        _hand_over(folder, out, files.get("receipt") or files["mesh"])
    row.warnings = [warning["message"] for warning in made.warnings]
    for warning in row.warnings:
        says.note(name, f"note: {warning}")
    for check in made.report.checks:
        if check.status != PASS:
            word = "check failed" if check.status == FAIL else "to check"
            says.note(name, f"{word}: {check.title}, {check.figure}: {check.meaning}. {check.fix}")


def _request(
    options: argparse.Namespace, picture: Path, sides: Sides, name: str, folder: Path, text: dict[str, Any]
) -> Request:
    """As the arguments say, with the files in `folder`. text: what the picture was made from, {} for a given one."""
    files = _files(options, name, folder)
    whole = not options.until
    return Request.from_settings(
        bpy.context.scene,
        picture,
        name=name,
        engine=options.engine,
        rigger=options.rigger,
        seed=options.seed,
        rigger_seed=options.rigger_seed,
        engine_options=options.engine_options,
        rigger_options=options.rigger_options,
        markers=_markers(options.markers, picture),
        pictures={side: path.absolute() for side, path in sides.items()},
        author=options.author,
        vrm_version=options.vrm,
        perfect_sync=options.perfect_sync or None,
        text=text,
        candidates=options.candidates,
        candidate_engines=batch_candidates.names_in(options.candidate_engines),
        begun=picture if picture.suffix.lower() == BLEND else None,
        model=options.mesh.absolute() if options.mesh else None,
        until=options.until,
        vrm=files.get("vrm"),
        sheet=folder / f"{name}.sheet.png" if whole and not options.no_sheet else None,
        page=folder / f"{name}.html" if whole and (options.view or not options.no_sheet) else None,
        receipt=files.get("receipt"),
        blend=files.get("blend"),
        record=whole and not options.no_record,
        generated=options.generated.absolute() if options.generated else None,
    )


@contextlib.contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """An empty folder that goes again; a killed run may have left it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _hand_over(unfinished: Path, out: Path, receipt: Path) -> None:
    """Moves what was made into `out`, its receipt last: without it, the next run makes the avatar again."""
    receipt.unlink(missing_ok=True)
    for path in sorted(unfinished.iterdir(), key=lambda path: path.name == receipt.name):
        path.replace(out / path.name)


def _describe(options: argparse.Namespace, row: Row, name: str, out: Path) -> None:
    """Completes the row from the files that are there, so that a kept avatar's is as a made one's."""
    files = _files(options, name, out) | {"sheet": out / f"{name}.sheet.png", "page": out / f"{name}.html"}
    row.files = {kind: str(path) for kind, path in files.items() if path.exists()}
    receipt = read_receipt(files["receipt"])
    row.run, report = receipt.get("run") or "", receipt.get("report") or {}
    row.checks = report.get("counts") or {}
    row.failed = [check.get("id", "") for check in report.get("checks") or [] if check.get("status") == FAIL]
    words = (("WARN", "to check"), ("FAIL", "failed"))
    card = f"{row.checks.get('PASS', 0)} checks passed"
    card += "".join(f", {row.checks[status]} {word}" for status, word in words if row.checks.get(status))
    notes = f", {len(row.warnings)} note" + "s" * (len(row.warnings) > 1)
    row.note = f"{name}.vrm, {card}{notes if row.warnings else ''}"


def promote(vrm: Path, name: str, target: publish.Target, run: str, says: Lines) -> dict[str, Any]:
    """Promotes a file that was just made or was there, once: the same content again is the same version. Returns the
    index entry. Raises AvatarError.
    """
    if not publish.may_reach(target):
        raise AvatarError(OFFLINE, "offline")
    report = Task(f"Check {name}", publish.report_of(vrm), session.worker).wait()
    steps = publish.promote_file(vrm, name, target, report, run)
    return Task(f"Promote {name}", steps, session.worker).wait(says.progress)


def _readable(picture: Path, taken: tuple[str, ...] = ()) -> Path:
    if not picture.is_file():
        raise AvatarError(f"There is no file {picture.name[:80]}; check the path.", "no_picture")
    if picture.suffix.lower() in set(MODELS) - set(taken):
        raise AvatarError(
            f"{picture.name} is a 3D model; give the picture that it was made from, and the model with --mesh.",
            "unreadable",
        )
    return picture


def _markers(given: Path | None, picture: Path) -> dict | None:
    if given is None:
        return None
    path = given / f"{picture.stem}.json" if given.is_dir() else given
    return read_markers(path) if path.exists() or not given.is_dir() else None


def _is_there(options: argparse.Namespace, name: str, out: Path, source: Path | Prompt, sha256: str) -> bool:
    """Whether an earlier run has finished it. Raises AvatarError where a part's file is there, whose run is unknown,
    and for a model that cannot be read.
    """
    files = _files(options, name, out)
    if not options.until:
        return is_complete(files, source, sha256, digest(_readable(options.mesh, (*MODELS,))) if options.mesh else "")
    if files["blend"].exists():
        raise AvatarError(f"{name}.blend is already in {out}; --again replaces it.", "exists")
    return False


def is_complete(files: dict[str, Path], source: Path | Prompt, sha256: str, model: str = "") -> bool:
    """A finished avatar of this picture, .blend file or description from an earlier run: the receipt is written last.
    model: digest of the 3D model that was given with the picture.
    """
    try:
        VrmFile(files["vrm"])
        receipt = read_receipt(files["receipt"])
        given = receipt.get("parameters") or {}
        if not isinstance(source, Path):
            same = given["text"]["text"] == " ".join(source.text.split())
        elif source.suffix.lower() == BLEND:
            same = given["blend_sha256"] == sha256
        else:
            same = receipt["picture"]["sha256"] == sha256 and given.get("model_sha256", "") == model
        return same and all(path.exists() for path in files.values())
    except (VrmFileError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Two runs into one folder do not make the same avatar at once."""
    busy = AvatarError(
        "Another run is making this avatar in the same folder; wait for it or choose another folder.", "busy"
    )
    file = hold(path, busy)
    try:
        yield
    finally:
        file.close()
        path.unlink(missing_ok=True)
