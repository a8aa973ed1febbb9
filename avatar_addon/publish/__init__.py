# SPDX-License-Identifier: GPL-3.0-or-later
"""The report card in the scene, promotion to a bucket, receipts."""
