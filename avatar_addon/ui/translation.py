# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface in other languages: translations/*.json, from the English text to its translation (see phrases.py).

Blender translates labels and tooltips itself once they are registered; texts with values in them go through `tr`.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import bpy

from .phrases import Phrases

TABLES = Path(__file__).resolve().parents[1] / "translations"
OURS = (  # the context of words that Blender itself uses in another sense; its own translations go before an add-on's
    "AvatarForge"
)
CONTEXTS = ("*", "Operator", OURS)  # Blender looks up buttons that run an operator in a context of their own
LOCALES = {"ja": ("ja_JP", "ja")}  # Blender's names for a language, older ones included


@functools.cache
def _phrases(language: str) -> Phrases:
    return Phrases(json.loads((TABLES / f"{language}.json").read_text(encoding="utf-8")))


def register() -> None:
    tables: dict[str, dict[tuple[str, str], str]] = {}
    for language, locales in LOCALES.items():
        entries = {(context, text): other for text, other in _phrases(language).table.items() for context in CONTEXTS}
        tables |= dict.fromkeys(locales, entries)
    bpy.app.translations.register(__package__, tables)


def unregister() -> None:
    bpy.app.translations.unregister(__package__)
    _phrases.cache_clear()
    _translated.cache_clear()


def tr(text: str) -> str:
    """A text for the interface in the user's language, as it is where there is no translation."""
    language = _language()
    return _translated(text, language) if language else text


def tr_figure(text: str) -> str:
    """The same for a figure of the report card."""
    language = _language()
    return _phrases(language).figure(text) if language else text


def _language() -> str | None:
    """That of the interface, if there is a table for it."""
    if not bpy.context.preferences.view.use_translate_interface:
        return None
    return next((name for name, locales in LOCALES.items() if bpy.app.translations.locale in locales), None)


@functools.lru_cache(1024)
def _translated(text: str, language: str) -> str:
    return _phrases(language).translate(text)
