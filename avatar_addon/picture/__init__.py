# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference picture and its markers in the viewport."""
