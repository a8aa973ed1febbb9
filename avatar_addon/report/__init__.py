# SPDX-License-Identifier: GPL-3.0-or-later
"""The report card of a .vrm file: what it checks, measures and allows. Needs numpy only."""
