# SPDX-License-Identifier: GPL-3.0-or-later
"""The T-pose, poses and motions of an avatar: shown, or baked into the rest pose."""
