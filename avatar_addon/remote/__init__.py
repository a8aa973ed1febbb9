# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket that BlenderMCP's servers and our own speak to: commands in, replies out, on Blender's main thread."""
