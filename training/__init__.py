# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the networks that the product ships. Not part of the extension."""
