# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend process: engines, mesh and picture tools. Runs as `python -m backend`; knows nothing of Blender.

Axes everywhere in this package are glTF's: metres, Y up, the character faces +Z, its left side is +X.
"""
