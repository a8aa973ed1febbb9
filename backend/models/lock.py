# SPDX-License-Identifier: GPL-3.0-or-later
"""models.lock.json: what every file of a model was when it arrived, and whether it still is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import BackendError
from ..failures import explain
from ..staging import hold
from . import hub

LOCK, CHECKED, BUSY = "models.lock.json", ".checked.json", ".download.lock"
AGAIN = "Run `python -m backend models download` for it again."


class Lock:
    """models.lock.json of one folder, and .checked.json beside it: when each file was last found to be right."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.files: dict[str, dict[str, Any]] = {}
        self.commits: dict[str, str] = {}
        self._checked: dict[str, list[int]] = {}
        if (where / LOCK).is_file():
            try:
                saved = json.loads((where / LOCK).read_text())
                self.files, self.commits = saved["files"], saved["commits"]
                for file, entry in self.files.items():
                    if not (isinstance(entry["size"], int) and hub.SHA256.fullmatch(entry["sha256"])) or not _inside(
                        file
                    ):
                        raise ValueError(file)
                if not all(isinstance(commit, str) for commit in self.commits.values()):
                    raise ValueError("commits")
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                hint = "Delete that file; `python -m backend models verify` creates a new one from the existing files."
                raise BackendError("bad_weights", f"The lock {where / LOCK} cannot be read ({error}).", hint) from error
        with contextlib.suppress(OSError, ValueError, RecursionError):
            checked = json.loads((where / CHECKED).read_text())
            self._checked = checked if isinstance(checked, dict) else {}

    def revision(self, repo: str, revision: str) -> str:
        """The commit of a repository that "main" has meant since the first download; any other revision as it is."""
        return revision if revision != "main" else self.commits.get(repo, "main")

    def _stamp(self, file: str) -> list[int]:
        stat = (self.where / file).stat()
        return [stat.st_size, stat.st_mtime_ns]

    def fresh(self, file: str) -> bool:
        """Whether the file has size and time of its last check. A missing file is fresh: whether it is needed is
        asked elsewhere.
        """
        path = self.where / file
        return not path.is_file() or self._checked.get(file) == self._stamp(file)

    def check(self, file: str, on_bytes: Callable[[int], None] | None = None) -> None:
        """Raises bad_weights unless the file has the size and digest of the lock."""
        entry, stamp = self.files[file], self._stamp(file)
        self._checked.pop(file, None)
        if stamp[0] != entry["size"]:
            raise BackendError(
                "bad_weights", f"The file {self.where / file} has {stamp[0]} bytes instead of {entry['size']}.", AGAIN
            )
        if sha256_of(self.where / file, on_bytes) != entry["sha256"]:
            raise BackendError(
                "bad_weights", f"The file {self.where / file} is damaged or was changed (its SHA-256 differs).", AGAIN
            )
        self._checked[file] = stamp

    def add(self, file: str, sha256: str = "", source: str = "", on_bytes: Callable[[int], None] | None = None) -> None:
        """Takes a file up as it is now. sha256: its digest, if the caller has just computed it."""
        stamp = self._stamp(file)
        self.files[file] = {
            "sha256": sha256 or sha256_of(self.where / file, on_bytes),
            "size": stamp[0],
            **({"from": source} if source else {}),
        }
        self._checked[file] = stamp

    def unlink(self, file: str) -> None:
        """Deletes a file, but not what is known of it: one that is downloaded again must be the same."""
        (self.where / file).unlink(missing_ok=True)
        self._checked.pop(file, None)

    def drop(self, file: str) -> None:
        """Deletes a file and forgets it."""
        self.unlink(file)
        self.files.pop(file, None)

    def save(self) -> None:
        """Writes what changed. A folder that cannot be written (a shared one) is checked anew by every process
        instead.
        """
        if not self.files:
            return
        lock = {"files": dict(sorted(self.files.items())), "commits": self.commits}
        with contextlib.suppress(PermissionError):
            for name, content in ((LOCK, lock), (CHECKED, self._checked)):
                text = json.dumps(content, indent=1) + "\n"
                path = self.where / name
                if not path.is_file() or path.read_text() != text:
                    temporary = path.with_name(f"{name}.{os.getpid()}.tmp")
                    temporary.write_text(text)
                    temporary.replace(path)


def another_file(target: str, pinned: bool) -> BackendError:
    """Why what the hub has is not taken: it is not the file that is pinned, or not the one that came at first."""
    if pinned:
        message = f"The file {target} on the hub is not the one that this version was made for (its SHA-256 differs)."
        hint = "Check HF_ENDPOINT and do not use this file; update Avatar Forge if the publisher has replaced it."
    else:
        message = f"The file {target} on the hub is not the one that was first downloaded (its SHA-256 differs)."
        hint = "Check HF_ENDPOINT; to use the other file anyway, remove the model and download it again."
    return BackendError("bad_weights", message, hint)


@contextlib.contextmanager
def downloading(where: Path, name: str) -> Iterator[None]:
    """Keeps a second download of the same model away. Raises BackendError("folder_in_use"), or what `explain` makes of
    a folder that cannot be written to.
    """
    try:
        where.mkdir(parents=True, exist_ok=True)
        held = hold(where / BUSY)
    except OSError as error:
        raise explain(error, where) from error
    if held is None:
        raise BackendError(
            "folder_in_use", f"Another process is downloading {name} to {where}.", "Wait until it has finished."
        )
    try:
        yield
    finally:
        held.close()


def _inside(file: str) -> bool:
    path = Path(file)
    return not path.is_absolute() and ".." not in path.parts


def sha256_of(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file, hexadecimal; `on_bytes(n)` hears of each piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            if on_bytes:
                on_bytes(len(block))
    return digest.hexdigest()
