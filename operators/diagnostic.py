# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy Diagnostic: everything a helper asks for, without secrets."""

from __future__ import annotations

import bpy
from bpy.types import Context, Operator

from ..avatar_addon import diagnostic
from ..avatar_addon.ui.translation import tr


class AVATARFORGE_OT_copy_diagnostic(Operator):
    bl_idname = "avatar_forge.copy_diagnostic"
    bl_label = "Copy Diagnostic"
    bl_description = (
        "Copy versions, hardware, backend, the last error with its log and the avatar's state as text for a"
        " bug report. Keys, tokens and your user name are left out"
    )
    bl_options = {"REGISTER"}

    def execute(self, context: Context) -> set[str]:
        text = diagnostic.text(context)
        context.window_manager.clipboard = text
        self.report({"INFO"}, tr(f"Copied {len(text.splitlines())} lines; read them before you share them."))
        return {"FINISHED"}


CLASSES = (AVATARFORGE_OT_copy_diagnostic,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
