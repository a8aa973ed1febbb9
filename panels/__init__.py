# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar's tab "Avatar". Panels draw state and call operators."""

from . import avatar, candidates, face, humanoid, look, meta, notes, options, picture, pose, publish, remote, weights

MODULES = (picture, options, candidates, avatar, humanoid, pose, weights, face, look, meta, notes, publish, remote)


def register() -> None:
    for module in MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(MODULES):
        module.unregister()
