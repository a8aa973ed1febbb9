# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws full-body characters with known joints and face: the sample picture and the test pictures, all ours."""
