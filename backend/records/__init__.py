# SPDX-License-Identifier: GPL-3.0-or-later
"""Run folders, their receipts, and MLflow."""
