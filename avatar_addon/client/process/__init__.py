# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend's environment and the worker process; jobs and tasks. Needs no Blender."""
