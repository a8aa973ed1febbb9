# SPDX-License-Identifier: GPL-3.0-or-later
"""The box "Models" of the preferences: which weights there are, under which licence, and what can be done with them."""

from __future__ import annotations

from typing import Any

import bpy

from ..client import engines, model_store
from ..ui.sentences import progress, sentence
from ..ui.translation import tr

OPERATIONS = (
    "Download Model",
    "Remove Model",
    "Use a Local Folder",
    "Stop Using This Folder",
    "Refresh",
)  # titles of tasks


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    task, rows = context.window_manager.avatar_forge, model_store.rows()
    row = layout.row()
    row.label(text="Models")
    row.operator("avatar_forge.refresh_models", text="", icon="FILE_REFRESH", emboss=False)
    if rows is None and not task.running:
        model_store.refresh_soon()
        layout.label(text="Asking the backend", icon="TIME")
    for entry in rows or model_store.last():
        _draw_model(layout.box(), context, entry)
    if task.error and task.title in OPERATIONS:
        sentence(layout.box(), context, task.error, "ERROR")


def _draw_model(box: bpy.types.UILayout, context: bpy.types.Context, entry: dict[str, Any]) -> None:
    name, task = entry["name"], context.window_manager.avatar_forge
    box.label(text=entry["label"], icon="CHECKMARK" if entry["installed"] else "RADIOBUT_OFF")
    box.label(text=tr(f"{entry['size'] / 1e9:.1f} GB, licence {entry['licence']}"), icon="BLANK1")
    state, icon = state_of(entry)
    sentence(box, context, state, icon)
    if task.running and model_store.busy() == name:
        progress(box, task, "Cancel")
        return
    if not entry["installed"]:
        for address in entry.get("terms", []):
            box.operator("wm.url_open", text="Read the Licence", icon="URL").url = address
    buttons = box.row()
    if entry["own"]:
        buttons.operator("avatar_forge.forget_model_folder", icon="LOOP_BACK").model = name
    elif entry["installed"]:
        buttons.operator("avatar_forge.remove_model", text="Remove", icon="TRASH").model = name
    else:
        text = "Continue" if entry["state"] == "incomplete" else "Download"
        buttons.operator("avatar_forge.download_model", text=text, icon="IMPORT").model = name
        if entry["state"] == "incomplete":
            buttons.operator("avatar_forge.remove_model", text="Remove", icon="TRASH").model = name
    buttons.operator("avatar_forge.use_model_folder", icon="FILE_FOLDER").model = name


def state_of(entry: dict[str, Any]) -> tuple[str, str]:
    """One sentence on a model's row, and its icon."""
    engine = next(filter(None, (engines.unavailable(*name.split(".", 1)) for name in entry["engines"])), "")
    if entry["installed"] and engine:  # the weights are there, something else is not
        return engine, "ERROR"
    if entry["own"]:
        return entry["reason"] or f"Uses your own folder {entry['folder']}.", "ERROR" if entry[
            "reason"
        ] else "FILE_FOLDER"
    if entry["installed"]:
        return f"Ready in {entry['folder']}.", "BLANK1"
    if entry["state"] == "damaged":
        return entry["reason"], "ERROR"
    if entry["state"] == "incomplete":
        return f"Not complete: {entry['bytes'] / 1e9:.2f} GB downloaded.", "INFO"
    return "Not downloaded.", "BLANK1"
