# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of an avatar: thumbnail, contact sheet, expressions."""
