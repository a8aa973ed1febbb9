# SPDX-License-Identifier: GPL-3.0-or-later
"""What the worker does for its client. Importing the package declares every method (`registry.METHODS`)."""

from . import hello, making, models, publishing, reading, text

__all__ = ["hello", "making", "models", "publishing", "reading", "text"]
