# SPDX-License-Identifier: GPL-3.0-or-later
"""TRELLIS image-large in plain PyTorch: one picture becomes a mesh and gaussians on any torch device.

Axes inside this package are the networks' own: Z up, the object in [-0.5, 0.5]^3. `export.py` turns results into glTF
axes.
"""
