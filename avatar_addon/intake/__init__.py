# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes, rigged models and VRM files from elsewhere become avatars."""
