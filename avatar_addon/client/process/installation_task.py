# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation of the backend, seen as a task, so that the same operator shell drives it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ...errors import AvatarError
from .installation import Installation
from .progress import HasProgress, Progress


class InstallationTask(HasProgress):
    """As tasks.Task. on_hello: called with what the installed backend says of itself."""

    def __init__(self, title: str, installation: Installation, on_hello: Callable[[dict[str, Any]], None]) -> None:
        self.title = title
        self._installation = installation
        self._on_hello = on_hello

    @property
    def progress(self) -> Progress:  # type: ignore[override]
        return self._installation.progress

    @property
    def error(self) -> AvatarError | None:
        return self._installation.error

    @property
    def result(self) -> dict[str, Any] | None:
        return self._installation.result

    @property
    def done(self) -> bool:
        return self._installation.done

    def poll(self) -> bool:
        was_done = self.done
        done = self._installation.poll()
        if done and not was_done and self.result:
            self._on_hello(self.result)
        return done

    def cancel(self) -> None:
        self._installation.cancel()

    def wait(self) -> dict[str, Any] | None:
        while not self.poll():
            time.sleep(0.05)
        if self.error:
            raise self.error
        return self.result
