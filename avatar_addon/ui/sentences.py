# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in a narrow region: the sidebar and the preferences."""

from __future__ import annotations

import functools
import re

import blf
import bpy

from .translation import tr

MARGIN = 72  # pixels at scale 1 that the region's borders, its tabs and a box take
ICON = 20  # pixels at scale 1
LEAST = 100  # pixels at scale 1 of a line, in a region that is nearly closed
WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"  # East Asian scripts and their punctuation
NOT_FIRST = "、。，．」』）］・！？ー"  # a Japanese line does not begin with these


def sentence(
    layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE", dialog: int = 0
) -> None:
    """A label in the user's language, broken into as many lines as the region's width needs.

    dialog: the width of the dialog that it is in, whose context has the region below it.
    """
    scale = context.preferences.system.ui_scale
    taken = MARGIN + (ICON if icon != "NONE" else 0)
    width = (dialog * scale or (context.region.width if context.region else 300)) - taken * scale
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(_lines(tr(text), max(width, LEAST * scale), scale)):
        column.label(text=line, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"), translate=False)


def fits(context: bpy.types.Context, text: str) -> bool:
    """Whether a button with an icon can show a text in the region's width, in one line."""
    scale = context.preferences.system.ui_scale
    width = (context.region.width if context.region else 300) - (MARGIN + ICON) * scale
    return _width(text, scale) <= width


@functools.lru_cache(512)
def _lines(text: str, width: float, scale: float) -> list[str]:
    """width: pixels. A line may end at a space, after each letter of an East Asian script, and within a word that is
    longer than a line.
    """
    lines, line, used = [], "", 0.0
    for piece in re.findall(rf"[^\s{WIDE}]+|[{WIDE}][{NOT_FIRST}]*|\s+", text):
        size = _width(piece, scale)
        for part in piece if size > width else [piece]:
            size = _width(part, scale)
            if line and used + size > width and not part.isspace():
                lines.append(line.rstrip())
                line, used = "", 0.0
            line, used = line + part, used + size
    return [*lines, line.rstrip()]


def _width(text: str, scale: float) -> float:
    return sum(_letter_width(letter, scale) for letter in text)


@functools.lru_cache(4096)
def _letter_width(letter: str, scale: float) -> float:
    blf.size(0, 11 * scale)
    return (
        blf.dimensions(0, f"|{letter}|")[0] - blf.dimensions(0, "||")[0] or 6.0 * scale
    )  # a space alone has no dimensions


def progress(layout: bpy.types.UILayout, state: bpy.types.PropertyGroup, cancel: str = "Cancel (Esc)") -> None:
    """The running task (properties.AvatarForgeState): what it does, how far it is, and how to stop it."""
    column = layout.column(align=True)
    if state.part:
        column.label(text=tr(state.part), translate=False)
    column.progress(factor=state.fraction, text=f"{state.fraction:.0%}")
    column.operator("avatar_forge.cancel", text=cancel, icon="CANCEL")
    # Below, where it can take one line or two and Cancel stays where it is.
    sentence(column, bpy.context, state.message or state.stage or state.title)
