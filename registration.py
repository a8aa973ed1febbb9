# SPDX-License-Identifier: GPL-3.0-or-later
"""Registers the layers bottom up, and unregisters them top down."""

from . import operators, panels
from .avatar_addon import properties
from .avatar_addon.preferences import preferences
from .avatar_addon.ui import translation

MODULES = (translation, preferences, properties, operators, panels)


def register() -> None:
    for module in MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(MODULES):
        module.unregister()
