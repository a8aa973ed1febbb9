# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own MCP server, which asks the socket in Blender."""
