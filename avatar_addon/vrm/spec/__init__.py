# SPDX-License-Identifier: GPL-3.0-or-later
"""What VRM and its conventions define: bones, expressions, shape key names, the file."""
