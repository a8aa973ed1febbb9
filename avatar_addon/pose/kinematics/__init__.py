# SPDX-License-Identifier: GPL-3.0-or-later
"""Rest poses, poses and motions as arrays."""
