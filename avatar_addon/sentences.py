# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in a narrow region: the sidebar and the preferences."""

from __future__ import annotations

import functools
import textwrap
import unicodedata

import blf
import bpy

from .translation import tr

MARGIN = 70  # pixels at scale 1 that the region's borders, a box and an icon take
NOT_FIRST = "、。，．」』）］・！？ー"  # a Japanese line does not begin with these


def sentence(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE") -> None:
    """A label in the user's language, broken into as many lines as the region's width needs."""
    scale = context.preferences.system.ui_scale
    letter = _letter_width(scale)
    width = (context.region.width if context.region else 300) - MARGIN * scale
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(_lines(tr(text), max(int(width / letter), 16))):
        column.label(text=line, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"), translate=False)


@functools.lru_cache(4)
def _letter_width(scale: float) -> float:
    blf.size(0, 11 * scale)
    return blf.dimensions(0, "abcdefghijklmnopqrstuvwxyz ")[0] / 27 or 6.0


@functools.lru_cache(512)
def _lines(text: str, width: int) -> list[str]:
    """width: in Latin letters; a letter of an East Asian script counts twice, and may be followed by a break."""
    if not any(_wide(letter) for letter in text):
        return textwrap.wrap(text, width)
    lines, line, used = [], "", 0
    for letter in text:
        size = 1 + _wide(letter)
        if used + size > width and letter not in NOT_FIRST:
            lines.append(line)
            line, used = "", 0
        line, used = line + letter, used + size
    return [*lines, line]


def _wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def progress(layout: bpy.types.UILayout, state: bpy.types.PropertyGroup, cancel: str = "Cancel (Esc)") -> None:
    """The running task (properties.AvatarForgeState): what it does, how far it is, and how to stop it."""
    column = layout.column(align=True)
    column.label(text=tr(state.message or state.stage or state.title), translate=False)
    column.progress(factor=state.fraction, text=f"{state.fraction:.0%}")
    column.operator("avatar_forge.cancel", text=cancel, icon="CANCEL")
