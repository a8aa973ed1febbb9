# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials, gaze and spring bones of an avatar, as settings."""
