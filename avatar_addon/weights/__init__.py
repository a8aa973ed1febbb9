# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights help: where the skin of the avatar in the scene does not follow its bones, and what fixes it."""
