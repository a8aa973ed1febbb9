# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker: requests come in as lines on stdin, events go out as lines on what was stdout.

Two threads. The main one runs the jobs, one at a time, because only the main thread can be interrupted (SIGINT)
inside a long computation. The other reads stdin, so that a cancel arrives while a job runs; when stdin ends, the
client is gone and so is the worker.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from . import methods  # noqa: F401  # declares them
from .errors import BackendError, Cancelled
from .failures import explain
from .methods.registry import find
from .progress import Progress
from .protocol import LineSplitter, ProtocolError, Request, encode, parse_request
from .registry import Engines
from .staging import Staging

log = logging.getLogger(__name__)

PROGRESS_INTERVAL = 0.05  # seconds between two progress events of one stage
GRACE = 2.0  # seconds that a running job has to stop when the client is gone
MAX_QUEUE = 100
PARENT_VARIABLE = "AVATAR_FORGE_PARENT_PID"


class Running:
    """A request that is queued or running; for its method a `backend.methods.registry.Job`."""

    def __init__(self, request: Request, worker: Worker) -> None:
        self.request = request
        self.cancelled = threading.Event()
        self.abandoned = False
        self.staging: Staging | None = None
        self._worker = worker
        self._last: Progress | None = None
        self._sent_at = 0.0

    def progress(self, stage: str, fraction: float, message: str, **more: Any) -> None:
        """Sends a progress event, at most one per PROGRESS_INTERVAL and stage; the fraction never falls. Raises
        Cancelled.
        """
        if self.cancelled.is_set():
            raise Cancelled
        now = time.monotonic()
        if self._last and stage == self._last.stage and now - self._sent_at < PROGRESS_INTERVAL:
            return
        self._last, self._sent_at = Progress(stage, fraction, message, **more).after(self._last), now
        self._worker.send({"id": self.request.id, **self._last.to_event()})

    @property
    def is_cancelled(self) -> bool:
        return self.cancelled.is_set()

    @property
    def is_abandoned(self) -> bool:
        return self.abandoned

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls the part of the job that may take long: an interrupt breaks into it."""
        return self._worker.run(function, *arguments)

    def engines(self, kind: str) -> Engines:
        return self._worker.engines(kind)


class Worker:
    """Serves requests from the descriptor `source` and writes answers to `sink`; `serve` returns when `source` has
    ended.
    """

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._sink_lock = threading.Lock()
        self._jobs: dict[int, Running] = {}  # queued and running, by id
        self._jobs_lock = threading.Lock()
        self._queue: queue.SimpleQueue[Running | None] = queue.SimpleQueue()
        self._current: Running | None = None
        self._interruptible = False
        self._ended = threading.Event()
        self._registries: dict[str, Engines] = {}

    def serve(self) -> None:
        threading.Thread(target=self._read, name="stdin", daemon=True).start()
        while (job := self._queue.get()) is not None:
            self._current = job
            answer = self._answer(job)
            self._current = None
            with self._jobs_lock:
                del self._jobs[job.request.id]
            self.send({"id": job.request.id, **answer})
        self._ended.set()

    def interrupt(self, signal_number: int, frame: FrameType | None) -> None:
        """Signal handler: breaks into the running job, if its cancelling has been asked for; otherwise nothing.

        Not in the middle of an import, after which the library could not be imported again; then the client's kill
        ends it.
        """
        job = self._current
        if job and self._interruptible and job.cancelled.is_set() and not _importing(frame):
            self._interruptible = False
            raise Cancelled

    # The reading thread

    def _read(self) -> None:
        splitter = LineSplitter()
        try:
            while chunk := os.read(self._source, 1 << 16):
                for line in splitter.feed(chunk):
                    if line is None or line.strip():
                        self._receive(line)
        except Exception:
            log.exception("stdin cannot be read any more")
        finally:
            self._client_gone()

    def _receive(self, line: bytes | None) -> None:
        try:
            request = parse_request(line)
            if request.method == "cancel":
                self._cancel(request.id)
            else:
                self._enqueue(request)
        except ProtocolError as error:
            log.warning("refused: %s", error.message)
            self.send({"id": error.id, "error": _error(error)})

    def _enqueue(self, request: Request) -> None:
        job = Running(request, self)
        with self._jobs_lock:
            if request.id in self._jobs:
                raise ProtocolError(
                    f"The id {request.id} is already in use."
                )  # answered without an id: this id is the other job's
            if len(self._jobs) >= MAX_QUEUE:
                raise ProtocolError("Too many jobs are waiting.", request.id)
            self._jobs[request.id] = job
        self._queue.put(job)

    def _cancel(self, request_id: int) -> None:
        with self._jobs_lock:
            job = self._jobs.get(request_id)
        if job:  # else it has just ended, and its answer is on the way
            job.cancelled.set()

    def _client_gone(self) -> None:
        """Stops the running job and ends the process, the hard way if the job does not listen. Nothing is
        left behind.
        """
        with self._jobs_lock:
            for job in self._jobs.values():
                job.abandoned = not job.cancelled.is_set()
                job.cancelled.set()
        self._queue.put(None)
        if not self._ended.wait(GRACE):
            current = self._current
            if current and current.staging:
                current.staging.discard()
        os._exit(0)

    # The main thread

    def _answer(self, job: Running) -> dict[str, Any]:
        method = job.request.method
        started = time.monotonic()
        try:
            if job.cancelled.is_set():
                raise Cancelled
            known = find(method)
            result = known.run(job, **known.checked(job.request.params))
            encode(result)  # what cannot be sent is this job's error, not a crash
            log.info("job %d: %s done in %.2f s", job.request.id, method, time.monotonic() - started)
            return {"result": result}
        except (Exception, KeyboardInterrupt, SystemExit) as raised:
            self._interruptible = False
            # An engine may turn our Cancelled into something else; what the user wanted is what counts.
            explained = explain(
                Cancelled() if job.cancelled.is_set() else raised, job.staging.out_dir if job.staging else None
            )
            log.info(
                "job %d: %s: %s: %s",
                job.request.id,
                method,
                explained.code,
                explained.message,
                exc_info=raised if explained.code == "internal" else None,
            )
            return {"error": _error(explained)}

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `Running.run`."""
        self._interruptible = True
        try:
            return function(*arguments)
        finally:
            self._interruptible = False

    def engines(self, kind: str) -> Engines:
        """All engines of a kind, found when they are first asked for."""
        if kind not in self._registries:
            self._registries[kind] = Engines(kind)
        return self._registries[kind]

    def send(self, message: dict[str, Any]) -> None:
        line = encode(message)
        # A client that does not read any more is noticed by the end of stdin.
        with self._sink_lock, contextlib.suppress(OSError):
            while line:
                line = line[os.write(self._sink, line) :]


def _importing(frame: FrameType | None) -> bool:
    while frame and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _error(error: BackendError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def claim_pipes() -> tuple[int, int]:
    """Takes stdin and stdout for the protocol: what libraries and their children print goes to stderr, and they read
    nothing.
    """
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (source, sink):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return source, sink


def die_with_parent() -> None:
    """On Linux asks the kernel to kill this process when its parent dies, even if it hangs in native code and misses
    the end of stdin.

    The kernel means the parent's thread that started us, so the client asks for it (AVATAR_FORGE_PARENT_PID) where
    that thread stays.
    """
    parent = os.environ.get(PARENT_VARIABLE)
    if sys.platform != "linux" or parent != str(os.getppid()):
        return
    pr_set_pdeathsig = 1  # <sys/prctl.h>
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    if str(os.getppid()) != parent:  # it died before the kernel knew
        os._exit(0)


def main() -> int:
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
    )
    faulthandler.enable()
    die_with_parent()
    worker = Worker(*claim_pipes())
    signal.signal(signal.SIGINT, worker.interrupt)
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, worker.interrupt)
    worker.serve()
    return 0
