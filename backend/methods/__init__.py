# SPDX-License-Identifier: GPL-3.0-or-later
"""What the worker does for its client."""
