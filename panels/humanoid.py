# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid bones of the selected armature: what was found, each bone with its state, and what corrects it."""

from __future__ import annotations

import bpy
from bpy.types import Context, Object, Panel, UILayout

from ..avatar_addon.humanoid import bones
from ..avatar_addon.humanoid.matching.assignment import GROUP_OF, GROUPS, BoneState, Finding, label, part_label, side_of
from ..avatar_addon.ui.sentences import sentence
from ..avatar_addon.ui.translation import tr
from ..avatar_addon.vrm.addon import is_available
from .sidebar import SidebarPanel

ICONS = {
    "assigned": "CHECKMARK",
    "unsure": "QUESTION",
    "missing": "ERROR",
    "optional": "RADIOBUT_OFF",
    "order": "SORT_DESC",
    "twice": "DUPLICATE",
    "gone": "CANCEL",
}
LOOK = {"": "CHECKMARK", "unsure": "QUESTION"}  # of several bones together; all else is wrong
SIDES = {"left": "Left", "right": "Right"}
NAMES = {False: 0.44, True: 0.37}  # of the width, for names with their side and without


class AVATARFORGE_PT_humanoid(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_humanoid"
    bl_label = "Humanoid Bones"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return bones.find_armature(context) is not None

    def draw_header(self, context: Context) -> None:
        _, worst = bones.snapshot(bones.find_armature(context)).summary
        if worst:
            self.layout.label(icon=LOOK.get(worst, "ERROR"))

    def draw(self, context: Context) -> None:
        layout, armature = self.layout, bones.find_armature(context)
        view = context.window_manager.avatar_forge.bones
        row = layout.row(align=True)
        row.operator("avatar_forge.find_bones", icon="VIEWZOOM")
        row.prop(view, "overlay", text="", icon="HIDE_OFF" if view.overlay else "HIDE_ON")
        shown = bones.snapshot(armature)
        if shown.finding:
            _draw_finding(layout, context, shown.finding)
        if not is_available():
            sentence(layout, context, "Find Bones enables the VRM Add-on, which stores the bones.", "INFO")
            return
        text, worst = shown.summary
        sentence(layout, context, text, LOOK.get(worst, "ERROR"))
        if shown.unsure > 1:
            layout.operator(
                "avatar_forge.confirm_bones", text=tr(f"Confirm All {shown.unsure} Uncertain Bones"), icon="CHECKMARK"
            ).name = ""
        row = layout.row(align=True)
        row.operator("avatar_forge.mirror_bones", text="Mirror Left to Right", icon="MOD_MIRROR").side = "left"
        row.operator("avatar_forge.mirror_bones", text="", icon="LOOP_BACK").side = "right"
        active = armature.data.bones.active
        chosen = active.name if active else None
        column = layout.column()
        column.enabled = armature.mode != "EDIT"
        with bones.drawing(armature, shown):
            for group, names in GROUPS.items():
                assigned, worst = shown.groups[group]
                header, body = column.panel_prop(view, bones.SHOWN[group])
                icon = LOOK.get(worst, "ERROR") if assigned or worst else ICONS["optional"]
                header.label(text=f"{tr(group)}  {assigned}/{len(names)}", icon=icon, translate=False)
                if body:
                    _draw_rows(
                        body.column(align=True), context, armature, [shown.states[name] for name in names], chosen
                    )


def _draw_finding(layout: UILayout, context: Context, finding: Finding) -> None:
    """What the matcher said: how sure, why, and what to look at."""
    if not finding.humanoid:
        box = layout.box()
        sentence(box, context, finding.reason, "ERROR")
        sentence(box, context, "The bones can still be assigned by hand below.")
        return
    sentence(layout, context, f"{tr(finding.reason)} {tr(f'Confidence: {finding.confidence:.0%}.')}", "INFO")
    for doubt in finding.doubts:
        sentence(layout, context, doubt, "QUESTION")


def _draw_rows(
    column: UILayout, context: Context, armature: Object, states: list[BoneState], chosen: str | None
) -> None:
    sided = len({side_of(state.name) for state in states}) == 2 and len(states) > 2  # both sides, and nothing else
    short = sided or "Fingers" in GROUP_OF[states[0].name]
    side, rows = "", None
    for state in states:
        if sided and side_of(state.name) != side:
            side = side_of(state.name)
            column.label(text=SIDES[side])
            rows = None
        rows = rows or _Rows(column, armature, NAMES[short])
        rows.draw(state, part_label(state.name) if short else label(state.name))
        if state.bone and state.bone == chosen and state.reason:
            sentence(column.box(), context, state.reason)
            rows = None


class _Rows:
    """Two columns: states and names, fields and buttons. One split for all of them, since Blender draws the panel at
    every movement.
    """

    def __init__(self, column: UILayout, armature: Object, factor: float) -> None:
        split = column.split(factor=factor, align=True)
        self._left, self._right = split.column(align=True), split.column(align=True)
        self._bones, self._data = armature.data.avatar_forge, armature.data

    def draw(self, state: BoneState, text: str) -> None:
        """State and name, which select the bone; the field; the eyedropper."""
        name = self._left.row(align=True)
        name.alignment = "LEFT"
        if state.kind == "optional":
            name.active = False
        name.operator("avatar_forge.select_bone", text=text, icon=ICONS[state.kind], emboss=False).name = state.name
        field = self._right.row(align=True)
        field.prop_search(self._bones, bones.ATTRIBUTES[state.name], self._data, "bones", text="")
        field.operator("avatar_forge.pick_bone", text="", icon="EYEDROPPER").name = state.name
        if state.word:
            self._draw_word(state)

    def _draw_word(self, state: BoneState) -> None:
        """The state in a word or two, and the button that settles it."""
        if state.kind == "unsure":
            self._left.label(text=tr(state.word), icon="BLANK1", translate=False)
            self._right.operator("avatar_forge.confirm_bones").name = state.name
            return
        self._left.label(text="")
        word = self._right.row()
        word.alert = True
        word.label(text=tr(state.word), translate=False)
        if state.suggestion:
            self._left.label(text="")
            button = self._right.operator(
                "avatar_forge.assign_bone", text=tr("Use {}").format(state.suggestion), translate=False
            )
            button.name, button.bone = state.name, state.suggestion


CLASSES = (AVATARFORGE_PT_humanoid,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
