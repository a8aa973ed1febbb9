# SPDX-License-Identifier: GPL-3.0-or-later
"""A child process that never blocks its owner: pipes are served by two threads and queues, as Windows cannot select()
on pipes.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

MAX_LINE = 1 << 24  # bytes; bounds the memory, no message is near it
INTERRUPT = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)  # Windows sends Ctrl-C to its own group only
Convert = Callable[[bytes], Any]


class Child:
    """Starts `command` in a process group of its own, so that a Ctrl-C in the terminal reaches only us and a kill
    reaches all of it.

    `convert` turns a line of stdout into what `events` returns (None to drop it); it runs in the reading thread.
    `errors` takes stderr: a file, or subprocess.STDOUT to read it as lines too. Raises OSError when the command
    cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        convert: Convert,
        errors: IO[bytes] | int,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=env,
            cwd=cwd,
            bufsize=0,
            **group,
        )
        self._convert = convert
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=target, daemon=True, name=f"avatar-forge-{target.__name__}")
            for target in (self._read, self._write)
        ]
        for thread in self._threads:
            thread.start()

    def send(self, line: bytes) -> None:
        """Queues `line` for the child's stdin; never blocks, and says nothing if the child is dead (see `gone`)."""
        self._outbox.put(line)

    def end_input(self) -> None:
        self._outbox.put(None)

    def events(self, limit: int = 100) -> list[Any]:
        """What has arrived since the last call, at most `limit`."""
        arrived: list[Any] = []
        with contextlib.suppress(queue.Empty):
            while len(arrived) < limit:
                arrived.append(self._events.get_nowait())
        return arrived

    def exit_status(self) -> int | None:
        """None while the process runs; negative: killed by that signal."""
        return self.process.poll()

    def drained(self) -> bool:
        """All that the child wrote has been returned by `events`."""
        return not self._threads[0].is_alive() and self._events.empty()

    def interrupt(self) -> None:
        """What Ctrl-C in a terminal does."""
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.process.send_signal(INTERRUPT)

    def kill(self) -> None:
        """Ends the process and its descendants at once; `exit_status` tells when it has happened."""
        if self.process.poll() is not None:
            return
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                kill_tree = ["taskkill", "/F", "/T", "/PID", str(self.process.pid)]
                subprocess.Popen(
                    kill_tree,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    creationflags=subprocess.CREATE_NO_WINDOW,
                )
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def close(self, grace: float = 1.0) -> None:
        """Ends stdin, waits up to `grace` seconds for the child to leave by itself, else kills it. No process and no
        thread remains.
        """
        self.end_input()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a process stuck in a driver cannot be waited for
                self.process.wait(5)
        self.end_input()
        for thread in self._threads:
            thread.join(3)  # told to end; only a busy machine makes it wait

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        with io.BufferedReader(stream) as reader:  # type: ignore[type-var]  # bufsize=0 makes it a FileIO
            while line := reader.readline(MAX_LINE):
                event = self._convert(line)
                if event is not None:
                    self._events.put(event)

    def _write(self) -> None:
        stream = self.process.stdin
        assert stream is not None
        with contextlib.suppress(OSError, ValueError), stream:
            while (line := self._outbox.get()) is not None:
                while line:
                    line = line[stream.write(line) or 0 :]
