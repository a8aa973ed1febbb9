# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs for the backend's worker: starts it, reads its events, cancels, notices its death (docs/architecture.md, "The
worker's protocol").

Nothing here blocks but `close` and `wait`: a timer in the window, a loop in a headless run or a socket calls
`Running.poll()` until it is True. The threads underneath (see child.py) only move bytes; every state change happens
inside these calls.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import AvatarError, reason_of
from .child import Child
from .progress import HasProgress, Progress

VERSION = 1  # of the protocol
HELLO_TIMEOUT = 60.0  # seconds to the first answer; a cold disk and a virus scanner make the first import slow
STALL_TIMEOUT = 600.0  # seconds without a sign of life from a job
INTERRUPT_AFTER, KILL_AFTER = 2.0, 3.5  # seconds after a cancel that is not followed
GIVE_UP_AFTER = 1.5  # seconds to wait for a killed child: one that hangs in a driver may not die
DRAIN = 0.5  # seconds to read what a dead worker had written
LOG_LIMIT = 5_000_000  # bytes
PARENT_VARIABLE = "AVATAR_FORGE_PARENT_PID"


class Job:
    """A request to the worker: `Job("rig", mesh=path, rigger="geometric", out_dir=folder)`. Parameters that are None
    are left out.
    """

    def __init__(self, method: str, *, stall_timeout: float = STALL_TIMEOUT, **params: Any) -> None:
        self.method = method
        self.params = {name: _plain(value) for name, value in params.items() if value is not None}
        self.stall_timeout = stall_timeout

    def __repr__(self) -> str:
        return f"Job({self.method!r}, {self.params})"


class Running(HasProgress):
    """A submitted job. `poll()` until it is True; then `result` (a dict) or `error` (an AvatarError) is set."""

    def __init__(self, job: Job, job_id: int, worker: Worker) -> None:
        self.job = job
        self.id = job_id
        self.progress = Progress()
        self.entered: list[Progress] = []  # the first of each stage, so that short ones between two polls are seen too
        self.result: dict[str, Any] | None = None
        self.error: AvatarError | None = None
        self._worker = worker
        self._heard_at = time.monotonic()
        self._cancelled_at: float | None = None
        self._interrupted = False
        self._begun = False  # the worker has said something about it
        self._sent = 0

    @property
    def done(self) -> bool:
        return self.result is not None or self.error is not None

    def poll(self) -> bool:
        """Takes in what has arrived; True when the job has ended. Call it until then, also after `cancel`."""
        if not self.done:
            self._worker.pump()
        return self.done

    def cancel(self) -> None:
        """Asks the job to stop; `poll` sees to it that it does: interrupted after 2 s, killed after 3.5 s."""
        if not self.done and self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            self.advance(message="Cancelling")
            self._worker.ask_to_cancel(self)

    def wait(self, on_progress: Callable[[Running], None] | None = None, interval: float = 0.02) -> dict[str, Any]:
        """Blocks until the end and returns the result; for headless runs. Raises AvatarError. Ctrl-C cancels the job,
        then is raised.
        """
        try:
            while not self.poll():
                if on_progress:
                    on_progress(self)
                time.sleep(interval)
        except BaseException:
            self.cancel()
            while not self.poll():
                time.sleep(interval)
            raise
        if self.error:
            raise self.error
        assert self.result is not None
        return self.result


class Worker:
    """The backend process. It starts with the first job, takes jobs one at a time, and starts again after it died.

    command, env: see environment.worker_command. log_path: the child's stderr, appended.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        hello_timeout: float = HELLO_TIMEOUT,
    ) -> None:
        self.command = list(command)
        self.env = env
        self.log_path = log_path
        self.hello_timeout = hello_timeout
        self.hello: dict[str, Any] | None = None  # version, python, pid of the living worker; its engines: Job("hello")
        self._child: Child | None = None
        self._current: Running | None = None
        self._waiting: deque[Running] = deque()
        self._last_id = 0
        self._started_at = 0.0
        self._died_at: float | None = None
        self._ending: AvatarError | None = None  # why the child was killed, until it is dead
        self._killed_at = 0.0

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.exit_status() is None

    @property
    def idle(self) -> bool:
        """No job is running or waiting."""
        return self._current is None and not self._waiting

    @property
    def is_elsewhere(self) -> bool:
        """The running job is on a cluster: it goes on there when the worker is closed."""
        return self._current is not None and "cluster" in self._current.job.params

    @property
    def pid(self) -> int | None:
        return self._child.process.pid if self._child else None

    def submit(self, job: Job) -> Running:
        """Queues the job. Never raises for the backend's sake: what goes wrong ends up in `Running.error`."""
        self._last_id += 1
        running = Running(job, self._last_id, self)
        self._waiting.append(running)
        self.pump()
        return running

    def close(self) -> None:
        """Ends the worker and every job; takes a second at most for an idle one. `submit` would start it again."""
        for running in [self._current, *self._waiting]:
            if running:
                running.error = AvatarError("The job was cancelled because the backend was closed.", "cancelled")
        closed, self._current = self._current, None
        self._waiting.clear()
        if self._child:
            self._child.close()
            self._forget_child(closed)

    def pump(self) -> None:
        """Moves everything forward that can move; returns at once."""
        if self._child:
            for event in self._child.events():
                self._receive(event)
            self._check_clocks(self._child)
        if self._child:
            self._check_life(self._child)
        if self._current is None and self._waiting and (self._child is None or (self.alive and self._ending is None)):
            self._send_next()

    def ask_to_cancel(self, running: Running) -> None:
        if running in self._waiting:
            self._waiting.remove(running)
            running.error = _cancelled()
        elif running is self._current and self._child:
            self._write(self._child, {"id": running.id, "method": "cancel"})

    # What arrives

    def _receive(self, event: dict[str, Any]) -> None:
        if event["id"] == 0:
            self._greeted(event)
            return
        running = self._current
        if running is None or event["id"] != running.id:
            return
        running._heard_at = time.monotonic()
        running._begun = True
        if "event" in event:
            if running._cancelled_at is None:
                told = Progress.from_event(event) or running.progress
                if told.stage != running.stage:
                    running.entered.append(told)
                running.progress = told
            return
        self._current = None
        if running._cancelled_at is not None:
            running.error = _cancelled()
        elif "error" in event:
            running.error = _from_wire(event["error"], self._see_log())
        else:
            running.advance(fraction=1.0)
            running.result = event["result"]

    def _greeted(self, event: dict[str, Any]) -> None:
        hello = event.get("result")
        if hello and hello.get("version") == VERSION:
            self.hello = hello
            if self._current:
                self._current._heard_at = time.monotonic()
            return
        self._end_child(
            AvatarError(
                (
                    "The backend does not match this version of the add-on; repair it in the"
                    f" preferences{self._see_log()}."
                ),
                "backend_outdated",
            )
        )

    # The life of the child

    def _send_next(self) -> None:
        running = self._waiting.popleft()
        if self._child is None:
            try:
                self._start()
            except OSError as error:
                reason = reason_of(error)
                message = (
                    f"The backend could not be started ({self.command[0]}: {reason}); install or repair it in the"
                    " preferences."
                )
                running.error = AvatarError(message, "backend_missing")
                return
        assert self._child
        try:
            line = _encode({"id": running.id, "method": running.job.method, "params": running.job.params})
        except (TypeError, ValueError) as error:
            running.error = AvatarError(
                f"The job {running.job.method!r} cannot be sent to the backend ({error}); report this.", "bad_params"
            )
            return
        self._current = running
        running._heard_at = time.monotonic()
        running._sent += 1
        self._child.send(line)

    def _start(self) -> None:
        self._died_at, self._ending, self.hello = None, None, None
        env = dict(os.environ if self.env is None else self.env)
        env.pop(PARENT_VARIABLE, None)
        if threading.current_thread() is threading.main_thread():  # see backend.worker.die_with_parent
            env[PARENT_VARIABLE] = str(os.getpid())
        with _open_log(self.log_path) as log:
            self._child = Child(self.command, _from_line, log, env)
        _workers.add(self)
        self._started_at = time.monotonic()
        self._write(self._child, {"id": 0, "method": "hello", "params": {"engines": False}})

    def _write(self, child: Child, message: dict[str, Any]) -> None:
        child.send(_encode(message))

    def _check_clocks(self, child: Child) -> None:
        now, running = time.monotonic(), self._current
        if self._ending:
            if now - self._killed_at > GIVE_UP_AFTER:
                self._end_current(self._ending)
                self._forget_child(None)
        elif running and running._cancelled_at is not None:
            since = now - running._cancelled_at
            if since > KILL_AFTER:
                self._end_child(_cancelled())
            elif since > INTERRUPT_AFTER and not running._interrupted:
                running._interrupted = True
                child.interrupt()
        elif self.hello is None:
            if now - self._started_at > self.hello_timeout:
                message = f"The backend does not respond; try again or repair it in the preferences{self._see_log()}."
                self._end_child(AvatarError(message, "backend_silent"))
        elif running and now - running._heard_at > running.job.stall_timeout:
            silent = f"The backend has made no progress for {running.job.stall_timeout:.0f} seconds and was stopped"
            self._end_child(AvatarError(f"{silent}; try again or use smaller settings{self._see_log()}.", "stalled"))

    def _end_child(self, reason: AvatarError) -> None:
        assert self._child
        self._ending, self._killed_at = reason, time.monotonic()
        self._child.kill()

    def _check_life(self, child: Child) -> None:
        status = child.exit_status()
        if status is None:
            return
        self._died_at = self._died_at or time.monotonic()
        if not child.drained() and time.monotonic() - self._died_at < DRAIN:
            return
        for event in child.events(limit=1 << 30):
            self._receive(event)
        running = self._current
        if (
            running
            and not running._begun
            and running._sent == 1
            and running._cancelled_at is None
            and self._ending is None
            and self.hello
        ):
            self._current = None  # it died idle, just when it was sent this job; another one takes it
            self._waiting.appendleft(running)
        else:
            self._end_current(self._ending or self._death(status))
        self._forget_child(running)

    def _end_current(self, error: AvatarError) -> None:
        running, self._current = self._current, None
        if running:
            running.error = _cancelled() if running._cancelled_at is not None else error

    def _forget_child(self, running: Running | None) -> None:
        """Once the child is dead: removes what the job it had in hand has left in its folder (see backend.staging)."""
        pid = (self.hello or {}).get("pid")
        if self._child:
            self._child.end_input()
        self._child, self.hello = None, None
        _workers.discard(self)
        out_dir = running.job.params.get("out_dir") if running else None
        if pid and out_dir:
            partial = Path(out_dir) / ".partial"
            with contextlib.suppress(OSError):
                if (partial / "lock").read_text() == str(pid):
                    shutil.rmtree(partial, ignore_errors=True)

    def _death(self, status: int) -> AvatarError:
        if self.hello is None:
            message = f"The backend stopped while starting ({_status_in_words(status)}); repair it in the preferences"
            return AvatarError(f"{message}{self._see_log()}.", "backend_broken")
        if status == -9:
            advice = "probably because memory ran out; close other programs and try again"
        else:
            advice = "but nothing in Blender is lost; try again, and repair the backend if it happens again"
        return AvatarError(
            f"The backend stopped in the middle of the job ({_status_in_words(status)}), {advice}{self._see_log()}.",
            "backend_died",
        )

    def _see_log(self) -> str:
        return f" (log: {self.log_path})" if self.log_path else ""


def new_job_folder(base: Path) -> Path:
    """Makes a folder for one run below `base`, sorted by time, never shared: `20261124-153000-1a2b3c`. Raises
    AvatarError.
    """
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    try:
        base.mkdir(parents=True, exist_ok=True)
        folder = base / name
        folder.mkdir()
    except OSError as error:
        reason = reason_of(error)
        raise AvatarError(
            f"The folder {base} cannot be written to ({reason}); choose another folder.", "not_writable"
        ) from error
    return folder


@contextlib.contextmanager
def job_folder(base: Path, keep: bool = True) -> Iterator[Path]:
    """A new folder below `base` that goes away when the job in it fails or is cancelled, or in any case
    without `keep`.
    """
    folder = new_job_folder(base)
    try:
        yield folder
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _plain(value: Any) -> Any:
    """Paths as strings, at any depth."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def close_all() -> None:
    """Ends every worker; for unregister, and called when Python ends."""
    for worker in list(_workers):
        worker.close()


_workers: set[Worker] = set()  # those with a child
atexit.register(close_all)


def _cancelled() -> AvatarError:
    return AvatarError("The job was cancelled.", "cancelled")


def _status_in_words(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _open_log(path: Path | None) -> Any:
    """The log for appending; a long one is set aside first. Where it cannot be written, the job goes on
    without a log.
    """
    if path:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size > LOG_LIMIT:
                path.replace(path.with_suffix(path.suffix + ".old"))
            return path.open("ab")
    return Path(os.devnull).open("ab")


def _encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False).encode("ascii") + b"\n"


def _from_line(line: bytes) -> dict[str, Any] | None:
    """A line of the worker as a checked event, or None for anything else. Runs in the reading thread, so big results
    cost no frame.
    """
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("id"), int) and _is_answer(event) else None


def _is_answer(event: dict[str, Any]) -> bool:
    if event.get("event") == "progress":
        return Progress.from_event(event) is not None
    if "error" in event:
        return isinstance(event["error"], dict) and isinstance(event["error"].get("message"), str)
    return isinstance(event.get("result"), dict)


def _from_wire(error: dict[str, Any], see_log: str) -> AvatarError:
    code, text, hint = str(error.get("code") or "failed"), error["message"], error.get("hint")
    if isinstance(hint, str) and hint:
        text = f"{text} {hint}"
    if code in ("internal", "engine_failed"):
        text = f"{text.rstrip('.')}{see_log}."
    return AvatarError(text, code)
