# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar's tab "Avatar". Panels draw state and call operators."""

from . import avatar, face, meta, options, picture, publish

MODULES = (picture, options, avatar, face, meta, publish)


def register() -> None:
    for module in MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(MODULES):
        module.unregister()
