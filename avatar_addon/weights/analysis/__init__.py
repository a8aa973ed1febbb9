# SPDX-License-Identifier: GPL-3.0-or-later
"""Problems of skin weights and their fixes, as arrays."""
