# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters with exact truth for training the picture reader. README.md beside this file describes the interface."""
