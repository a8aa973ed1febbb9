# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in a narrow region: the sidebar and the preferences."""

from __future__ import annotations

import textwrap

import blf
import bpy

MARGIN = 70  # pixels at scale 1 that the region's borders, a box and an icon take


def sentence(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE") -> None:
    """A label broken into as many lines as the region's width needs."""
    scale = context.preferences.system.ui_scale
    blf.size(0, 11 * scale)
    letter = blf.dimensions(0, "abcdefghijklmnopqrstuvwxyz ")[0] / 27 or 6.0
    width = (context.region.width if context.region else 300) - MARGIN * scale
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, max(int(width / letter), 16))):
        column.label(text=line, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


def progress(layout: bpy.types.UILayout, state: bpy.types.PropertyGroup, cancel: str = "Cancel (Esc)") -> None:
    """The running task (properties.AvatarForgeState): what it does, how far it is, and how to stop it."""
    column = layout.column(align=True)
    column.label(text=state.message or state.stage or state.title)
    column.progress(factor=state.fraction, text=f"{state.fraction:.0%}")
    column.operator("avatar_forge.cancel", text=cancel, icon="CANCEL")
