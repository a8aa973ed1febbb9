# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the models that engines declare: getting them, and knowing that they are still the same.

A model is a folder `<root>/<name>` with the files of its sources and `models.lock.json`: SHA-256 and size of every
file, written when the file first arrived. `folder(name)` is what an engine calls before it loads anything: it raises
unless every file is there and unchanged. A file's digest is computed again when its size or modification time is not
what it was at the last check (`.checked.json`); whoever forges both is only found by `verify`, which reads
everything. Files put in place by hand are taken up the same way, against what is known of them.

The root is AVATAR_FORGE_MODELS or the user's data folder. Where it is itself a model's folder (a clone of its
repository), that is used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BackendError
from ..progress import Report as Progress
from . import hub
from .lock import AGAIN, BUSY, CHECKED, LOCK, Lock, another_file, downloading, sha256_of

log = logging.getLogger(__name__)

VARIABLE = "AVATAR_FORGE_MODELS"
ROOM = 256 << 20  # bytes that a download leaves free on the disk


@dataclass(frozen=True)
class File:
    """A file of a repository. `size` and `sha256` where they are known before the first download (0 and ""
    where not).
    """

    path: str
    size: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Source:
    """Files of one repository at one revision. "main" is replaced by the commit it means at the first download and
    kept in the lock.
    """

    repo: str
    revision: str
    licence: str
    files: tuple[File, ...]
    into: str = ""  # folder below the model's own
    terms: Path | None = None  # the licence's text, where it must be read before the files are used

    @property
    def pinned(self) -> str:
        """How sure it is that everyone gets the same files, in words."""
        known = sum(bool(file.sha256) for file in self.files)
        if known == len(self.files):
            return "every file is pinned by its SHA-256"
        if self.revision == "main":
            return "pinned to the commit at the first download, and locked then"
        some = f", {known} of {len(self.files)} files by their SHA-256" if known else ""
        return f"pinned to a commit{some}; the others are locked at the first download"

    def target(self, file: File) -> str:
        return f"{self.into}/{file.path}" if self.into else file.path


@dataclass(frozen=True)
class Model:
    name: str
    label: str
    sources: tuple[Source, ...]
    about: int = 0  # bytes of all files, roughly: not all sizes are known before the first download
    # One sentence why a folder of the user's own will not do, "" when it will; without, its first file is looked for.
    refuse_folder: Callable[[Path], str] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", self.name):
            raise ValueError(f"{self.name!r} is no name of a model: a-z, 0-9 and _ are, 40 at most")

    @property
    def variable(self) -> str:
        """The environment variable that names a user's own folder, which is used instead of a download."""
        return f"AVATAR_FORGE_{self.name.upper()}"

    def own_folder(self) -> Path | None:
        """The user's own folder, if one is named."""
        chosen = os.environ.get(self.variable)
        return Path(chosen) if chosen else None

    def folder_reason(self, folder: Path) -> str:
        """One sentence why a folder of the user's own will not do, else ""."""
        if self.refuse_folder:
            return self.refuse_folder(folder)
        first = next(target for _, _, target in self.files())
        return "" if (folder / first).is_file() else f"There is no {first} in {folder} ({self.variable})."

    def unavailable_reason(self) -> str:
        """One sentence why the model cannot be used now, "" when it can: its own folder, else the download."""
        own = self.own_folder()
        return self.folder_reason(own) if own else unavailable_reason(self.name)

    @property
    def terms(self) -> dict[str, Path]:
        """Licences whose text must be shown before the download, and where each text is."""
        return {source.licence: source.terms for source in self.sources if source.terms}

    def to_dict(self) -> dict[str, Any]:
        """What the add-on shows before the first download."""
        return {
            "name": self.name,
            "label": self.label,
            "licence": self.licence,
            "size": self.about,
            "variable": self.variable,
        }

    @property
    def licence(self) -> str:
        return ", ".join(dict.fromkeys(source.licence for source in self.sources))

    def files(self) -> Iterator[tuple[Source, File, str]]:
        for source in self.sources:
            for file in source.files:
                yield source, file, source.target(file)


MODELS: dict[str, Model] = {}  # those that engines have declared, by name


def declare(model: Model) -> Model:
    """Makes a model known by its name. An engine does it where it is defined, so that whoever can use the engine can
    get its model. Raises ValueError when another model has that name.
    """
    if MODELS.setdefault(model.name, model) != model:
        raise ValueError(f"another model has the name {model.name!r}")
    return model


def get(name: str) -> Model:
    if name not in MODELS:
        raise BackendError(
            "unknown_model", f"There is no model named {name[:60]!r}.", f"Choose one of: {', '.join(sorted(MODELS))}."
        )
    return MODELS[name]


def data_folder() -> Path:
    """The platform's folder for this user's data, of this program."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "avatar-forge"


def default_root() -> Path:
    """AVATAR_FORGE_MODELS, or a folder of the user's data folder."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser() if chosen else data_folder() / "models"


def place(name: str, root: Path | None = None) -> Path:
    """The model's folder, there or not."""
    root = root or default_root()
    first = next(target for _, _, target in get(name).files())
    return root if (root / first).is_file() else root / name


# -- before a load
# -------------------------------------------------------------------------------------------------------------------


def folder(name: str, progress: Progress | None = None, root: Path | None = None) -> Path:
    """The folder of a model whose files are all there and are what they were when they arrived.

    Raises BackendError: missing_weights, bad_weights (a digest or size is wrong; the sentence names the file),
    unknown_model.
    """
    model, where = get(name), place(name, root)
    _require(model, where)
    lock = Lock(where)
    for problem in _other_than_pinned(model, lock):
        raise BackendError("bad_weights", problem, AGAIN)
    todo = [name_in_lock for name_in_lock in lock.files if not lock.fresh(name_in_lock)]
    _check_all(lock, todo, progress)
    for source, file, target in model.files():
        if target not in lock.files and (where / target).is_file():
            _take_up(lock, source, file, target, progress)
    lock.save()
    return where


def unavailable_reason(name: str, root: Path | None = None) -> str:
    """One sentence when the model's files are not all there, else "". Looks at names only: quick enough for a list of
    engines.
    """
    try:
        _require(get(name), place(name, root))
    except BackendError as error:
        return error.message
    return ""


def verify(name: str, progress: Progress | None = None, root: Path | None = None) -> list[str]:
    """Reads every file and compares it with the lock. One sentence for each that is wrong. Raises missing_weights
    when nothing is there.
    """
    model, where = get(name), place(name, root)
    lock = Lock(where)
    if not lock.files and all(not (where / target).is_file() for _, _, target in model.files()):
        _require(model, where)
    problems = [f"{target} is missing." for target in _absent(model, where, lock)]
    problems += _other_than_pinned(model, lock)
    problems += _check_all(
        lock,
        [name_in_lock for name_in_lock in lock.files if (where / name_in_lock).is_file()],
        progress,
        keep_going=True,
    )
    for source, file, target in model.files():
        if target not in lock.files and (where / target).is_file():
            try:
                _take_up(lock, source, file, target, progress)
            except BackendError as error:
                problems.append(error.message)
    lock.save()
    return problems


def digests(name: str, root: Path | None = None) -> dict[str, str]:
    """{file: SHA-256} as the lock has it, for receipts. Empty when the model is not there."""
    return {file: entry["sha256"] for file, entry in sorted(Lock(place(name, root)).files.items())}


def derived(name: str, path: Path, source: str, root: Path | None = None) -> None:
    """Records a file that was made from the model's file `source` (a converted checkpoint): it is checked like the
    others from now on, and the source may be deleted.
    """
    where = place(name, root)
    lock = Lock(where)
    lock.add(path.relative_to(where).as_posix(), source=source)
    lock.save()


# -- getting and removing
# ------------------------------------------------------------------------------------------------------------


def download(name: str, progress: Progress | None = None, root: Path | None = None) -> Path:
    """Fetches what is missing and returns the model's folder. An interrupted download resumes.

    Raises BackendError: offline, download_failed, disk_full, folder_in_use (another process downloads it),
    bad_weights (what the hub has, or what arrived, is not what is pinned or announced); and what `progress` raises to
    cancel.
    """
    model, where = get(name), place(name, root)
    with downloading(where, name):
        _download(model, where, progress, root)
    return folder(name, progress, root)


def _download(model: Model, where: Path, progress: Progress | None, root: Path | None) -> None:
    lock = Lock(where)
    for problem in _other_than_pinned(model, lock):
        log.warning("%s It is downloaded again.", problem)
    for _source, file, target in model.files():
        if file.sha256 and lock.files.get(target, {}).get("sha256", file.sha256) != file.sha256:
            lock.drop(target)
    targets = {target for _, _, target in model.files()}
    for name_in_lock in list(lock.files):
        try:
            if not lock.fresh(name_in_lock):
                lock.check(name_in_lock)
        except BackendError as error:
            log.warning("%s It is downloaded again.", error.message)
            lock.unlink(name_in_lock)
            if name_in_lock not in targets:  # made here, of a file that was downloaded
                lock.drop(name_in_lock)
    _take_from_others(model, where, lock, root)
    absent = _absent(model, where, lock)
    wanted = [(source, file, target) for source, file, target in model.files() if target in absent]
    remotes = {
        target: hub.locate(source.repo, file.path, lock.revision(source.repo, source.revision))
        for source, file, target in wanted
    }
    for _source, file, target in wanted:
        remote, known = remotes[target], _known(file, lock, target, remotes[target])
        if (known and remote.sha256 not in ("", known)) or (file.size and remote.size != file.size):
            raise another_file(target, bool(file.sha256 or file.size))
    parts = {target: hub.part_of(remote, where / target) for target, remote in remotes.items()}
    total = sum(remote.size for remote in remotes.values())
    needed = total - sum(part.stat().st_size for part in parts.values() if part.exists())
    if needed and needed + ROOM > _free(where):
        raise hub.disk_full(where, needed + ROOM)
    done = 0
    for source, file, target in wanted:
        remote = remotes[target]
        hub.fetch(
            remote,
            where / target,
            _report(progress, "download", done, total, f"Downloading {model.name}: {Path(target).name}"),
        )
        digest, known = sha256_of(where / target), _known(file, lock, target, remote)
        if digest != (known or remote.sha256 or digest):
            lock.unlink(target)
            if remote.sha256 and digest != remote.sha256:
                message = f"The downloaded file {target} differs from the one on the hub."
                raise BackendError("bad_weights", message, "Start the download again.")
            raise another_file(target, bool(file.sha256))
        lock.commits[source.repo] = remote.commit
        lock.add(target, digest)
        lock.save()
        done += remote.size


def _known(file: File, lock: Lock, target: str, remote: hub.Remote) -> str:
    """The digest that a download must have: what is pinned, else what this commit's file had at its first download."""
    same_commit = lock.commits.get(remote.repo) == remote.commit
    return file.sha256 or (lock.files.get(target, {}).get("sha256", "") if same_commit else "")


def _other_than_pinned(model: Model, lock: Lock) -> list[str]:
    """A sentence for each file whose lock does not have the digest that is pinned."""
    return [
        f"The file {lock.where / target} is another one than this version was made for (its SHA-256 differs)."
        for _, file, target in model.files()
        if file.sha256 and lock.files.get(target, {}).get("sha256", file.sha256) != file.sha256
    ]


def remove(name: str, root: Path | None = None) -> int:
    """Deletes the model's files, partial downloads included, and nothing else. Returns the bytes freed. Raises
    BackendError("folder_in_use") while it is downloaded.
    """
    model, where = get(name), (root or default_root()) / name
    if not where.is_dir():
        return 0
    freed = 0
    with downloading(where, name):
        lock = Lock(where)
        names = {target for _, _, target in model.files()} | set(lock.files)
        parts = [part for target in names for part in (where / target).parent.glob(f"{Path(target).name}.*.part")]
        for path in [*(where / file for file in sorted(names)), *parts, *(where / own for own in (LOCK, CHECKED))]:
            if path.is_file():
                freed += path.stat().st_size
                path.unlink()
    with contextlib.suppress(OSError):
        (where / BUSY).unlink()
    for path in sorted((p for p in where.rglob("*") if p.is_dir()), reverse=True):
        with contextlib.suppress(OSError):  # it holds something that is not ours
            path.rmdir()
    with contextlib.suppress(OSError):
        where.rmdir()
    return freed


def status(name: str, root: Path | None = None) -> dict[str, Any]:
    """What `list` shows: {name, label, state ("ready", "incomplete", "missing"), bytes, folder, sources}."""
    model, where = get(name), place(name, root)
    lock = Lock(where)
    known = {target for _, _, target in model.files()} | set(lock.files)
    present = [where / file for file in known if (where / file).is_file()]
    state = "ready" if not _absent(model, where, lock) else "incomplete" if present else "missing"
    sources = [
        {
            "repo": source.repo,
            "revision": lock.revision(source.repo, source.revision),
            "licence": source.licence,
            "files": [f.path for f in source.files],
            "pinned": source.pinned,
        }
        for source in model.sources
    ]
    size = sum(path.stat().st_size for path in present)
    return {"name": name, "label": model.label, "state": state, "bytes": size, "folder": str(where), "sources": sources}


def _take_from_others(model: Model, where: Path, lock: Lock, root: Path | None) -> None:
    """Files of the same repository and revision that another model has already are not downloaded twice."""
    others = {
        (source.repo, source.revision, file.path): place(other.name, root) / target
        for other in MODELS.values()
        if other.name != model.name
        for source, file, target in other.files()
        if source.revision != "main"
    }
    for source, file, target in model.files():
        there = others.get((source.repo, source.revision, file.path))
        if there is None or not there.is_file() or (where / target).exists():
            continue
        _take(there, where / target)
        try:
            _take_up(lock, source, file, target, None)
        except BackendError as error:
            log.warning("%s It is downloaded.", error.message)
            (where / target).unlink()
    lock.save()


def _take(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


# -- inside
# --------------------------------------------------------------------------------------------------------------------


def _absent(model: Model, where: Path, lock: Lock) -> list[str]:
    """The files that are not there, those aside of which everything derived from them is."""
    replaced = {entry.get("from") for file, entry in lock.files.items() if (where / file).is_file()}
    return [target for _, _, target in model.files() if not (where / target).is_file() and target not in replaced]


def _require(model: Model, where: Path) -> None:
    absent = _absent(model, where, Lock(where))
    if not absent:
        return
    if len(absent) == len(list(model.files())):
        message = f"The {model.name} weights are not in {where}."
    else:
        message = f"The {model.name} weights in {where} are incomplete: {absent[0]} is missing."
    hint = (
        f"Download them with `python -m backend models download {model.name}`, or choose an engine that does not"
        " need any."
    )
    raise BackendError("missing_weights", message, hint)


def _check_all(lock: Lock, files: list[str], progress: Progress | None, keep_going: bool = False) -> list[str]:
    """Checks files against the lock; raises at the first that is wrong, or returns a sentence for each."""
    total, done, problems = sum(lock.files[file]["size"] for file in files), 0, []
    for file in files:
        try:
            lock.check(file, _report(progress, "check", done, total, f"Checking {Path(file).name}"))
        except BackendError as error:
            if not keep_going:
                raise
            problems.append(error.message)
        done += lock.files[file]["size"]
    return problems


def _take_up(lock: Lock, source: Source, file: File, target: str, progress: Progress | None) -> None:
    """A file that somebody put there: locked when it agrees with what is known of it."""
    path = lock.where / target
    size = path.stat().st_size
    if file.size and size != file.size:
        raise BackendError(
            "bad_weights",
            f"The file {path} has {size} bytes instead of {file.size}: it is truncated or a different file.",
            AGAIN,
        )
    lock.add(target, on_bytes=_report(progress, "check", 0, size, f"Checking {path.name}"))
    if file.sha256 and lock.files[target]["sha256"] != file.sha256:
        del lock.files[target]
        raise BackendError(
            "bad_weights",
            (f"The file {path} is not the one of {source.repo} at {source.revision[:12]} (its SHA-256 differs)."),
            AGAIN,
        )


def _free(where: Path) -> int:
    while not where.exists():
        where = where.parent
    return shutil.disk_usage(where).free


def _report(progress: Progress | None, stage: str, before: int, total: int, message: str) -> Callable[[int], None]:
    """Turns counts of bytes into progress: `before` bytes of `total` were done when this file began."""
    done = before

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(stage, min(done / max(total, 1), 1.0), f"{message}, {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return on_bytes
