# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference pictures from a sentence, by servers that the user runs or rents."""
