# SPDX-License-Identifier: GPL-3.0-or-later
"""Avatar Forge's nodes for ComfyUI, by its V3 API. The work is done by the batch in a Blender of its own."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
