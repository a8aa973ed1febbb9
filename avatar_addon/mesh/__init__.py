# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes and armatures as arrays, and to and from Blender's."""
