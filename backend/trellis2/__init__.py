# SPDX-License-Identifier: GPL-3.0-or-later
"""TRELLIS.2-4B (arXiv 2512.14692; code and weights MIT) in plain PyTorch: a picture to a mesh with PBR textures.

What is computed follows the published code and weights; every network is checked against results of the original.
"""
