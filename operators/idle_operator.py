# SPDX-License-Identifier: GPL-3.0-or-later
"""What every operator shares that must not run beside a task."""

from __future__ import annotations

from bpy.types import Context, Operator


class IdleOperator(Operator):
    """Subclasses give `may_run`, where they need more than that no task is running."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.window_manager.avatar_forge.running:
            cls.poll_message_set("A task is running; wait for it or cancel it first")
            return False
        return cls.may_run(context)

    @classmethod
    def may_run(cls, context: Context) -> bool:
        """As `poll`, for the subclass."""
        return True
