# SPDX-License-Identifier: GPL-3.0-or-later
"""What the worker does for its client. Importing the package declares every method (`registry.METHODS`)."""

from . import cluster, hello, making, models, publishing, reading, text

__all__ = ["cluster", "hello", "making", "models", "publishing", "reading", "text"]
