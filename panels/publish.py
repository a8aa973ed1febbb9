# SPDX-License-Identifier: GPL-3.0-or-later
"""The last panel: what the checks say, the bucket, the frontend's lists, the run."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel, UILayout

from ..avatar_addon.avatar import scene
from ..avatar_addon.publish import steps
from ..avatar_addon.ui.sentences import fits, progress, sentence
from ..avatar_addon.ui.translation import tr, tr_figure
from ..operators.publish import FIXES, TASKS
from .sidebar import RiggedAvatarPanel, SidebarPanel

ICONS = {"PASS": "CHECKMARK", "WARN": "ERROR", "FAIL": "CANCEL"}
WORDS = {"FAIL": "failed", "WARN": "to check", "PASS": "passed"}  # the worst first
ON_WEIGHTS = (
    "leaks",
    "strays",
    "follow",
    "head_turns",
    "stretch",
    "seams",
    "weights",
    "influences",
)  # the weights' panel shows where
SIGNS = {"+": "ADD", "-": "REMOVE"}


class AVATARFORGE_PT_publish(RiggedAvatarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_publish"
    bl_label = "Publish"

    def draw_header(self, context: Context) -> None:
        if _failed(scene.find_avatar(context).record):  # the panel is closed until it is wanted
            self.layout.label(icon=ICONS["FAIL"])

    def draw(self, context: Context) -> None:
        avatar = scene.find_avatar(context)
        record, settings = avatar.record, context.scene.avatar_forge
        layout = self.layout
        state = context.window_manager.avatar_forge
        if state.title in TASKS and state.running:  # the first panel shows every task, but may be closed
            progress(layout, state)
        else:
            layout.operator("avatar_forge.check", icon="VIEWZOOM")
        if state.title in TASKS and state.error:
            sentence(layout.box(), context, state.error, "ERROR")
        _draw_card(layout, context, record)
        layout.separator()
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "publish_name", placeholder=avatar.name)
        if _failed(record):
            column.prop(settings, "override", placeholder="required to promote")
        target = steps.Target.from_preferences()
        row = layout.row(align=True)
        row.scale_y = 1.3
        row.operator(
            "avatar_forge.promote",
            icon="EXPORT",
            text=tr(f"Promote to '{target.bucket}'" if target.bucket else "Promote"),
        )
        row.operator("avatar_forge.set_up_publishing", text="", icon="PREFERENCES")
        if record.promoted_key:
            row = layout.row(align=True)
            row.label(text=record.promoted_key, icon="CHECKMARK", translate=False)
            row.operator("avatar_forge.copy_address", text="", icon="COPYDOWN")
        layout.operator("avatar_forge.open_run", icon="URL")


class AVATARFORGE_PT_register(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_register"
    bl_parent_id = "AVATARFORGE_PT_publish"
    bl_label = "Lists of Allowed Models"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.avatar_forge
        row = layout.row(align=True)
        row.operator("avatar_forge.register", text="Show Changes", icon="HIDE_OFF").apply = False
        row.operator("avatar_forge.register", text="Apply Changes", icon="FILE_TICK").apply = True
        if settings.diff:
            _draw_diff(layout.box(), context, settings.diff)


def _draw_diff(layout: UILayout, context: Context, diff: str) -> None:
    """The lines that come and go, below the name of their file; what stays is left out, and long lines are broken."""
    column = layout.column(align=True)
    for line in diff.splitlines():
        if line.startswith("+++ "):
            column.label(text=line.rpartition("/")[2], icon="FILE_TEXT", translate=False)
        elif line[:1] in SIGNS and not line.startswith("--- "):
            sentence(column, context, line[1:].strip(), SIGNS[line[0]])


def _failed(record) -> bool:
    return any(check.status == "FAIL" for check in record.checks)


def _draw_card(layout: UILayout, context: Context, record) -> None:
    """The counts, every check that is not in order, and the chosen one in words with the button that fixes it."""
    checks = record.checks
    if not checks:
        sentence(layout, context, "Not checked yet.", "INFO")
        return
    counts = {status: sum(check.status == status for check in checks) for status in WORDS}
    text = ", ".join(f"{count} {tr(WORDS[status])}" for status, count in counts.items() if count)
    layout.label(text=text, icon=ICONS[next(status for status, count in counts.items() if count)], translate=False)
    if record.card_outdated:
        sentence(layout, context, "The avatar has changed since this check; check it again.", "INFO")
    column = layout.column(align=True)
    wrong = [
        (index, check) for status in ("FAIL", "WARN") for index, check in enumerate(checks) if check.status == status
    ]
    for index, check in wrong:
        chosen = index == record.shown_check
        row = column.row(align=True)
        row.alert = check.status == "FAIL" and not chosen  # red and pressed would be neither
        figure = tr_figure(check.figure)
        text = f"{tr(check.title)}: {figure}"
        whole = fits(context, text)  # else the figure is among the words below
        row.operator(
            "avatar_forge.explain_check",
            text=text if whole else tr(check.title),
            icon=ICONS[check.status],
            depress=chosen,
            translate=False,
        ).index = index
        if chosen:
            box = column.box()
            if not whole:
                sentence(box, context, figure)
            sentence(box, context, f"{tr(check.meaning[:1].upper() + check.meaning[1:] + '.')} {tr(check.fix)}")
            if check.name in ON_WEIGHTS:
                box.operator("avatar_forge.find_places")
            if check.step in FIXES:
                operator, text = FIXES[check.step]
                box.operator(operator, text=text)


CLASSES = (AVATARFORGE_PT_publish, AVATARFORGE_PT_register)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
