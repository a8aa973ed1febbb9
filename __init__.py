# SPDX-License-Identifier: GPL-3.0-or-later
"""Avatar Forge: one picture of a character becomes a rigged, talking VRM avatar."""


def register() -> None:
    from . import registration

    registration.register()


def unregister() -> None:
    from . import registration

    registration.unregister()
