# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket of BlenderMCP's protocol and VS Code's settings file. Needs no Blender."""
