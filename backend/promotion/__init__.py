# SPDX-License-Identifier: GPL-3.0-or-later
"""Immutable, versioned files in S3-compatible storage, and the lists that name them."""
