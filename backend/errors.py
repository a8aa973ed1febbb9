# SPDX-License-Identifier: GPL-3.0-or-later
"""The exceptions that leave an engine."""


class BackendError(Exception):
    """A job cannot go on for a reason the user can understand.

    `code` is a stable word for programs, `message` one sentence (what and why), `hint` what to do next.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class Cancelled(Exception):
    """Raised from a progress callback when the user has asked to stop."""


def reason_of(error: object) -> str:
    """Why the system refused, as part of a sentence: "no space left on device"."""
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".").lower()
