# SPDX-License-Identifier: GPL-3.0-or-later
"""Translation and the 3D view."""
