# SPDX-License-Identifier: GPL-3.0-or-later
"""The viewer page: an avatar in a browser, in one file. `tools/build_viewer.py` builds its template from viewer/."""
