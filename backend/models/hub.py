# SPDX-License-Identifier: GPL-3.0-or-later
"""One file from a model hub: where it lies, and getting it so that an interrupted download resumes.

huggingface_hub knows the protocol (mirrors, redirects, retries, offline mode). Its own download function throws a
partial file away when the process ends and its Xet transfer cannot be continued, so the bytes are fetched with its
plain HTTP function into a file that we keep.
"""

from __future__ import annotations

import errno
import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BackendError
from ..failures import DISK_FULL

log = logging.getLogger(__name__)
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Remote:
    """A file of one commit of a repository. `sha256` is what the hub says it is, "" where it does not say (small
    files).
    """

    repo: str
    path: str
    commit: str
    url: str
    size: int
    sha256: str


def locate(repo: str, path: str, revision: str) -> Remote:
    """Asks the hub about a file. Raises BackendError with the code offline or download_failed."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        found = get_hf_file_metadata(hf_hub_url(repo, path, revision=revision))
    except Exception as error:  # httpx2's, huggingface_hub's and the system's exceptions have no common base
        raise _explain(error, f"{repo}/{path}") from error
    if found.size is None or found.commit_hash is None:
        raise BackendError(
            "download_failed",
            f"The hub does not report the size of {repo}/{path}.",
            "Check HF_ENDPOINT: it must be a model hub.",
        )
    etag = found.etag or ""
    return Remote(repo, path, found.commit_hash, found.location, found.size, etag if SHA256.fullmatch(etag) else "")


def part_of(remote: Remote, target: Path) -> Path:
    """The partial file of a download. It carries the content's name, so that parts of two revisions are never put
    together.
    """
    return target.with_name(f"{target.name}.{(remote.sha256 or remote.commit)[:12]}.part")


def fetch(remote: Remote, target: Path, on_bytes: Callable[[int], None]) -> None:
    """Downloads a file to `target`, going on from an earlier partial download. `on_bytes(n)` hears of each piece and
    may raise to stop.

    The partial file stays when anything goes wrong. Raises BackendError (offline, download_failed, disk_full) or what
    `on_bytes` raises.
    """
    from huggingface_hub.file_download import http_get

    part = part_of(remote, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if part.is_symlink():  # it would be written through
        part.unlink()
    if not part.exists() and (cached := _cached(remote)):
        shutil.copyfile(cached, part)
    try:
        with part.open("ab") as file:
            if file.tell() > remote.size:
                file.truncate(0)
            done = file.tell()
            on_bytes(done)
            http_get(remote.url, file, resume_size=done, expected_size=remote.size, tqdm_class=_bar(on_bytes))
    except OSError as error:
        if error.errno in DISK_FULL:
            raise disk_full(target.parent) from error
        raise _explain(error, f"{remote.repo}/{remote.path}") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("httpx2", "httpcore2", "huggingface_hub"):
            raise _explain(error, f"{remote.repo}/{remote.path}") from error
        raise
    part.replace(target)


def disk_full(folder: Path, needed: int | None = None) -> BackendError:
    amount = "" if needed is None else f": {needed / 1e9:.1f} GB are needed"
    return BackendError(
        "disk_full",
        f"There is not enough space in {folder}{amount}.",
        "Free some space or choose another folder for models.",
    )


def _cached(remote: Remote) -> str | None:
    """The file in the user's own hub cache, if some other program has downloaded it already."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(remote.repo, remote.path, revision=remote.commit)
    return found if isinstance(found, str) and Path(found).stat().st_size == remote.size else None


def _bar(on_bytes: Callable[[int], None]) -> type:
    """A progress bar as huggingface_hub wants one, that shows nothing and tells us."""

    class Bar:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: Any) -> None: ...

        def update(self, count: float = 1) -> None:
            on_bytes(int(count))

        def close(self) -> None: ...

    return Bar


def _explain(error: Exception, what: str) -> BackendError:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, OfflineModeIsEnabled):
        return BackendError(
            "offline",
            "Downloads are disabled (HF_HUB_OFFLINE).",
            "Unset it, or copy the files by hand (see docs/engines.md).",
        )
    if isinstance(error, GatedRepoError | RepositoryNotFoundError | RevisionNotFoundError | EntryNotFoundError):
        return BackendError(
            "download_failed", f"The hub has no public file {what}.", "Check HF_ENDPOINT, or report this."
        )
    if type(error).__name__ in ("ConnectError", "ConnectTimeout") or getattr(error, "errno", None) in (
        errno.ENETUNREACH,
        errno.ECONNREFUSED,
    ):
        return BackendError(
            "offline",
            "The model hub cannot be reached.",
            "Check the connection, or copy the files by hand (see docs/engines.md).",
        )
    log.warning("download of %s failed: %s", what, error)
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return BackendError(
        "download_failed", f"The download of {what} stopped ({reason}).", "Start it again: it resumes where it stopped."
    )
