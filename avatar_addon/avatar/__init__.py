# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar in the scene: its objects, its record and which steps are done."""
