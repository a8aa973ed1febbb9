# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that carries a sentence for the user."""


class AvatarError(Exception):
    """A step cannot go on. `str()` is one sentence for the user: what, why, what to do next.

    `code` is stable and for programs (batch summary, socket); it is never shown alone.
    """

    def __init__(self, message: str, code: str = "failed") -> None:
        super().__init__(message)
        self.code = code
