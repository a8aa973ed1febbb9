# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the socket's commands on Blender's main thread: from a timer in the window, from a loop headless.

A tick takes several commands, one after the other and clients by turns, for a time that leaves the window usable.
After a reply it stays a moment, because a client's next command mostly comes at once.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import bpy

from ..errors import AvatarError
from . import (
    api_commands,
    avatar_commands,
    avatar_jobs,
    changes,
    generation,
    python_code,
    scene_commands,
    viewport_commands,
    work,
)
from .protocol import registry
from .protocol.registry import Later, Refusal
from .protocol.server import ClientRequest, Server

TICK = 0.012  # seconds of one tick, the last command's excess aside
LINGER = 0.004  # seconds that a tick waits for the next command
AT_ONCE = 0.1  # seconds after a command during which its client's next one is waited for
LIVELY = 2.0  # seconds after a command during which ticks follow one another closely
PAUSES = {
    "lively": 0.0,
    "jobs": 0.005,
    "quiet": 0.02,
}  # seconds between ticks; Blender itself sleeps 5 ms when nothing happens
JOB_PAUSE = 0.02  # seconds between looks at the running job
SHOWN_PAUSE = 0.3  # seconds between redraws of the panel
HOLD_SECONDS = 30.0  # that a command waits for the end of what the user is doing
# Tools that the mouse is moving: changing the file below them ends Blender.
HELD_BY = (
    "TRANSFORM_OT_",
    "MESH_OT_",
    "SCULPT_OT_",
    "PAINT_OT_",
    "GREASE_PENCIL_OT_",
    "CURVE_OT_",
    "ARMATURE_OT_",
    "OBJECT_OT_",
)

COMMAND_MODULES = (
    api_commands,
    scene_commands,
    viewport_commands,
    python_code,
    generation,
    avatar_commands,
    avatar_jobs,
)  # importing them declares their commands


@dataclass
class _Waiting:
    request: ClientRequest
    later: Later


class Pump:
    """The server's main-thread side."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.last = ""  # the command that ran last
        self.slowest = 0.0  # seconds of the longest command
        self._waiting: list[_Waiting] = []
        self._last_command = 0.0
        self._jobs_at = self._shown_at = 0.0
        self._jobs = False  # one runs or waits
        self._shown: tuple | None = None

    def tick(self, linger: float = 0.0) -> float:
        """One turn; returns the seconds until the next one. linger: seconds to wait for a first command."""
        try:
            return self._turn(linger)
        except Exception:  # a fault of ours must not end the timer, and with it every answer
            traceback.print_exc()
            return PAUSES["quiet"]

    def _turn(self, linger: float) -> float:
        began = time.monotonic()
        if self._waiting:
            self._look_at_waiting()
        if began - self._jobs_at >= JOB_PAUSE:
            self._jobs_at = began
            self._jobs = work.TABLE.tick()
        if began - self._last_command < AT_ONCE:
            linger = max(linger, LINGER)
        while request := self.server.take(linger):
            self._begin(request)
            self.server.rest()
            self._last_command = now = time.monotonic()
            linger = min(LINGER, began + TICK - now)
            if linger <= 0.0:
                break
        if began - self._last_command < LIVELY:
            return PAUSES["lively"]
        return PAUSES["jobs" if self._jobs else "quiet"]

    def stop(self) -> None:
        for waiting in self._waiting:
            waiting.later.abandon()
        self._waiting.clear()
        self.server.stop()

    def show(self, redraw: Callable[[], None]) -> None:
        """Calls `redraw` when the panel has something else to show, but not all the time."""
        now = time.monotonic()
        if now - self._shown_at < SHOWN_PAUSE:
            return
        left = [int(asked.until - now) for asked in python_code.asking]
        shown = self.server.changes, self.last, left, python_code.recovery
        if shown != self._shown:
            self._shown, self._shown_at = shown, now
            redraw()

    def _begin(self, request: ClientRequest) -> None:
        if request.gone:
            return
        if _mutates(request) and (tool := _tool_in_use()):
            until = time.monotonic() + HOLD_SECONDS
            self._waiting.append(_Waiting(request, Later(lambda: self._held(request, until, tool))))
            return
        self._run(request, lambda: registry.answer(request.message))

    def _held(self, request: ClientRequest, until: float, tool: str) -> dict | Later | None:
        if _tool_in_use() is None:
            return registry.answer(request.message)
        if time.monotonic() < until:
            return None
        return registry.failure(
            f"The user is in the middle of something in Blender ({tool}); ask again when that is done."
        )

    def _look_at_waiting(self) -> None:
        for waiting in list(self._waiting):
            self._waiting.remove(waiting)
            if waiting.request.gone:
                waiting.later.abandon()
            else:
                self._run(waiting.request, waiting.later.poll, waiting)

    def _run(
        self, request: ClientRequest, act: Callable[[], dict | Later | None], waiting: _Waiting | None = None
    ) -> None:
        """act: gives the envelope, a `Later`, or None when `waiting` goes on."""
        mutates = _mutates(request)
        began = time.perf_counter()
        with _in_window():
            before = changes.count() if mutates else 0
            sizes = changes.sizes() if _looks(request) else ()
            envelope = _safely(act)
            if envelope is None and waiting:
                self._waiting.append(waiting)
                return
            if isinstance(envelope, Later):
                self._waiting.append(_Waiting(request, envelope))
                return
            self.server.reply(request, registry.encode(envelope or {}))
            changed = mutates and changes.count() != before and not (sizes and sizes == changes.sizes())
            if changed and not bpy.app.background:
                with contextlib.suppress(RuntimeError):
                    bpy.ops.ed.undo_push(message=f"MCP: {request.name}")
        self.last = request.name
        self.slowest = max(self.slowest, time.perf_counter() - began)


def _safely(act: Callable[[], dict | Later | None]) -> dict | Later | None:
    try:
        return act()
    except (Refusal, AvatarError) as problem:
        return registry.failure(str(problem))
    except (Exception, SystemExit) as problem:
        traceback.print_exc()
        return registry.failure(
            f"An unexpected error occurred ({type(problem).__name__}: {problem}); see Blender's console."
        )


def _mutates(request: ClientRequest) -> bool:
    known = registry.COMMANDS.get(request.name)
    return known is not None and known.mutates


def _looks(request: ClientRequest) -> bool:
    """A server's own observation: it turns things over to look at them, and puts them back."""
    params = request.message.get("params")
    code = params.get("code") if request.name == "execute_code" and isinstance(params, dict) else None
    return isinstance(code, str) and python_code.is_observation(code)


def _tool_in_use() -> str | None:
    """The tool that the user is using with the mouse just now."""
    if bpy.app.background:
        return None
    for window in bpy.context.window_manager.windows:
        for operator in window.modal_operators:
            if operator.bl_idname.startswith(HELD_BY):
                return operator.name
    return None


def _in_window():
    """What a user's script would have around it: a window and its largest 3D viewport. Timers have neither."""
    found = viewport_commands.find_viewport()
    if found is None:
        return contextlib.nullcontext()
    window, area, region = found
    return bpy.context.temp_override(window=window, area=area, region=region)


_pump: Pump | None = None


def current() -> Pump | None:
    """The running one."""
    return _pump


def start(port: int, mode: str, token: str = "") -> Pump:
    """Listens on 127.0.0.1. Raises AvatarError where the port cannot be had. In a window the timer runs it; headless
    call `tick`.
    """
    global _pump
    stop()
    server = Server(port, token=token, interrupt=python_code.interrupt)
    server.start()
    python_code.start(mode)
    changes.watch()
    _pump = Pump(server)
    if not bpy.app.background:
        bpy.app.timers.register(_tick, first_interval=0.0, persistent=True)
    return _pump


def stop() -> None:
    global _pump
    if _pump:
        pump, _pump = _pump, None
        pump.stop()
        changes.unwatch()
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)


def _tick() -> float | None:
    pump = _pump
    if pump is None:
        return None
    pause = pump.tick()
    if _pump is not pump:  # a command has stopped it
        return None if _pump is None else 0.0
    pump.show(redraw)
    return pause


def redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI" and region.width > 1 and region.active_panel_category == "Avatar":
                        region.tag_redraw()


def unregister() -> None:
    """Stops everything; may be called twice."""
    stop()
    work.TABLE.stop()
    generation.forget_all()
