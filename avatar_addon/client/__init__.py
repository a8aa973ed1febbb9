# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend as the add-on sees it: its environment, its process, tasks that wait for it, engines and models."""
