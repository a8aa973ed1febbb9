# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on knows and does, callable without a user interface.

Importing this package imports no bpy: the pure parts (humanoid table and matcher, face synthesis, jobs) run in any
Python with numpy.
"""
