# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket for MCP clients: its settings, who is connected, what was asked, the jobs."""

from __future__ import annotations

import time

import bpy
from bpy.types import Context, Panel, UILayout

from ..avatar_addon.client import session
from ..avatar_addon.remote import pump, python_code
from ..avatar_addon.remote.settings import MODES
from ..avatar_addon.remote.work import TABLE
from ..avatar_addon.ui.sentences import sentence
from ..avatar_addon.ui.translation import tr
from .sidebar import SidebarPanel

MOST_SHOWN = 5  # clients and jobs


class AVATARFORGE_PT_remote(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_remote"
    bl_label = "MCP Server"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, _context: Context) -> bool:
        return session.preferences() is not None

    def draw_header(self, _context: Context) -> None:
        if pump.current():
            self.layout.label(icon="LINKED")

    def draw(self, context: Context) -> None:
        layout, settings, running = self.layout, session.preferences().remote, pump.current()
        for asked in list(python_code.asking)[:1]:
            _draw_question(layout.box(), context, asked)
        row = layout.row()
        row.scale_y = 1.3
        if running:
            row.operator("avatar_forge.stop_remote", icon="CANCEL")
            sentence(layout, context, f"Clients on this computer connect to port {running.server.port}.", "LINKED")
        else:
            row.operator("avatar_forge.start_remote", icon="PLAY")
            sentence(
                layout,
                context,
                "Off. Start it to let VS Code and other MCP clients on this computer work in this Blender.",
                "INFO",
            )
            column = layout.column()
            column.use_property_split = True
            column.use_property_decorate = False
            column.prop(settings, "port")
            column.prop(settings, "token", placeholder="none")
            column.prop(settings, "folders", placeholder="the file's folder")
        column = layout.column(align=True)
        column.label(text="Python Code from Clients")
        column.row(align=True).prop(settings, "code", expand=True)
        sentence(column, context, MODES[settings.code], "ERROR" if settings.code == "on" else "NONE")
        if running:
            _draw_running(layout, context, running)
        layout.operator("avatar_forge.write_mcp_json", icon="FILE_TICK")


def _draw_question(layout: UILayout, context: Context, asked: python_code.Asked) -> None:
    left = max(0, round(asked.until - time.monotonic()))
    lines = asked.code.count("\n") + 1
    sentence(
        layout,
        context,
        f"A client wants to run code ({lines} lines). You have {left} seconds left to answer.",
        "QUESTION",
    )
    row = layout.row(align=True)
    row.operator("avatar_forge.answer_code", text="Review Code", icon="HIDE_OFF")
    row.operator("avatar_forge.refuse_code", text="Deny", icon="CANCEL")


def _draw_running(layout: UILayout, context: Context, running: pump.Pump) -> None:
    clients = running.server.clients
    column = layout.column(align=True)
    column.label(text="Clients" if clients else "No client is connected", icon="USER")
    for client in clients[:MOST_SHOWN]:
        since = time.strftime("%H:%M", time.localtime(client.since))
        text = (
            f"Since {since}, {client.asked} requests, last: {client.last}"
            if client.asked
            else f"Since {since}, no requests yet"
        )
        sentence(column, context, text, "DOT")
    if len(clients) > MOST_SHOWN:
        sentence(column, context, f"and {len(clients) - MOST_SHOWN} more", "DOT")
    if running.last:
        sentence(layout, context, f"Last command: {running.last}", "TIME")
    jobs = TABLE.active
    column = layout.column(align=True)
    for job in jobs[:MOST_SHOWN]:
        column.label(text=tr(job["title"]), icon="SORTTIME", translate=False)
        column.progress(factor=job["fraction"], text=tr(job.get("message", "")))
    if jobs:
        column.operator("avatar_forge.cancel", icon="CANCEL")
    if running.server.refused:
        sentence(layout.box(), context, f"Last denied: {running.server.refused}", "CANCEL")
    if python_code.recovery:
        sentence(
            layout.box(),
            context,
            f"Before the first code ran, the file was saved as {python_code.recovery.name}.",
            "RECOVER_LAST",
        )
        layout.operator("wm.path_open", text="Show the Folder", icon="FILE_FOLDER").filepath = str(
            python_code.recovery.parent
        )


register, unregister = bpy.utils.register_classes_factory((AVATARFORGE_PT_remote,))
