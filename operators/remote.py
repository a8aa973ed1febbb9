# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket for MCP clients: start, stop, and the question whether a client's code may run."""

from __future__ import annotations

import textwrap
import time

import bpy
from bpy.props import IntProperty
from bpy.types import Context, Event, Operator

from ..avatar_addon.client import session
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.remote import pump, python_code
from ..avatar_addon.remote.protocol.server import free_port
from ..avatar_addon.ui.sentences import sentence
from ..avatar_addon.ui.translation import tr

DIALOG_WIDTH = 640  # pixels
LINE_LETTERS = 92  # that fit into it
PORT_DIALOG_WIDTH = 420
PAGE_LINES = 28
TOO_SOON = 1.0  # seconds after it appears in which a press cannot have been meant for the popup


class AVATARFORGE_OT_start_remote(Operator):
    bl_idname = "avatar_forge.start_remote"
    bl_label = "Start"
    bl_description = (
        "Let MCP clients on this computer, such as VS Code and Claude, work in this Blender through"
        " BlenderMCP's or Avatar Forge's server"
    )

    @classmethod
    def poll(cls, _context: Context) -> bool:
        if pump.current():
            cls.poll_message_set("The server is already running")
            return False
        return True

    def execute(self, _context: Context) -> set[str]:
        settings = session.preferences().remote
        try:
            pump.start(settings.port, settings.code, settings.token)
        except AvatarError as error:
            if error.code == "port_taken" and not bpy.app.background and (free := free_port(settings.port)):
                bpy.ops.avatar_forge.use_free_port("INVOKE_DEFAULT", port=free, taken=settings.port)
            else:
                self.report({"ERROR"}, tr(str(error)))
            return {"CANCELLED"}
        pump.redraw()
        return {"FINISHED"}


class AVATARFORGE_OT_use_free_port(Operator):
    bl_idname = "avatar_forge.use_free_port"
    bl_label = "Use Another Port"
    bl_description = "Save this port in the preferences and start the server there"
    bl_options = {"INTERNAL"}

    port: IntProperty(options={"HIDDEN", "SKIP_SAVE"})
    taken: IntProperty(options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: Context, _event: Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self, width=PORT_DIALOG_WIDTH)

    def draw(self, context: Context) -> None:
        column = self.layout.column()
        text = f"Port {self.taken} is already in use, probably by Blender's own MCP add-on. Port {self.port} is free."
        sentence(column, context, text, "ERROR", PORT_DIALOG_WIDTH)
        text = "OK uses it. Then press Set Up VS Code again, so that clients use it too."
        sentence(column, context, text, "BLANK1", PORT_DIALOG_WIDTH)

    def execute(self, _context: Context) -> set[str]:
        session.preferences().remote.port = self.port
        return bpy.ops.avatar_forge.start_remote()


class AVATARFORGE_OT_stop_remote(Operator):
    bl_idname = "avatar_forge.stop_remote"
    bl_label = "Stop"
    bl_description = "Close the connections to all clients. A running job continues"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        if not pump.current():
            cls.poll_message_set("The server is not running")
            return False
        return True

    def execute(self, _context: Context) -> set[str]:
        pump.stop()
        pump.redraw()
        return {"FINISHED"}


class AVATARFORGE_OT_answer_code(Operator):
    """As a popup it shows the code of a client that waits; confirming runs it, everything else refuses."""

    bl_idname = "avatar_forge.answer_code"
    bl_label = "Run Code from a Client"
    bl_description = "Show the code that a client wants to run in Blender"
    bl_options = {"INTERNAL"}

    page: IntProperty(name="Page", default=1, min=1, options={"SKIP_SAVE"})

    _asked: python_code.Asked | None = None

    @classmethod
    def poll(cls, _context: Context) -> bool:
        if not python_code.asking:
            cls.poll_message_set("No client is asking to run code")
            return False
        return True

    def invoke(self, context: Context, _event: Event) -> set[str]:
        self._asked = python_code.asking[0]
        return context.window_manager.invoke_props_dialog(
            self, width=DIALOG_WIDTH, title="A client wants to run this code", confirm_text="Run", cancel_default=True
        )

    def draw(self, _context: Context) -> None:
        layout = self.layout
        assert self._asked
        lines = _lines(self._asked.code)
        pages = max(1, -(-len(lines) // PAGE_LINES))
        page = min(self.page, pages)
        column = layout.box().column(align=True)
        column.scale_y = 0.75
        for line in lines[(page - 1) * PAGE_LINES : page * PAGE_LINES]:
            column.label(text=line, translate=False)
        if pages > 1:
            row = layout.row()
            row.label(text=f"Page {page} of {pages}, {len(lines)} lines; read all of them", icon="ERROR")
            row.prop(self, "page")
        if python_code.is_observation(self._asked.code):
            layout.label(
                text="This script inspects the scene. Once you have run it, the same script runs without asking.",
                icon="HIDE_OFF",
            )
        layout.label(text="It can do anything that you can do on this computer. Cancel denies it.", icon="INFO")

    def execute(self, _context: Context) -> set[str]:
        asked = self._asked
        if asked not in python_code.asking:
            self.report({"WARNING"}, tr("Too late: the client was told that nobody answered. The code was not run."))
            return {"CANCELLED"}
        if not asked.seen or time.monotonic() - asked.seen < TOO_SOON:
            asked.opened, asked.seen = False, 0.0  # opened again: the press was meant for something else
            return {"CANCELLED"}
        asked.verdict = True
        return {"FINISHED"}

    def cancel(self, _context: Context) -> None:
        if self._asked in python_code.asking:
            self._asked.verdict = False


class AVATARFORGE_OT_refuse_code(Operator):
    bl_idname = "avatar_forge.refuse_code"
    bl_label = "Deny Code"
    bl_description = "Tell the client that you do not allow its code to run"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Context) -> bool:
        if not python_code.asking:
            cls.poll_message_set("No client is asking to run code")
            return False
        return True

    def execute(self, _context: Context) -> set[str]:
        python_code.asking[0].verdict = False
        return {"FINISHED"}


def _lines(code: str) -> list[str]:
    return [part for line in code.expandtabs(4).splitlines() for part in _wrapped(line)]


def _wrapped(line: str) -> list[str]:
    parts = textwrap.wrap(line, LINE_LETTERS, drop_whitespace=False, replace_whitespace=False, subsequent_indent="    ")
    return parts or [" "]


CLASSES = (
    AVATARFORGE_OT_start_remote,
    AVATARFORGE_OT_use_free_port,
    AVATARFORGE_OT_stop_remote,
    AVATARFORGE_OT_answer_code,
    AVATARFORGE_OT_refuse_code,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    pump.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
