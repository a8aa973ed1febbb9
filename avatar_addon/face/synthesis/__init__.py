# SPDX-License-Identifier: GPL-3.0-or-later
"""Mouth, eyelids, visemes and expressions as arrays."""
