# SPDX-License-Identifier: GPL-3.0-or-later
"""A sentence or a sound becomes lip movement."""
