# SPDX-License-Identifier: GPL-3.0-or-later
"""Python that a client sends: off, asked for, or on. It runs on the main thread and can do what Blender can do."""

from __future__ import annotations

import ast
import contextlib
import ctypes
import io
import json
import linecache
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from ..client import session
from . import changes
from .protocol.registry import Later, Refusal, command, failure, success

ANSWER_SECONDS = 45.0
FILENAME = "<code>"  # in tracebacks
OUTPUT = 900_000  # characters of a reply's output, as JSON; of more, both ends
MOST_PRINTED = 20_000_000
ENDS = 35_000  # characters of each end
KEPT_COPIES = 5
OBSERVATION = "__MCP_RESULT__"  # the servers' own scripts that look at the scene print a line with it
OFF = (
    "Running code is disabled in Blender. The user can allow it in the 3D Viewport's sidebar, tab Avatar,"
    " panel MCP Server: 'Ask' or 'On' under 'Python Code from Clients'."
)
REFUSED = "The user has reviewed this code in Blender and denied it; ask the user what to do instead."
UNANSWERED = (
    "The user has not answered in Blender whether this code may run; ask the user to look at Blender, then send it"
    " again."
)
HEADLESS = (
    "Code that needs the user's permission is denied in a Blender without a window; start serve.py with"
    " --code on to allow it."
)

mode = "off"
recovery: Path | None = None  # the copy that was saved before the first code
asking: deque[Asked] = deque()  # the first one is shown
allowed: set[str] = (
    set()
)  # observations that the user has run: mcp-for-blender looks with the same script again and again


@dataclass
class Asked:
    """Code that waits for the user. verdict: True runs it, False refuses it."""

    code: str
    until: float
    verdict: bool | None = None
    opened: bool = False
    seen: float = 0.0  # time.monotonic() when its popup was on the screen

    def __hash__(self) -> int:
        return id(self)


def start(setting: str) -> None:
    """Before the first command; setting: one of settings.MODES."""
    global mode, recovery
    mode, recovery = setting, None
    asking.clear()
    allowed.clear()


def set_mode(setting: str) -> None:
    global mode
    mode = setting


@command("execute_code", mutates=True)
def execute_code(code: str | None = None) -> Any:
    """Runs Python. Result: executed, result (what it printed). A fault is a JSON object: exception_type, message,
    traceback.
    """
    if code is None:
        raise Refusal("execute_code needs the code, as text.")
    if mode == "off":
        raise Refusal(OFF)
    if mode == "on" or code in allowed:
        return _as_result(run(code))
    if bpy.app.background:
        raise Refusal(HEADLESS)
    asked = Asked(code, time.monotonic() + ANSWER_SECONDS)
    asking.append(asked)
    return Later(lambda: _look(asked), lambda: _forget(asked))


def _as_result(envelope: dict) -> Any:
    if envelope["status"] == "error":
        raise Refusal(envelope["message"])
    return envelope["result"]


def _look(asked: Asked) -> dict | None:
    """Once a tick: the answer if there is one; shows the popup when it is this code's turn."""
    if asked.verdict is None and mode != "ask":  # the setting was changed meanwhile
        asked.verdict = mode == "on"
    if asked.verdict is None and time.monotonic() < asked.until:
        if asked.opened:
            asked.seen = asked.seen or time.monotonic()
        elif asking[0] is asked:
            asked.opened = True
            bpy.ops.avatar_forge.answer_code("INVOKE_DEFAULT")
        return None
    _forget(asked)
    if asked.verdict is None:
        return failure(UNANSWERED)
    if asked.verdict and is_observation(asked.code):
        allowed.add(asked.code)
    return run(asked.code) if asked.verdict else failure(REFUSED)


def is_observation(code: str) -> bool:
    return OBSERVATION in code


def _forget(asked: Asked) -> None:
    with contextlib.suppress(ValueError):
        asking.remove(asked)


# -- running
# --------------------------------------------------------------------------------------------------------------------


class _Output(io.TextIOBase):
    """Takes what the main thread prints; what other threads print goes where it always went."""

    def __init__(self, other) -> None:
        self._other, self._text, self._size = other, io.StringIO(), 0

    def write(self, text: str) -> int:
        if threading.current_thread() is not threading.main_thread():
            return self._other.write(text) if self._other else len(text)
        self._size += len(text)
        if self._size > MOST_PRINTED:
            raise RuntimeError(f"the code printed more than {MOST_PRINTED} characters and was stopped")
        return self._text.write(text)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        if self._other:
            self._other.flush()

    def text(self) -> str:
        return self._text.getvalue()


def run(code: str) -> dict:
    """The envelope. Whatever the code raises ends here, SystemExit and KeyboardInterrupt as well."""
    _save_recovery_copy()
    output = _Output(sys.stdout)
    linecache.cache[FILENAME] = (len(code), None, code.splitlines(keepends=True), FILENAME)
    try:
        with contextlib.redirect_stdout(output):
            compiled = compile(code, FILENAME, "exec", dont_inherit=True)
            if _may_write_silently(code):
                changes.note()
            with _interruptible:
                exec(compiled, {"__name__": "__main__", "__builtins__": __builtins__, "bpy": bpy})
    except SystemExit as leaving:
        if leaving.code not in (None, 0):
            return failure(_report(leaving, output.text()))
    except BaseException as problem:
        return failure(_report(problem, output.text()))
    finally:
        _interruptible.leave()
    return success({"executed": True, "result": _shorten(output.text())})


def _may_write_silently(code: str) -> bool:
    """Custom properties are set without Blender telling of it; they are set by subscript. Expects code that
    compiles.
    """
    if is_observation(code):
        return False
    return any(
        isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load) for node in ast.walk(ast.parse(code))
    )


def _report(problem: BaseException, printed: str) -> str:
    """The fault as the servers read it: JSON with exception_type, message, traceback. What was printed before it
    comes along.
    """
    trace = problem.__traceback__
    while trace and trace.tb_frame.f_code.co_filename != FILENAME:
        trace = trace.tb_next
    try:
        lines = traceback.format_exception(type(problem), problem, trace)
        message = str(problem)
    except Exception as worse:  # of an exception class of the code's own
        lines, message = [], f"(its text cannot be shown: {worse})"
    said = {
        "exception_type": type(problem).__name__,
        "message": _shorten(message),
        "traceback": _shorten("".join(lines)),
    }
    return json.dumps(said | ({"stdout": _shorten(printed)} if printed else {}))


def _shorten(text: str) -> str:
    if len(text) <= OUTPUT // 12 or len(json.dumps(text)) <= OUTPUT:
        return text
    return f"{text[:ENDS]}\n... {len(text) - 2 * ENDS} characters left out ...\n{text[-ENDS:]}"


def _save_recovery_copy() -> None:
    """Before the first code since the start. Raises Refusal where it cannot be saved."""
    global recovery
    if recovery is not None:
        return
    folder = session.user_folder("recovery")
    name = Path(bpy.data.filepath).stem or "unsaved"
    path = folder / f"{time.strftime('%Y-%m-%d %H-%M-%S')} {name}.blend"
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, check_existing=False)
    except RuntimeError as problem:
        raise Refusal(
            f"The file could not be saved to {path} before running code ({problem}); free some space and try again."
        ) from None
    recovery = path
    print(f"Avatar Forge: before running the first code from a client, this file was saved as {path}")
    for old in sorted(folder.glob("*.blend"))[:-KEPT_COPIES]:
        with contextlib.suppress(OSError):
            old.unlink()


# -- ending code that nobody waits for
# ------------------------------------------------------------------------------------------------


class Abandoned(BaseException):
    """Raised in code whose client has gone; no `except Exception` of the code's own catches it."""

    def __str__(self) -> str:
        return "The code was stopped: its client has gone, or Blender ends."


@dataclass
class _Interruptible:
    """While entered, `interrupt` raises Abandoned in the code, at its next line of Python."""

    _lock: Any = field(default_factory=threading.RLock)  # a signal may come while it is held
    _thread: int | None = None
    _raised: bool = False

    def __enter__(self) -> None:
        with self._lock:
            self._thread, self._raised = threading.get_ident(), False

    def __exit__(self, *_exception) -> None:
        self.leave()

    def leave(self) -> None:
        """Again after an exception that came while leaving."""
        with self._lock:
            if self._raised and self._thread is not None:  # it may not have come yet, and must not come later
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), None)
            self._thread = None

    def interrupt(self) -> None:
        with self._lock:
            if self._thread is not None:
                self._raised = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(Abandoned))


_interruptible = _Interruptible()
interrupt = _interruptible.interrupt
