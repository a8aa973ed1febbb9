# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone of a skeleton is which VRM humanoid bone, as arrays and names."""
