# SPDX-License-Identifier: GPL-3.0-or-later
"""A running installation of the backend: steps one after the other, never blocking. Made by
environment.Environment.install.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from ...errors import AvatarError, reason_of
from .child import Child
from .locks import hold
from .progress import HasProgress, Progress

KILL_AFTER = 2.0  # seconds after the interrupt
NETWORK_WORDS = (
    "connection",
    "resolve",
    "timed out",
    "failed to fetch",
    "network",
    "unreachable",
    "could not connect",
    "dns",
    "certificate",
)
HASH_WORDS = ("hash mismatch", "do not match the hashes")  # uv's and pip's
MESSAGE_LIMIT = 160


@dataclass(frozen=True)
class Step:
    """One command of an installation. `key` and `digest` are what the record keeps once it has succeeded."""

    key: str
    title: str
    command: tuple[str, ...]
    digest: str
    network: bool = False
    profile: str = ""  # of torch, where the step installs it

    def shown(self) -> str:
        """The command as one would type it."""
        return subprocess.list2cmdline(self.command) if sys.platform == "win32" else shlex.join(self.command)


class Installed(Protocol):
    """What an installation needs of its environment (environment.Environment)."""

    folder: Path
    log_path: Path

    def done(self) -> dict[str, str]: ...
    def write_record(self, done: Mapping[str, str]) -> None: ...
    def mark_broken(self, reason: str) -> None: ...


class Installation(HasProgress):
    """`poll()` until it is True; then `error` (AvatarError) or `result` (the backend's answer to hello) is set. As
    jobs.Running.
    """

    def __init__(self, environment: Installed, steps: list[Step], env: dict[str, str]) -> None:
        self.progress = Progress()
        self.result: dict[str, Any] | None = None
        self.error: AvatarError | None = None
        self._environment = environment
        self._steps = steps
        self._env = env
        self._index = -1
        self._child: Child | None = None
        self._tail: deque[str] = deque(maxlen=30)  # of the current step's output
        self._cancelled_at: float | None = None
        busy = AvatarError("Another Blender is installing the backend; wait until it has finished.", "folder_in_use")
        self._lock = hold(environment.folder / "install.lock", busy)
        self._log: IO[str] | None = None
        with contextlib.suppress(OSError):
            self._log = environment.log_path.open("w", encoding="utf-8")
        _running.add(self)
        self._next()

    @property
    def done(self) -> bool:
        return self.result is not None or self.error is not None

    def poll(self) -> bool:
        """Takes in what has arrived; True when it has ended."""
        if self.done or self._child is None:
            return True
        for line in self._child.events():
            self._note(line)
        if self._cancelled_at is not None and time.monotonic() - self._cancelled_at > KILL_AFTER:
            self._child.kill()
        status = self._child.exit_status()
        if status is not None and self._child.drained():
            self._step_ended(status)
        return self.done

    def cancel(self) -> None:
        """Stops; what is installed stays and the next installation goes on from there."""
        if not self.done and self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            self.advance(message="Cancelling")
            if self._child:
                self._child.interrupt()

    def close(self) -> None:
        """Stops at once; for unregister."""
        if not self.done:
            if self._child:
                self._child.kill()
            self._end(AvatarError("The installation was cancelled.", "cancelled"))

    def _next(self) -> None:
        self._index += 1
        if self._index == len(self._steps):
            self._end(None)
            return
        step = self._steps[self._index]
        self.progress = Progress(step.title, self._index / len(self._steps), step.shown())
        self._tail.clear()
        self._note("$ " + step.shown())
        try:
            self._child = Child(step.command, _text, subprocess.STDOUT, self._env, self._environment.folder)
        except OSError as error:
            self._end(
                AvatarError(
                    f"{step.title} failed: {step.command[0]} cannot be started ({reason_of(error)}).", "install_failed"
                )
            )
            return
        self._child.end_input()

    def _note(self, line: str) -> None:
        if line:
            self._tail.append(line)
            if self._cancelled_at is None:
                self.advance(message=line[:MESSAGE_LIMIT])
        if self._log:
            self._log.write(line + "\n")
            self._log.flush()

    def _step_ended(self, status: int) -> None:
        assert self._child
        for line in self._child.events(limit=1 << 30):
            self._note(line)
        self._child.close()
        step = self._steps[self._index]
        if self._cancelled_at is not None:
            self._end(AvatarError("The installation was cancelled; it resumes from there the next time.", "cancelled"))
        elif status:
            self._end(self._failure(step))
        else:
            try:
                self._record(step)
            except OSError as error:
                self._end(
                    AvatarError(
                        f"{step.title} failed ({reason_of(error)}); check the folder {self._environment.folder}.",
                        "not_writable",
                    )
                )
                return
            self._next()

    def _record(self, step: Step) -> None:
        done = {} if step.key == "environment" else self._environment.done()
        done.pop("check", None)
        done[step.key] = step.digest
        for planned in self._steps:
            if planned.profile:  # recorded early: an interrupted installation goes on with it
                done["profile"] = planned.profile
        self._environment.write_record(done)

    def _failure(self, step: Step) -> AvatarError:
        output = "\n".join(self._tail).lower()
        where = f" (log: {self._environment.log_path})"
        if step.key == "check":
            self._environment.mark_broken(self._reason())
            return AvatarError(
                f"The backend is installed but does not run ({self._reason()}); press Repair Backend{where}.",
                "backend_broken",
            )
        if step.key == "torch_check":
            return AvatarError(
                f"PyTorch is installed but cannot use this device; check its driver or choose another profile{where}.",
                "no_device",
            )
        if "no space left" in output or "disk quota" in output:
            return AvatarError(
                f"{step.title} failed because the disk is full; free some space and press Install Backend"
                f" again{where}.",
                "disk_full",
            )
        if any(words in output for words in HASH_WORDS):
            return AvatarError(
                f"{step.title} failed because a downloaded file is not the one this add-on expects; check which package"
                f" index and proxy are set up here{where}.",
                "hash_mismatch",
            )
        if step.network and any(word in output for word in NETWORK_WORDS):
            message = (
                f"{step.title} failed because a server could not be reached; check the connection and press Install"
                f" Backend again{where}."
            )
            return AvatarError(message, "network")
        return AvatarError(
            f"{step.title} failed ({self._reason()}); press Install Backend to try again{where}.", "install_failed"
        )

    def _reason(self) -> str:
        """The most telling line of the output."""
        for kind in ("generators", "riggers"):
            engines = self._hello().get(kind, [])
            if engines and not any(engine["available"] for engine in engines):  # our own comes first
                return engines[0]["reason"].rstrip(".")
        errors = [line for line in self._tail if "error" in line.lower()]
        line = (errors or list(self._tail) or ["no output"])[-1]
        return line[:MESSAGE_LIMIT].strip().rstrip(".")

    def _hello(self) -> dict[str, Any]:
        for line in reversed(self._tail):
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    return json.loads(line)
        return {}

    def _end(self, error: AvatarError | None) -> None:
        self.error = error
        if error is None:
            self.advance(fraction=1.0)
            self.result = self._hello()
        if self._child:
            self._child.close(grace=0)
        if self._log:
            self._log.close()
        self._lock.close()
        _running.discard(self)


def close_all() -> None:
    """Stops every installation; for unregister, and called when Python ends."""
    for installation in list(_running):
        installation.close()


_running: set[Installation] = set()
atexit.register(close_all)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()
